"""The scans that a run began with; one that is continued must see the same."""

import json
from pathlib import Path

from fewscan.data.prepared import PreparedStore
from fewscan.data.split import Split
from fewscan.errors import DataError
from fewscan.files import write_json

SCANS = "scans.json"
"""In the run folder: keys of the prepared image and label of every scan that training reads, by id."""


def require_same_scans(folder: Path, store: PreparedStore, split: Split) -> None:
    """Write down which scans a run trains on, or compare them with what it wrote when it began.

    Parameters
    ----------
    folder : Path
        Of the run.
    store : PreparedStore
        Whose keys follow the contents of the files and how they were prepared.
    split : Split
        Of the run. Labels count where training opens them.

    Raises
    ------
    DataError
        If images or labels are others than at the beginning; all of them are named.
    """
    now = {}
    for case_id in sorted({*split.labelled, *split.validation, *split.unlabelled}):
        image, label = store.case(case_id).keys
        now[case_id] = [image, label if case_id in {*split.labelled, *split.validation} else None]
    path = folder / SCANS
    if not path.is_file():
        write_json(path, now)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    images = [case_id for case_id, (image, _) in now.items() if before.get(case_id, [None])[0] != image]
    labels = [case_id for case_id, keys in now.items() if case_id not in images and before[case_id] != keys]
    if not images and not labels:
        return
    found = [f"{what} of {', '.join(ids)}" for what, ids in (("images", images), ("labels", labels)) if ids]
    raise DataError(
        f"{folder}: since the run began, files or their preparation have changed: {'; '.join(found)}",
        mend="Put the former files back and repeat this command, or train anew with another --out.",
    )
