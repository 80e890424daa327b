import dataclasses
import json

import pytest

from fewscan.errors import DataError
from fewscan.metrics.evaluate import evaluate
from fewscan.report.found.evaluation_file import read_evaluation, unlike_scored
from fewscan.report.found.naming import named
from fewscan.report.found.sources import label_maps


@pytest.fixture
def folder(tmp_path, make_predictions):
    return make_predictions(tmp_path, cases=("p0", "p1", "p9"), scored=False)


def test_what_was_written_is_read_back_equal(folder, tmp_path):
    # p9's ball is moved beyond the edge and wraps round: other scores than the rest, infinities come from no one here
    (folder / "prediction.json").write_text('{"training_cases": {"labelled": ["p1"], "validation": ["p9"]}}')
    found = evaluate(folder, tmp_path / "labels", baseline=folder)
    assert found.trained_on == ("p1",)
    found.write(folder)
    again = read_evaluation(folder)
    assert json.dumps(again.to_json()) == json.dumps(found.to_json())
    assert read_evaluation(tmp_path) is None


def test_infinity_and_nothing_to_score_come_back_as_numbers(folder, tmp_path):
    evaluate(folder, tmp_path / "labels").write(folder)
    path = folder / "evaluation.json"
    data = json.loads(path.read_text())
    data["scores"][0]["scores"] |= {"hd_mm": "inf", "dice": None}
    path.write_text(json.dumps(data))
    scores = read_evaluation(folder).scores[0].scores
    assert scores["hd_mm"] == float("inf")
    assert scores["dice"] != scores["dice"]


def test_label_maps_that_were_not_scored_are_found_by_their_content(folder, tmp_path):
    found = evaluate(folder, tmp_path / "labels")
    files = label_maps(folder)
    assert unlike_scored(found, files) == ()
    assert unlike_scored(found, {}) == ()
    assert unlike_scored(found, {"q": files["p0"]}) == ("q",)  # none of the scored cases is there
    files["p1"].write_bytes(files["p0"].read_bytes())
    assert unlike_scored(found, files) == ("p1",)
    files["p1"].unlink()
    assert unlike_scored(found, {case: files[case] for case in ("p0", "p9")}) == ()
    # an early version did not say what it scored
    files["p9"].write_bytes(files["p0"].read_bytes())
    assert unlike_scored(dataclasses.replace(found, digests={}), files) == ()


def test_another_file_of_this_name_is_refused(tmp_path):
    (tmp_path / "evaluation.json").write_text('{"some": "thing"}')
    with pytest.raises(DataError, match="not as `fewscan evaluate` writes it"):
        read_evaluation(tmp_path)


def test_classes_that_were_numbers_get_their_names(folder, tmp_path):
    found = evaluate(folder, tmp_path / "labels", names={})
    assert found.names == {1: "1"}
    better = named(found, {1: "ball"})
    assert better.names == {1: "ball"}
    assert {row.label for row in better.summary} == {"ball"}
    assert set(better.means) == {"ball"}
    assert named(better, {1: "other"}) is better
    two = dataclasses.replace(found, names={1: "1", 2: "ball"})
    assert named(two, {1: "ball"}) is two  # it would be there twice
