import pytest
import yaml

from fewscan.errors import UsageError
from fewscan.experiments.study import Study

MINIMAL = {"name": "s", "data": "scans", "methods": ["supervised"], "labelled": [4]}


def _read(tmp_path, **changes):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | changes))
    return Study.read(path)


def test_names_and_labels_default_to_the_method(tmp_path):
    study = _read(tmp_path, methods=["supervised", {"method": "supervised", "name": "slow", "label": "Slow one"}])
    assert [(entry.name, entry.label) for entry in study.methods] == [
        ("supervised", "supervised"),
        ("slow", "Slow one"),
    ]
    assert study.seeds == (0, 1, 2)


def test_paths_are_relative_to_the_file(tmp_path):
    study = _read(tmp_path, data="../scans", plan="plan.yaml")
    assert study.data == str(tmp_path.parent / "scans")
    assert study.plan == str(tmp_path / "plan.yaml")


def test_written_study_reads_back_the_same(tmp_path):
    study = _read(tmp_path, labelled=[2, 0.5, "all", ["a", "b"]], planning={"dimensions": 2})
    study.write(tmp_path / "again.yaml")
    assert Study.read(tmp_path / "again.yaml") == study
    assert study.labelled == (2, 0.5, "all", ("a", "b"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": [1]}, "unknown key 'seed': did you mean 'seeds'"),
        ({"methods": [{"method": "supervised", "presett": "paper"}]}, r"methods\[0\]: unknown key 'presett'"),
        ({"methods": ["supervised", "supervised"]}, "supervised is there twice"),
        ({"methods": ["supervisd"]}, "methods: unknown method 'supervisd': did you mean 'supervised'"),
        ({"methods": ["mean_teacher"]}, "baseline 'supervised' is not among the methods"),
        ({"also_against": ["supervised"]}, "'supervised' is not one of the other methods"),
        ({"seeds": [1, 1]}, "one is there twice"),
        ({"settings": {"seed": 3}}, "seed is varied by the study itself"),
        ({"methods": [{"method": "supervised", "settings": {"preset": "paper"}}]}, "preset is varied"),
        ({"checkpoint": "best"}, "needs validation cases"),
        ({"plan": "p.yaml", "planning": {"dimensions": 2}}, "exclude each other"),
        ({"labelled": []}, "labelled"),
        ({"labelled": [True]}, "a count, a fraction or a list"),
        ({"labelled": ["a", "b"]}, r"'a' is no amount; a list of ids is an amount by itself: \[\[a, b\]\]"),
        ({"methods": [{"method": "supervised", "name": "a/b"}]}, "name"),
        ({"methods": [{"method": "supervised", "labelled": [2]}], "labelled": [2]}, "so leave its labelled out"),
        ({"methods": ["supervised", {"method": "uamt", "labelled": [77]}]}, "uamt: labelled has amounts that"),
    ],
)
def test_mistakes_are_told(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        _read(tmp_path, **changes)
