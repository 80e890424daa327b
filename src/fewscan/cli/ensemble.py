"""``fewscan ensemble``: several trained models made one."""

from pathlib import Path
from typing import Annotated

import typer

from fewscan.cli.console import emit


def ensemble(
    models: Annotated[list[Path], typer.Argument(help="Run folders or model files, two or more.")],
    out: Annotated[Path, typer.Option(help="The new model file, NAME.safetensors.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make one model of several that were trained on the same kind of scans.

    It answers with the mean of their probabilities, at the sum of their costs. Seeds of one method serve, and so do
    different methods; the cases that any of them learned from are remembered, so that scores can be judged.
    """
    from fewscan.inference.ensemble import ensemble as combine

    written = combine(models, out)
    text = f"{len(models)} models in {written}\nnext: fewscan predict {written} SCANS --out PREDICTIONS"
    emit({"model": str(written), "members": [str(model) for model in models]}, as_json=as_json, text=text)
