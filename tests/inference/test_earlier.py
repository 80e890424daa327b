"""What an earlier prediction left in the folder."""

import pytest

from fewscan.errors import UsageError
from fewscan.inference.earlier import (
    earlier_files,
    read_earlier,
    remove_outdated,
    remove_replaced,
    require_same,
)

SETTINGS = {"views": ["identity"], "overlap": 0.5, "largest_component": False, "device": "cpu", "confidence": False}
RECORD = {"model": "/r/model.safetensors", "model_sha256": "1", "method": "supervised", "settings": SETTINGS}


def test_only_a_record_that_can_be_read_tells_anything(tmp_path):
    path = tmp_path / "prediction.json"
    assert read_earlier(path) is None
    path.write_text('{"model": "m"}')
    assert read_earlier(path) == {"model": "m"}
    for text in ("{torn", "[1]"):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"--out .*: its prediction\.json cannot be read"):
            read_earlier(path)


@pytest.mark.parametrize(
    "earlier",
    [
        RECORD,
        RECORD | {"model": "/moved/model.safetensors"},
        {**RECORD, "settings": SETTINGS | {"device": "cuda:0", "precision": "bfloat16", "confidence": True}},
        {"model": RECORD["model"]},
        {},
    ],
    ids=["same", "moved", "elsewhere", "old", "empty"],
)
def test_the_same_prediction_may_be_repeated(earlier, tmp_path):
    assert require_same(tmp_path, earlier, RECORD) is None  # nothing raised


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_sha256": "2", "model": "/q/m", "method": "bcp"},
            r"another model \(bcp, /q/m\), not of supervised, /r/m",
        ),
        ({"model_sha256": "2"}, "not of this one, trained anew since"),
        ({"settings": SETTINGS | {"overlap": 0.25}}, r"other settings \(overlap 0.25, not 0.5\)"),
        ({"settings": SETTINGS | {"views": ["identity", "flip0"]}}, r"\(views identity\+flip0, not identity\)"),
        ({"settings": SETTINGS | {"largest_component": True}}, r"\(largest component on, not off\)"),
    ],
)
def test_another_model_or_setting_is_refused(changes, message, tmp_path):
    with pytest.raises(UsageError, match=rf"--out .*{message}") as caught:
        require_same(tmp_path, RECORD | changes, RECORD)
    assert "another folder" in caught.value.mend
    assert caught.value.exit_code == 2


def test_an_old_record_names_the_model_by_its_path(tmp_path):
    with pytest.raises(UsageError, match="another model"):
        require_same(tmp_path, {"model": "/q/m"}, RECORD)


def test_scores_and_report_go_and_nothing_else(tmp_path):
    for name in ("report.html", "scores.csv", "summary.csv", "comparison.csv", "evaluation.json", "notes.txt"):
        (tmp_path / name).write_text("x")
    removed = remove_outdated(tmp_path)
    assert sorted(removed) == ["comparison.csv", "evaluation.json", "report.html", "scores.csv", "summary.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert remove_outdated(tmp_path) == ()
    (tmp_path / "summary.csv").write_text("a table of the user")
    assert remove_outdated(tmp_path) == ()


def test_files_of_a_case_and_of_no_other(tmp_path):
    names = ("a.nii.gz", "a.nrrd", "a_confidence.nii.gz", "ab.nii.gz", "b_confidence.nii.gz", "a.txt")
    for name in names:
        (tmp_path / name).write_text("x")
    assert earlier_files(tmp_path, ["a"], None) == {"a": []}
    found = earlier_files(tmp_path, ["a", "b_confidence"], {})
    assert sorted(path.name for path in found["a"]) == ["a.nii.gz", "a.nrrd", "a_confidence.nii.gz"]
    assert [path.name for path in found["b_confidence"]] == ["b_confidence.nii.gz"]
    remove_replaced(found["a"], [tmp_path / "a.nrrd"])
    assert {path.name for path in tmp_path.iterdir()} == set(names) - {"a.nii.gz", "a_confidence.nii.gz"}
