import pytest

from fewscan.cli.train import parse_amount
from fewscan.errors import UsageError


@pytest.mark.parametrize(("text", "value"), [("4", 4), ("0.1", 0.1), ("10%", 0.1), (None, None)])
def test_amounts(text, value):
    assert parse_amount(text, "--labelled") == value
    assert type(parse_amount(text, "--labelled")) is type(value)


def test_nonsense_amount():
    with pytest.raises(UsageError, match="--labelled few: expected a count"):
        parse_amount("few", "--labelled")
