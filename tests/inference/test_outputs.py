from pathlib import Path

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.errors import DataError, UsageError
from fewscan.inference.outputs import Outcome, as_paths, find_scans, guard_folder


def guard(out: Path, **changes: object) -> None:
    settings: dict[str, object] = {
        "places": [],
        "inputs": [],
        "stems": ["a"],
        "record": "record.json",
        "what": "results",
    }
    guard_folder(out, **settings | changes)  # type: ignore[arg-type]


def test_a_new_or_unrelated_folder_is_made_and_taken(tmp_path: Path) -> None:
    guard(tmp_path / "deep" / "out")
    (tmp_path / "deep" / "out" / "b.nii.gz").touch()
    (tmp_path / "deep" / "out" / "a.txt").touch()
    guard(tmp_path / "deep" / "out")
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == ["a.txt", "b.nii.gz"]


def test_the_folder_of_the_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds the scans themselves"):
        guard(tmp_path / "x" / "..", places=[tmp_path])
    with pytest.raises(UsageError, match="holds the scans themselves"):
        guard(tmp_path, inputs=[tmp_path / "a.nii.gz"])


def test_files_that_are_no_results_are_not_lost(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").touch()
    with pytest.raises(UsageError, match=r"holds a\.nrrd, no results of fewscan"):
        guard(tmp_path)
    (tmp_path / "a.nrrd").unlink()
    (tmp_path / "table.csv").touch()
    with pytest.raises(UsageError, match=r"holds table\.csv"):
        guard(tmp_path, others=["table.csv"])
    (tmp_path / "record.json").touch()
    guard(tmp_path, others=["table.csv"])


def test_failures_are_told_together(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    outcome = Outcome(3, lambda *item: seen.append(item))
    outcome.succeeded({"id": "a"})
    outcome.failed("b", DataError("is broken", mend="mend it"))
    outcome.failed("c", RuntimeError("no memory"))
    assert seen == [("a", 3), ("b", 3), ("c", 3)]
    assert isinstance(outcome.first_error, DataError)
    error = outcome.summary(tmp_path, what="pairs", done="registered")
    assert error.message == (
        "2 of 3 pairs could not be registered:\n  b: is broken (mend it)\n  c: RuntimeError: no memory"
    )
    assert str(tmp_path) in error.mend


def test_failures_of_one_reason_are_told_together_and_others_only_where_there_are_any(tmp_path: Path) -> None:
    outcome = Outcome(4)
    for name in "abcd":
        outcome.failed(name, DataError("case x: is broken"))
    error = outcome.summary(tmp_path, what="pairs", done="registered")
    assert str(error).startswith("4 of 4 pairs could not be registered:\n  a, b, c, ...: case x: is broken")
    assert "others" not in error.mend


def test_a_failure_does_not_name_its_scan_twice(tmp_path: Path) -> None:
    outcome = Outcome(2)
    outcome.failed("a", DataError("case a: is broken"))
    outcome.failed("b", DataError("case b: is broken"))
    assert "\n  a, b: is broken" in outcome.summary(tmp_path, what="scans", done="predicted").message


def test_a_file_is_no_folder_for_results(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="is a file, not a folder"):
        guard_folder(tmp_path / "out", places=[], inputs=[], stems=[], record="record.json", what="predictions")


def test_scans_of_several_places(tmp_path: Path) -> None:
    grid = Geometry.identity((3, 3))
    for name in ("one/a", "one/b", "two/a"):
        write_image(tmp_path / f"{name}.nii.gz", np.zeros((3, 3), np.uint8), grid)
    assert [case.id for case in find_scans(tmp_path / "one", channels=1)] == ["a", "b"]
    with pytest.raises(DataError, match="2 scans are called 'a'"):
        find_scans([tmp_path / "one", str(tmp_path / "two")], channels=1)
    assert as_paths("x") == [Path("x")]
    assert as_paths(["x", Path("y")]) == [Path("x"), Path("y")]
    with pytest.raises(DataError, match="no scans are given"):
        find_scans([], channels=1)
