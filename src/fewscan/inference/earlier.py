"""What an earlier prediction left in an output folder: whether it was the same one, and what no longer fits.

The same prediction may be repeated, as after an interruption. One by another model, or with settings that change the
label maps, belongs into another folder: what remained of the first would pass for its own.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewscan.data.image_files import image_stem, is_image_file
from fewscan.errors import UsageError
from fewscan.inference.predictions import CONFIDENCE
from fewscan.metrics.evaluation import COMPARISON_FILE, JSON_FILE, SCORES_FILE, SUMMARY_FILE

PAGE = "report.html"
"""The report on a folder, where it is written unless told."""

DECISIVE = ("views", "overlap", "largest_component")
"""Settings that change the label maps; where and with which precision they were computed only rounds differently."""


def read_earlier(path: Path) -> dict[str, Any] | None:
    """Return the record of an earlier prediction; None where there is none.

    Raises
    ------
    UsageError
        If it cannot be read, so that nobody knows whose predictions the folder holds.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(
            f"--out {path.parent}: its {path.name} cannot be read, so its predictions may be of another model",
            mend="Give another folder for the predictions, or delete this one.",
        )
    return found


def require_same(out: Path, earlier: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Refuse a folder of predictions that another model made, or the same one with other settings.

    Parameters
    ----------
    out : Path
        The folder, for the message.
    earlier, present : mapping
        Records of the prediction in the folder and of the one to come. What the earlier one does not tell is taken to
        be the same; older ones name the model by its path alone.

    Raises
    ------
    UsageError
    """
    mend = "Give another folder for these predictions, or delete that one."
    known = "model_sha256" if "model_sha256" in earlier else "model"
    if known in earlier and earlier[known] != present[known]:
        there, here = (f"{record.get('method', 'unknown')}, {record.get('model')}" for record in (earlier, present))
        here = "this one, trained anew since" if earlier.get("model") == present["model"] else here
        raise UsageError(f"--out {out}: holds predictions of another model ({there}), not of {here}", mend=mend)
    before, now = earlier.get("settings", {}), present["settings"]
    differ = [name for name in DECISIVE if name in before and before[name] != now[name]]
    if differ:
        shown = "; ".join(
            f"{name.replace('_', ' ')} {_shown(before[name])}, not {_shown(now[name])}" for name in differ
        )
        raise UsageError(f"--out {out}: holds predictions of this model with other settings ({shown})", mend=mend)


def remove_outdated(out: Path) -> tuple[str, ...]:
    """Delete scores and report of the predictions that are about to be replaced; return the names of what was there."""
    names = [PAGE]
    if (out / JSON_FILE).is_file():  # which is removed last: it tells that the tables are those of an evaluation
        names += [SCORES_FILE, SUMMARY_FILE, COMPARISON_FILE, JSON_FILE]
    there = [name for name in names if (out / name).is_file()]
    for name in there:
        (out / name).unlink()
    return tuple(there)


def earlier_files(out: Path, case_ids: Iterable[str], earlier: Mapping[str, Any] | None) -> dict[str, list[Path]]:
    """Return the label and confidence maps of each case that an earlier prediction left; none without its record."""
    found: dict[str, list[Path]] = {case_id: [] for case_id in case_ids}
    if earlier is None:
        return found
    known = found.keys() | {str(scan.get("id")) for scan in earlier.get("scans", [])}
    for path in out.iterdir():
        stem = image_stem(path)
        case_id = stem if stem in known else stem.removesuffix(CONFIDENCE)
        if case_id in found and is_image_file(path):
            found[case_id].append(path)
    return found


def kept_scans(out: Path, case_ids: Collection[str], earlier: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the records of an earlier prediction's scans that are none of ``case_ids`` and whose files are there."""
    scans = () if earlier is None else earlier.get("scans", [])
    return [
        scan
        for scan in scans
        if scan.get("id") not in case_ids and all((out / Path(name).name).is_file() for name in scan.get("files", [""]))
    ]


def remove_replaced(earlier: Sequence[Path], written: Sequence[Path]) -> None:
    """Delete earlier files of a case that its new ones did not replace: of another format, or a confidence map."""
    for path in earlier:
        # compared as files, because some systems take names of other letter case for the same
        if path.exists() and not any(path.samefile(new) for new in written):
            path.unlink()


def _shown(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else {True: "on", False: "off"}.get(value, str(value))
