import pytest

from fewscan.data.itk import last_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file.cxx:12:\nITK ERROR: PNGImageIO(0x55f1): Error while reading file", "Error while reading file"),
        ("ITK ERROR: no reader\n", "no reader"),
        ("data not read\n  Reason: Success\n", "data not read"),
        ("", "no reason given"),
    ],
)
def test_last_line(text: str, expected: str) -> None:
    assert last_line(RuntimeError(text)) == expected
