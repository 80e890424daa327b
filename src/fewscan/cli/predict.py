"""``fewscan predict``: segment scans with a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from fewscan.cli.console import emit, progress_with_late_total


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    scans: Annotated[list[Path], typer.Argument(help="Scans, folders of scans, or data sets.")],
    out: Annotated[Path, typer.Option(help="Folder for the predictions.")],
    predictor: Annotated[
        str | None,
        typer.Option(help="Where a run has several: 'best' on validation; see `fewscan methods NAME` for others."),
    ] = None,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Also write the probability of the chosen label.")
    ] = False,
    views: Annotated[
        int, typer.Option(help="Average over this many views: mirrored as in training, then of other contrast.", min=1)
    ] = 1,
    largest_component: Annotated[
        bool, typer.Option("--largest-component", help="Keep the largest connected part of every class.")
    ] = False,
    overlap: Annotated[float, typer.Option(help="Share of a window that its neighbour covers too, 0 to 0.9.")] = 0.5,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Segment scans with a trained model.

    Writes one label map per scan, on exactly the scan's own grid and with the label values of the training data, and
    prediction.json with settings and times. A scan that cannot be read stops none of the others; it is named at the
    end (exit code 3).

    A folder holds the predictions of one model: repeating the same prediction replaces them, and removes scores and a
    report made of them before; another model or other settings need another folder.
    """
    from fewscan.data.check.problem import count_text
    from fewscan.inference.predict import predict as predict_scans

    with progress_with_late_total("predicting", quiet=as_json) as advance:
        paths = predict_scans(
            run,
            scans,
            out,
            predictor=predictor,
            device=device,
            precision=precision,
            views=views,
            overlap=overlap,
            confidence=confidence,
            largest_component=largest_component,
            progress=advance,
        )
    text = "\n".join(
        [f"{count_text(len(paths), 'prediction')} in {out}", *paths.notes, f"next: fewscan evaluate {out} LABELS"]
    )
    payload = {"out": str(out), "predictions": [str(path) for path in paths], "removed": list(paths.removed)}
    emit(payload, as_json=as_json, text=text)
