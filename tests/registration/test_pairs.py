from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewscan.data.case import Case
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.errors import DataError, UsageError
from fewscan.registration.pairs import ScanPair, find_labels, find_pairs, scan_channels


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a folder of tiny images with these names."""

    def make(name: str, *names: str) -> Path:
        for item in names:
            write_image(tmp_path / name / f"{item}.nii.gz", np.zeros((3, 3), np.uint8), Geometry.identity((3, 3)))
        return tmp_path / name

    return make


def pairs_of(**places: Any) -> list[str]:
    given: dict[str, Any] = {"moving": None, "fixed": None, "all_pairs": None, "pairs": None, "channels": 1}
    return [pair.id for pair in find_pairs(**given | places)]


def test_scan_to_scan_folder_to_scan_and_every_pair(folder: Callable[..., Path]) -> None:
    scans = folder("scans", "a", "b", "c")
    a, b = scans / "a.nii.gz", scans / "b.nii.gz"
    assert pairs_of(moving=a, fixed=b) == ["a_to_b"]
    assert pairs_of(moving=scans, fixed=b) == ["a_to_b", "c_to_b"]  # b itself is passed over
    assert pairs_of(all_pairs=scans) == ["b_to_a", "c_to_a", "a_to_b", "c_to_b", "a_to_c", "b_to_c"]


def test_scans_of_one_name_in_different_folders(folder: Callable[..., Path]) -> None:
    one, two = folder("one", "t1") / "t1.nii.gz", folder("two", "t1") / "t1.nii.gz"
    assert pairs_of(moving=one, fixed=two) == ["t1_to_t1"]


def test_channels_make_one_case(folder: Callable[..., Path]) -> None:
    scans = folder("scans", "a_0000", "a_0001", "b_0000", "b_0001")
    (pair, _) = find_pairs(moving=None, fixed=None, all_pairs=scans, pairs=None, channels=2)
    assert [path.name for path in pair.moving.images] == ["b_0000.nii.gz", "b_0001.nii.gz"]
    assert pair.stems == ("b_to_a_0000", "b_to_a_0001", "b_to_a_labels", "b_to_a_field")
    assert scan_channels(scans) == 2
    assert scan_channels(scans / "a_0000.nii.gz") == 1
    assert scan_channels(folder("plain", "a", "b")) == 1
    with pytest.raises(UsageError, match="no such file"):
        scan_channels(scans / "absent")


def test_pairs_by_file_and_by_id(folder: Callable[..., Path], tmp_path: Path) -> None:
    scans = folder("scans", "a", "b")
    others = folder("others", "c")
    table = tmp_path / "list.csv"
    table.write_text("moving;fixed\nscans/a.nii.gz;others/c.nii.gz\n\n", encoding="utf-8-sig")
    assert pairs_of(pairs=table) == ["a_to_c"]
    table.write_text(f"fixed,moving,age\nb,a,7\na,{others / 'c.nii.gz'},8\n")
    assert pairs_of(pairs=table, moving=scans) == ["a_to_b", "c_to_a"]
    table.write_text("moving,fixed\nb,c\n")
    assert pairs_of(pairs=table, moving=scans, fixed=others) == ["b_to_c"]


def test_every_wrong_row_is_named(folder: Callable[..., Path], tmp_path: Path) -> None:
    scans = folder("scans", "a", "b")
    table = tmp_path / "list.csv"
    table.write_text("moving,fixed\na,z\n,b\na,a\n../x.nii.gz,b\nabsent.nii.gz,b\n")
    with pytest.raises(DataError) as caught:
        pairs_of(pairs=table, moving=scans)
    for text in ("row 2: fixed z: no such scan", "row 3: moving is empty", "row 4: a is to be registered to itself",
                 "row 5: moving ../x.nii.gz leaves", "row 6: moving absent.nii.gz: no such file"):  # fmt: skip
        assert text in str(caught.value)
    table.write_text("moving,target\na,b\n")
    with pytest.raises(DataError, match="the column fixed is missing"):
        pairs_of(pairs=table)
    table.write_text("moving,fixed\n")
    with pytest.raises(DataError, match="lists no pairs"):
        pairs_of(pairs=table)
    with pytest.raises(UsageError, match="no such file"):
        pairs_of(pairs=tmp_path / "absent.csv")


def test_combinations_that_mean_nothing(folder: Callable[..., Path]) -> None:
    scans = folder("scans", "a", "b")
    a = scans / "a.nii.gz"
    with pytest.raises(UsageError, match="nothing to register"):
        pairs_of(moving=a)
    with pytest.raises(UsageError, match="is the fixed scan itself"):
        pairs_of(moving=a, fixed=scans / ".." / "scans" / "a.nii.gz")
    with pytest.raises(UsageError, match="holds 2 scans"):
        pairs_of(moving=a, fixed=scans)
    with pytest.raises(UsageError, match="--all-pairs takes no"):
        pairs_of(all_pairs=scans, fixed=a)
    with pytest.raises(UsageError, match="a single scan"):
        pairs_of(all_pairs=folder("lone", "a"))


def test_results_that_would_replace_one_another(folder: Callable[..., Path], tmp_path: Path) -> None:
    scans = folder("scans", "a", "b", "b_labels")
    table = tmp_path / "list.csv"
    table.write_text("moving,fixed\na,b\na,b_labels\n")
    with pytest.raises(DataError, match="a_to_b_labels"):
        pairs_of(pairs=table, moving=scans)
    table.write_text("moving,fixed\na,b\na,b\n")
    with pytest.raises(DataError, match="replace one another"):
        pairs_of(pairs=table, moving=scans)


def test_labels_by_id_or_one_file(folder: Callable[..., Path]) -> None:
    cases = [Case(id=name, images=(Path(f"{name}.nii"),)) for name in ("a", "b", "a")]
    labels = folder("labels", "a", "z")
    assert find_labels(labels, cases, option="--moving-labels") == {"a": labels / "a.nii.gz"}
    assert find_labels(labels / "z.nii.gz", cases[:1], option="--moving-labels") == {"a": labels / "z.nii.gz"}
    assert find_labels(None, cases, option="--moving-labels") == {}
    with pytest.raises(UsageError, match="one label file for 2 scans"):
        find_labels(labels / "a.nii.gz", cases, option="--moving-labels")
    with pytest.raises(DataError, match=r"--fixed-labels .*holds no label of b"):
        find_labels(labels, cases[1:2], option="--fixed-labels")
    with pytest.raises(UsageError, match="no such file or folder"):
        find_labels(labels / "absent", cases, option="--fixed-labels")


def test_labels_of_two_scans_of_one_name_are_refused(folder: Callable[..., Path]) -> None:
    cases = [Case(id="a", images=(Path(place) / "a.nii",)) for place in ("first", "second")]
    labels = folder("labels", "a")
    with pytest.raises(DataError, match="several scans are called 'a'"):
        find_labels(labels, cases, option="--moving-labels")
    with pytest.raises(UsageError, match="one label file for 2 scans"):
        find_labels(labels / "a.nii.gz", cases, option="--moving-labels")


def test_names_of_the_results() -> None:
    pair = ScanPair(Case(id="a", images=(Path("a.nii"),)), Case(id="b", images=(Path("b.nii"),)))
    assert pair.stems == ("a_to_b", "a_to_b_labels", "a_to_b_field")
