from collections.abc import Callable
from pathlib import Path

import pytest

from fewscan.data.case import Part
from fewscan.data.layout_manifest import load_manifest
from fewscan.errors import DataError

Factory = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.nii.gz", "b.nii.gz", "c d.nii.gz", "la.nii.gz", "lb.nii.gz"):
        (tmp_path / name).touch()
    return tmp_path


def manifest(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "manifest.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_all_columns(manifest_dataset: Factory) -> None:
    path = manifest_dataset()
    dataset = load_manifest(path)
    assert [(case.id, case.part, case.group) for case in dataset] == [
        ("s0", None, "p1"),
        ("s1", None, "p1"),
        ("s2", Part.UNLABELLED, "p2"),
        ("s3", Part.TEST, "p3"),
    ]
    assert dataset["s0"].images == (path.parent / "scans" / "s0.nii.gz",)
    assert dataset["s0"].label == path.parent / "masks" / "s0.nii.gz"
    assert dataset["s2"].label is None


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("id,image,label\na,a.nii.gz,la.nii.gz\nc,c d.nii.gz,\n", "utf-8"),
        ("id;image;label\r\na;a.nii.gz;la.nii.gz\r\n\r\nc;c d.nii.gz;\r\n", "utf-8-sig"),
        ("\n ID \tImage\tLABEL\n\t\t\na\ta.nii.gz\t la.nii.gz \nc\t'c d.nii.gz'\n".replace("'", '"'), "utf-8"),
        ('id,image,label,age\n"a","a.nii.gz","la.nii.gz",7\nc,c d.nii.gz,,8', "utf-8"),
    ],
    ids=["plain", "bom-semicolon-crlf-blank", "tabs-case-quotes-short-row", "quotes-other-column"],
)
def test_dialects(folder: Path, text: str, encoding: str) -> None:
    dataset = load_manifest(manifest(folder, text, encoding=encoding))
    assert [(case.id, case.images, case.label) for case in dataset] == [
        ("a", (folder / "a.nii.gz",), folder / "la.nii.gz"),
        ("c", (folder / "c d.nii.gz",), None),
    ]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("id,image,image2", ("image", "image2")),
        ("id,image_0,image_1", ("image_0", "image_1")),
        ("id,image_flair,image_t1", ("flair", "t1")),
    ],
)
def test_channels(folder: Path, header: str, names: tuple[str, ...]) -> None:
    dataset = load_manifest(manifest(folder, f"{header}\nx,a.nii.gz,b.nii.gz\n"))
    assert dataset.channel_names == names
    assert dataset["x"].images == (folder / "a.nii.gz", folder / "b.nii.gz")


def test_all_wrong_rows_at_once(folder: Path) -> None:
    text = (
        "id,image,label,part\n"  # row 1
        "a,a.nii.gz,la.nii.gz,\n"
        "A,b.nii.gz,,\n"
        "\n"
        "b,,lb.nii.gz,\n"  # row 5
        "c,a.nii.gz,,\n"
        "d,gone.nii.gz,,\n"
        "e,../e.nii.gz,,\n"
        "f,c d.nii.gz,,tset\n"
        ",lb.nii.gz,,labelled\n"  # row 10
        "g,la.nii.gz,,,,,\n"
        "../h,lb.nii.gz,,\n"
    )
    with pytest.raises(DataError) as caught:
        load_manifest(manifest(folder, text))
    message = str(caught.value)
    for expected in (
        "11 problems",
        "row 3: id 'A' is already in row 2",
        "row 5: label without image (image is empty)",
        "row 6: image a.nii.gz is already in row 2",
        "row 7: image gone.nii.gz: no such file",
        "row 8: image ../e.nii.gz leaves the manifest's folder; write an absolute path",
        "row 9: part 'tset' is none of labelled, unlabelled, validation, test",
        "row 10: id is empty",
        "row 10: part labelled needs a label",
        "row 11: 7 fields, the header has 4",
        "row 12: id '../h' cannot be used in a file name",
    ):
        assert expected in message


def test_absolute_paths_are_taken(folder: Path) -> None:
    (folder / "sub").mkdir()
    path = manifest(folder / "sub", f"id,image\na,{folder / 'a.nii.gz'}\n")
    assert load_manifest(path)["a"].images == (folder / "a.nii.gz",)


def test_one_image_in_two_channels(folder: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: image a\.nii\.gz is already in row 2"):
        load_manifest(manifest(folder, "id,image,image2\nx,a.nii.gz,./a.nii.gz\n".replace("./", "")))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("image,label\n", "the column id is missing"),
        ("id,label\n", "the column image is missing"),
        ("id,image,lable\n", "the column lable looks like 'label' misspelt"),
        ("id,image,id\n", "the column id is there twice"),
        ("", "the file is empty"),
        ("id,image\n", "lists no scans"),
    ],
)
def test_wrong_headers(folder: Path, text: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        load_manifest(manifest(folder, text))


def test_not_utf8(folder: Path) -> None:
    with pytest.raises(DataError, match="not readable as UTF-8"):
        load_manifest(manifest(folder, "id,image\nä,a.nii.gz\n", encoding="latin-1"))


def test_a_quotation_mark_without_end(folder: Path) -> None:
    # the csv module gives up where one field passes 131 072 characters
    with pytest.raises(DataError, match=r"not readable as CSV, line \d+: field larger than"):
        load_manifest(manifest(folder, 'id,image\n"a,a.nii.gz\n' + "b,b.nii.gz\n" * 20_000))


def test_american_spelling(folder: Path) -> None:
    dataset = load_manifest(manifest(folder, "id,image,label,part\na,a.nii.gz,la.nii.gz,Labeled\n"))
    assert dataset["a"].part is Part.LABELLED
