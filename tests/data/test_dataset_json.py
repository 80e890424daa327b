import json
from pathlib import Path

import pytest

from fewscan.data.dataset_json import parse_channels, parse_labels, read_dataset_json
from fewscan.errors import DataError

SOURCE = Path("dataset.json")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"background": 0, "LV": 1}, {"background": 0, "LV": 1}),
        ({"0": "background", "2": "LV"}, {"background": 0, "LV": 2}),
        ({"background": 0, "LV": "3"}, {"background": 0, "LV": 3}),
        ({"background": 0, "9": "-1"}, {"background": 0, "9": -1}),
        ({"background": 0, "whole": [1, 2], "core": 2}, {"background": 0, "core": 2, "label_1": 1}),
        ({}, {}),
    ],
)
def test_labels(raw: dict[str, object], expected: dict[str, int]) -> None:
    assert parse_labels(SOURCE, {"labels": raw}) == expected


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        ({"a": 0.5}, "label 'a' has the value 0.5"),
        ({"a": "--1"}, "label 'a' has the value '--1'"),
        ({"a": "\u00b2"}, "label 'a' has the value"),
        ({"a": 1, "b": 1}, "twice"),
        ({"0": "a", "1": "a"}, "twice"),
        (["a"], "labels must be an object"),
    ],
)
def test_wrong_labels(raw: object, match: str) -> None:
    with pytest.raises(DataError, match=match):
        parse_labels(SOURCE, {"labels": raw})


def test_channels_in_the_order_of_their_numbers() -> None:
    names = {str(k): f"c{k}" for k in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9)}
    assert parse_channels(SOURCE, {"channel_names": names}) == tuple(f"c{k}" for k in range(11))
    assert parse_channels(SOURCE, {"modality": {"0": "CT"}}) == ("CT",)


@pytest.mark.parametrize("names", [None, {}, {"1": "CT"}, ["CT"]])
def test_wrong_channels(names: object) -> None:
    with pytest.raises(DataError, match="needs channel_names"):
        parse_channels(SOURCE, {"channel_names": names})


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text("\ufeff" + json.dumps({"name": "Ü"}), encoding="utf-8")
    assert read_dataset_json(path) == {"name": "Ü"}
    path.write_text("{,}")
    with pytest.raises(DataError, match=r"dataset\.json: not readable as JSON"):
        read_dataset_json(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="must hold a JSON object"):
        read_dataset_json(path)
