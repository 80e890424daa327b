"""Predict scans from files to files: read, prepare, segment, write back on the scan's own grid.

While one scan passes the network, the next is read and prepared and the last is compressed and written (see
`fewscan.inference.pipeline`). A scan that cannot be predicted stops none of the others; all failures are told together
at the end.

Beside the predictions lies ``prediction.json``: model, settings, versions, and seconds and files of every scan. It is
written first of all, so that it also tells a folder of predictions, which may be made again, from any other; and whose
they are, since a folder holds the predictions of one model (see `fewscan.inference.earlier`).
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fewscan import __version__
from fewscan.data.case import Case
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import image_suffix, write_image
from fewscan.data.intensity import require_content
from fewscan.data.prepare import PreparedScan, prepare_image
from fewscan.data.store_format import content_digest
from fewscan.files import write_atomically
from fewscan.inference.earlier import (
    earlier_files,
    kept_scans,
    read_earlier,
    remove_outdated,
    remove_replaced,
    require_same,
)
from fewscan.inference.model_file import model_path
from fewscan.inference.outputs import Outcome, as_paths, find_scans, guard_folder
from fewscan.inference.pipeline import work_through
from fewscan.inference.predictions import CONFIDENCE, Predictions
from fewscan.inference.predictor import Predictor
from fewscan.inference.restore import Restored
from fewscan.metrics.trained_on import KEY, training_cases
from fewscan.training.device import resolve_device

RECORD_NAME = "prediction.json"

# formats whose data lie in a second file, which cannot be replaced in one step
_SINGLE_FILE = {".nhdr": ".nrrd", ".mhd": ".mha"}
_FLAT = (".png", ".tif", ".tiff")  # without geometry, 2-D


def predict(
    model: Path | str,
    scans: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    predictor: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    views: int = 1,
    overlap: float = 0.5,
    confidence: bool = False,
    largest_component: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> Predictions:
    """Segment scans with a trained model.

    Parameters
    ----------
    model : path
        Run folder or model file.
    scans : path or sequence of paths
        A scan, a folder of scans, a data set, or several of them.
    out : path
        Folder for the predictions; made as needed. Predictions of the same name by the same model and settings are
        replaced, others stay; scores and a report made of them before are removed.
    predictor : str, optional
        Which of several predictors of a run, see `fewscan.inference.model_file.model_path`.
    device : "auto", "cpu" or "cuda"
        Where to compute.
    precision : "auto", "fp32" or "bf16"
        "auto" takes bf16 where the device is faster with it.
    views : int
        Average over this many test-time views (flips).
    overlap : float
        Share of a window that neighbouring windows have in common, in [0, 1).
    confidence : bool
        Also write ``<id>_confidence``: the probability of the chosen label.
    largest_component : bool
        Keep only the largest connected component of every class.
    progress : callable, optional
        Called with the id of every scan that is done and the number of all scans.

    Returns
    -------
    Predictions
        A list of the label maps in the order of the scans: ``<id>`` with the scan's own suffix where that format can
        hold labels, else ``.nii.gz``, on exactly the scan's own grid.

    Raises
    ------
    DataError
        If the model is not intact or scans could not be predicted; all others are.
    UsageError
        For settings that do not exist, or an output folder that holds the scans, their labels, files of the same
        names that are no predictions, or predictions by another model or with other settings.
    """
    file, out = model_path(Path(model), predictor), Path(out)
    loaded = Predictor.load(file, device=resolve_device(device), precision=precision, views=views, overlap=overlap)
    cases = find_scans(scans, channels=len(loaded.spec.plan.channels))
    guard_folder(
        out,
        places=as_paths(scans),
        inputs=[path for case in cases for path in (*case.images, case.label) if path is not None],
        stems=[case.id for case in cases],
        record=RECORD_NAME,
        what="predictions",
    )

    settings = _settings(loaded, confidence=confidence, largest_component=largest_component)
    record = _record(file, loaded, settings)
    earlier = read_earlier(out / RECORD_NAME)
    if earlier is not None:
        require_same(out, earlier, record)
    removed = () if earlier is None else remove_outdated(out)
    replaced = earlier_files(out, [case.id for case in cases], earlier)

    def read(case: Case) -> PreparedScan:
        scan = prepare_image(case.images, loaded.spec.plan, case_id=case.id)
        require_content(scan.image, case_id=case.id)
        return scan

    def segment(case: Case, scan: PreparedScan) -> _Segmented:
        started = time.perf_counter()
        restored = loaded.predict(scan.image, scan.meta, confidence=confidence, largest_component=largest_component)
        return _Segmented(restored, scan.meta.original, time.perf_counter() - started)

    outcome = Outcome(len(cases), progress)
    _write_record(out, record, outcome, earlier)
    try:
        work_through(
            cases,
            outcome,
            read=read,
            work=segment,
            write=lambda case, segmented: _write(out, replaced[case.id], case, segmented),
        )
    finally:  # also when it is stopped: what is written is on record
        _write_record(out, record, outcome, earlier)
    if outcome.failures:
        raise outcome.summary(out, what="scans", done="predicted") from outcome.first_error
    labels = [out / scan["files"][0] for scan in outcome.done]
    return Predictions(out, labels, record=out / RECORD_NAME, removed=removed)


def output_path(out: Path, case: Case, *, kind: str, flat: bool) -> Path:
    """Return where the label map of a case goes.

    Parameters
    ----------
    out : Path
        Folder of the predictions.
    case : Case
        Its first image's suffix is kept where the format can hold labels in one file.
    kind : str
        Type of the label values, "uint8" and so on; PNG holds unsigned integers only.
    flat : bool
        Whether the scan is 2-D.
    """
    suffix = image_suffix(case.images[0])
    suffix = _SINGLE_FILE.get(suffix, suffix)
    if not suffix or (suffix in _FLAT and not (flat and kind in ("uint8", "uint16"))):
        suffix = ".nii.gz"
    return out / f"{case.id}{suffix}"


class _Segmented(NamedTuple):
    """A segmented scan on its way to the disk."""

    restored: Restored
    geometry: Geometry
    seconds: float


def _write(out: Path, earlier: Sequence[Path], case: Case, segmented: _Segmented) -> dict[str, Any]:
    """Write the label map and, where there is one, the confidence map; return the scan's part of the record.

    What else an earlier prediction left of the case is removed.
    """
    restored, geometry, seconds = segmented
    path = output_path(out, case, kind=restored.labels.dtype.name, flat=geometry.dimensions == 2)
    write_image(path, restored.labels, geometry)
    written = [path]
    if restored.confidence is not None:
        suffix = image_suffix(path)
        written.append(out / f"{case.id}{CONFIDENCE}{'.nii.gz' if suffix in _FLAT else suffix}")
        write_image(written[1], restored.confidence, geometry)
    remove_replaced(earlier, written)
    return {"id": case.id, "files": [path.name for path in written], "seconds": round(seconds, 3)}


def _settings(predictor: Predictor, *, confidence: bool, largest_component: bool) -> dict[str, Any]:
    """Return how the scans are predicted, for the record."""
    return {
        "device": str(predictor.device),
        "precision": str(predictor.dtype).removeprefix("torch."),
        "views": [view.name for view in predictor.views] or ["identity"],
        "overlap": None if predictor.whole_scans else predictor.overlap,
        "confidence": confidence,
        "largest_component": largest_component,
    }


def _record(file: Path, predictor: Predictor, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what there is to record before the first scan."""
    return {
        "classes": [item.model_dump(mode="json") for item in predictor.spec.plan.classes],
        "model": str(file.absolute()),  # a report is made from any folder
        "model_sha256": content_digest(file),
        "method": predictor.spec.method,
        "network": predictor.spec.network.model_dump(mode="json"),
        "members": predictor.spec.details.get("members", []),
        KEY: training_cases(file, predictor.spec.details).to_json(),
        "settings": settings,
        "versions": {
            "fewscan": __version__,
            "model": predictor.spec.fewscan_version,
            "torch": torch.__version__,
        },
    }


def _write_record(out: Path, record: Mapping[str, Any], outcome: Outcome, earlier: Mapping[str, Any] | None) -> None:
    """Write the record with the scans done so far, after those that an earlier prediction left."""
    scans = [*kept_scans(out, outcome.ids, earlier), *outcome.done]
    text = json.dumps({**record, "scans": scans, "failures": outcome.failures}, indent=1, ensure_ascii=False)
    write_atomically(out / RECORD_NAME, text.encode())
