from math import nan

import pytest

from fewscan.report.document import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.215, "0.21 s"),
        (59.6, "1 min 00 s"),
        (165.0, "2 min 45 s"),
        (42, "42 s"),
        (3725, "1 h 02 min"),
        (nan, "–"),
        (None, "–"),
    ],
)
def test_times_have_the_two_units_that_matter(seconds, text):
    assert words.duration(seconds) == text


def test_numbers_with_what_belongs_to_them():
    assert words.spread(0.5, nan) == "0.500"
    assert words.spread(0.5, 0.25, 2) == "0.50 ± 0.25"
    assert words.interval(nan, nan) == "–"
    assert words.interval(0.1, 0.2) == "0.100 to 0.200"


def test_amounts_and_settings():
    assert words.memory(512) == "512 MiB"
    assert words.memory(2048) == "2.0 GiB"
    assert words.memory(None) == "–"
    assert words.count(1, "scan") == "1 scan"
    assert words.count(2, "scan") == "2 scans"
    assert [words.plain(v) for v in (None, True, 0.1, [1, 2], [])] == ["none", "yes", "0.1", "1, 2", "none"]


def test_a_dollar_begins_no_formula():
    assert words.for_picture("$x$") == r"\$x\$"
