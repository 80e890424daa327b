import pytest

from fewscan.errors import DataError
from fewscan.report.found.kinds import Kind, read_json, read_json_list, recognise, title_of


def touch(path, text="{}"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["run.json", "settings.yaml"], Kind.RUN),
        (["prediction.json", "evaluation.json"], Kind.PREDICTION),
        (["evaluation.json"], Kind.EVALUATION),
        (["study.yaml", "cells/a/run/run.json"], Kind.STUDY),
        (["registration.json", "pairs.csv"], Kind.REGISTRATION),
    ],
)
def test_every_kind_is_told_by_its_record(tmp_path, files, kind):
    for name in files:
        touch(tmp_path / name)
    found = recognise(tmp_path)
    assert (found.kind, found.folder, found.scores) == (kind, tmp_path, tmp_path)


def test_the_cell_of_a_study_stands_for_its_predictions_and_their_scores(tmp_path):
    touch(tmp_path / "predictions" / "prediction.json")
    assert recognise(tmp_path).scores == tmp_path / "predictions"
    touch(tmp_path / "evaluation" / "evaluation.json")
    found = recognise(tmp_path)
    assert found.kind is Kind.PREDICTION
    assert (found.folder, found.scores) == (tmp_path / "predictions", tmp_path / "evaluation")


def test_a_name_that_says_little_has_the_folder_around_it_before(tmp_path):
    (tmp_path / "knee" / "run").mkdir(parents=True)
    assert title_of(tmp_path / "knee" / "run") == "knee: run"
    assert title_of(tmp_path / "knee") == "knee"


def test_broken_records_are_named(tmp_path):
    touch(tmp_path / "a.json", "{")
    assert read_json(tmp_path / "none.json") == {}
    with pytest.raises(DataError, match=r"a\.json: not readable as JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="not readable as JSON"):
        read_json_list(tmp_path / "a.json")
    touch(tmp_path / "b.json", "{}")
    with pytest.raises(DataError, match="holds no JSON list"):
        read_json_list(tmp_path / "b.json")
