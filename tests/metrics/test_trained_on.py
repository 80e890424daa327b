"""Which scored cases the model has seen."""

import json

import pytest

from fewscan.metrics.trained_on import (
    TrainingCases,
    among,
    recorded_training_cases,
    training_cases,
    training_notes,
    training_warnings,
)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "split.json").write_text(json.dumps({"labelled": ["a"], "unlabelled": ["u"], "validation": ["v"]}))
    return folder


def test_the_split_beside_a_model_and_its_own_details_count(run, tmp_path):
    found = training_cases(run / "model.safetensors", {"labelled": ["a", "b"]})
    assert found == TrainingCases(frozenset("ab"), frozenset("v"))
    assert found.to_json() == {"labelled": ["a", "b"], "validation": ["v"]}
    # a model file that was moved away still knows what it learned from
    assert training_cases(tmp_path / "model.safetensors", {"labelled": ["b"]}) == TrainingCases(frozenset("b"))


def test_a_model_alone_tells_what_it_was_validated_on_and_saw_without_labels(tmp_path):
    details = {"labelled": ["a"], "validation": ["w"], "unlabelled": ["u", "x"]}
    found = training_cases(tmp_path / "model.safetensors", details)
    assert found == TrainingCases(frozenset("a"), frozenset("w"), frozenset("ux"))
    assert found.to_json() == {"labelled": ["a"], "validation": ["w"], "unlabelled": ["u", "x"]}


def test_the_split_does_not_say_that_unlabelled_scans_were_looked_at(run):
    """A supervised run has them in its split, and a model file of before does not tell."""
    assert training_cases(run / "model.safetensors", {"labelled": ["a"]}).unlabelled == frozenset()


def test_the_record_of_the_predictions_tells(run, tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    assert recorded_training_cases(folder) == TrainingCases()
    record = {"model": str(run / "model.safetensors")}  # as it was before the cases were written down
    (folder / "prediction.json").write_text(json.dumps(record))
    assert recorded_training_cases(folder) == TrainingCases(frozenset("a"), frozenset("v"))
    (folder / "prediction.json").write_text(json.dumps({**record, "training_cases": {"labelled": ["c"]}}))
    assert recorded_training_cases(folder) == TrainingCases(frozenset("c"))
    assert recorded_training_cases(folder / "one.nii.gz") == TrainingCases(frozenset("c"))


@pytest.mark.parametrize(
    "text", ["{torn", "[]", '{"model": 3}', '{"training_cases": 1}', '{"training_cases": {"labelled": 2}}']
)
def test_records_of_another_kind_tell_nothing(text, tmp_path):
    (tmp_path / "prediction.json").write_text(text)
    assert recorded_training_cases(tmp_path) == TrainingCases()


def test_warnings_name_the_cases():
    assert training_warnings(20, trained_on=(), validated_on=()) == ()
    learned, validated = training_warnings(20, trained_on=("a", "b"), validated_on=("v",))
    assert learned == "2 of 20 cases were trained on: a, b; their scores say nothing about new scans"
    assert (
        validated
        == "1 of 20 cases was used for validation: v; if the model was chosen by such scores, they are too good"
    )
    [many] = training_warnings(12, trained_on=[f"c{k:02d}" for k in range(12)], validated_on=())
    assert "c09 and 2 more;" in many


def test_warnings_say_who_used_the_cases():
    learned, validated = training_warnings(9, trained_on=("a",), validated_on=("v",), by=" by the baseline")
    assert learned == "1 of 9 cases was trained on by the baseline: a; its score says nothing about new scans"
    assert validated.startswith("1 of 9 cases was used for validation by the baseline: v; ")


def test_images_seen_without_a_label_are_a_note():
    assert training_notes(9, seen_unlabelled=()) == ()
    assert training_notes(9, seen_unlabelled=("u", "x")) == (
        "2 of 9 cases were seen in training without their labels: u, x; scans that are quite new may be segmented "
        "less well",
    )


def test_among_gives_what_both_have_in_order():
    assert among(["c", "a", "b"], {"b", "c", "z"}) == ("b", "c")
