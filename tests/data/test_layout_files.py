from pathlib import Path

import pytest

from fewscan.data.case import Case, Part
from fewscan.data.layout_files import (
    by_stem,
    channel_number,
    check_cases,
    count_channels,
    group_channels,
    inside,
    list_images,
    match_labels,
    raise_problems,
)
from fewscan.errors import DataError


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


def test_one_problem_on_a_line_several_in_a_list() -> None:
    raise_problems(Path("x"), [], mend="")
    with pytest.raises(DataError, match=r"^x: one\n  mend$"):
        raise_problems(Path("x"), ["one"], mend="mend")
    with pytest.raises(DataError, match=r"^x: 2 problems:\n  - one\n  - two\n  mend$"):
        raise_problems(Path("x"), ["one", "two"], mend="mend")


def test_list_images(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.NRRD", "._a.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.nii").symlink_to("nowhere")
    (tmp_path / "e.png").mkdir()
    (tmp_path / "other").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.NRRD", "b.nii.gz", "d.nii", "e.png"]
    assert [path.name for path in list_images(tmp_path, ending=".nii.gz")] == ["b.nii.gz"]
    assert list_images(tmp_path / "absent") == []


def test_group_channels_lists_every_fault() -> None:
    problems: list[str] = []
    files = paths("a_0000.nii", "a_0001.nii", "b_0001.nii", "c_0000.nii", "c_0001.nii", "c_0002.nii", "d.nii")
    groups = group_channels(files, problems, channels=2)
    assert groups["a"] == (Path("a_0000.nii"), Path("a_0001.nii"))
    assert problems == [
        "d.nii: its name does not end in a channel number such as _0000",
        "case b: channel _0000 is missing",
        "case c: channel _0002 is more than the 2 declared",
    ]


def test_two_files_of_one_stem() -> None:
    problems: list[str] = []
    assert by_stem(paths("a.nii", "a.nrrd"), problems) == {"a": Path("a.nii")}
    assert problems == ["a.nii and a.nrrd have the same id 'a'"]


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (("a_0000.nii", "b_0000.nii"), 1),
        (("a_0000.nii",), 1),
        (("a_0000.nii", "a_0001.nii", "b_0000.nii", "b_0001.nii"), 2),
        (("a_0000.nii", "a_0001.nii", "b_0000.nii"), 2),
        (("a_0000.nii", "a_0001.nii", "b_0001.nii"), 2),  # the first channel of b was lost
        (("scan_2019.nii", "scan_2020.nii"), 0),
        (("patient_0000.nii", "patient_0001.nii"), 0),
        (("a_0000.nii", "b.nii"), 0),
        ((), 0),
    ],
)
def test_count_channels(names: tuple[str, ...], count: int) -> None:
    assert count_channels(paths(*names)) == count


def test_channel_number() -> None:
    assert channel_number(Path("a_b_0012.nii.gz")) == ("a_b", 12)
    assert channel_number(Path("a_012.nii.gz")) is None
    assert channel_number(Path("_0000.nii.gz")) is None


def test_labels_of_no_image() -> None:
    problems: list[str] = []
    cases = match_labels({"a": (Path("a.nii"),)}, {"a": Path("la.nii"), "b": Path("b.nii")}, problems, part=Part.TEST)
    assert cases == [Case(id="a", images=(Path("a.nii"),), label=Path("la.nii"), part=Part.TEST)]
    assert problems == ["label b.nii belongs to no image"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii", "/data/a.nii"),
        ("./sub/../a.nii", "/data/a.nii"),
        ("../a.nii", None),
        ("sub/../../data2/a.nii", None),
        ("/etc/passwd", None),
    ],
)
def test_inside(name: str, expected: str | None) -> None:
    assert inside(Path("/data"), name) == (Path(expected) if expected else None)


def case(case_id: str, image: str, **more: object) -> Case:
    return Case(id=case_id, images=(Path(image),), **more)  # type: ignore[arg-type]


def test_all_faults_of_a_list_of_cases_at_once(tmp_path: Path) -> None:
    (tmp_path / "link.nii").symlink_to(tmp_path / "b.nii")
    cases = [
        case("a", "/x/a1.nii"),
        case("A", "/x/a2.nii"),
        case("b", str(tmp_path / "b.nii")),
        case("c", str(tmp_path / "link.nii")),
        case("../d", "/x/d.nii"),
        case("e", "/x/e1.nii", group="p", part=Part.TEST),
        case("e", "/x/e2.nii", group="p", part=Part.LABELLED),
    ]
    with pytest.raises(DataError) as caught:
        check_cases(Path("set"), cases)
    for text in (
        "5 problems",
        "ids 'A', 'a' differ only in letter case",
        "link.nii is listed for 'b' and for 'c'",
        "id '../d' cannot be used in a file name",
        "id 'e' stands for 2 scans",
        "group 'p' has scans in the parts labelled, test: that is a leak",
    ):
        assert text in str(caught.value)


def test_labelled_and_unlabelled_scans_of_one_patient_are_no_leak() -> None:
    cases = [
        case("a", "/x/a.nii", group="p", part=Part.LABELLED),
        case("b", "/x/b.nii", group="p", part=Part.UNLABELLED),
        Case(id="c", images=(Path("/x/c.nii"),) * 3),
    ]
    check_cases(Path("set"), cases)
