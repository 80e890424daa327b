"""``fewscan evaluate``: scores of predictions against true labels."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fewscan.cli.console import emit, progress


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label maps, or one file.")],
    labels: Annotated[
        Path, typer.Argument(help="Folder of true label maps, one file, or a data set (its test cases).")
    ],
    baseline: Annotated[
        Path | None, typer.Option(help="Other predictions of the same cases, for a paired test.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables; where the predictions are unless told.")
    ] = None,
    largest_component: Annotated[
        bool, typer.Option("--largest-component", help="Keep only the largest component of each class.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what there is; labels without a prediction are listed.")
    ] = False,
    all_metrics: Annotated[
        bool, typer.Option("--all-metrics", help="Print every metric, as in the files, and not only the main three.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score predictions: overlap and surface distances per case and class, summary, paired test.

    Prints Dice, HD95 and ASD in mm; the files hold all metrics.

    Writes scores.csv (one line per case and class), summary.csv, evaluation.json and, with --baseline, comparison.csv;
    without it, the comparison of an earlier evaluation is removed from there. Cases that the model was trained on are
    named, as far as prediction.json tells.
    """
    from fewscan.metrics.evaluate import evaluate as evaluate_files

    result = evaluate_files(
        predictions,
        labels,
        baseline=baseline,
        write=False,
        largest_component=largest_component,
        allow_missing=allow_missing,
        progress=partial(progress, quiet=as_json),
    )
    if out is None:
        out = predictions if predictions.is_dir() else predictions.parent
    gone = result.outdated(out)
    files = result.write(out)
    lines = [f"wrote {file}" for file in files]
    lines += [f"removed {file}: a comparison of earlier scores; --baseline makes a new one" for file in gone]
    emit(
        {**result.to_json(), "files": [str(file) for file in files], "removed": [str(file) for file in gone]},
        as_json=as_json,
        text="\n".join([result.table(all_metrics=all_metrics), "", *lines]),
    )
