"""The plain-text summary: its helpers, by hand; whole tables are tested with the command."""

from fewscan.metrics.text_table import listed


def test_long_lists_are_cut_and_say_so():
    assert listed(["a", "b", "c"], limit=2) == "a, b and 1 more"
    assert listed(["a", "b"], limit=2) == "a, b"
    assert listed([]) == ""
