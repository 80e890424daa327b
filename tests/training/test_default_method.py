import json
import shutil

import numpy as np
import pytest

from fewscan.errors import DataError
from fewscan.training.data import TrainingData
from fewscan.training.default_method import ALIKE, MANY, Facts, choose_method, facts_of
from fewscan.training.run import train


@pytest.mark.parametrize(
    ("facts", "method", "reason"),
    [
        (Facts(0, 9, likeness=ALIKE), "registration", "enough to lay them"),
        (Facts(0, 9, likeness=0.1), "registration", "look at the pairs first"),
        (Facts(5, 0, likeness=0.9), "supervised", "5 of 5 scans are labelled, so none is left"),
        (Facts(MANY + 1, 500, likeness=0.9), "supervised", "beyond 10 labels"),
        (Facts(MANY, 500, likeness=0.9), "mean_teacher", "10 of 510 scans are labelled.*0.90; .*compare joint$"),
        (Facts(1, 1, likeness=0.1), "mean_teacher", "1 of 2 scans are labelled.*0.10$"),
    ],
)
def test_choice(facts, method, reason):
    import re

    chosen = choose_method(facts)
    assert chosen.method == method
    assert re.search(reason, chosen.reason)


def test_facts_are_those_of_the_split_and_the_same_from_files_and_store(dataset, store, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    for path in (*copy.glob("labelsTr/*"), *copy.glob("*Ts/*")):
        path.write_bytes(b"must not be opened")
    wishes = {"labelled": 2, "validation": 1, "test": None, "seed": 0}
    found = facts_of(TrainingData(copy, quiet=True), **wishes)
    assert found[:2] == (2, 3)  # six training scans, one of them for validation
    assert 0.5 < found.likeness < 1  # balls that lie in much the same place
    prepared = facts_of(TrainingData(store, quiet=True), **wishes)
    assert prepared[:2] == found[:2]
    assert prepared.likeness == pytest.approx(found.likeness, abs=0.05)


def test_no_labels_wanted(dataset):
    facts = facts_of(TrainingData(dataset, quiet=True), labelled=0, validation=0, test=None, seed=0)
    assert (facts.labelled, facts.unlabelled) == (0, 6)


def test_a_run_says_what_was_chosen_and_why(store, tmp_path, fast, capsys):
    settings = fast | {"iterations": 1}
    run = train(store, tmp_path / "run", labelled=2, settings=settings, device="cpu")
    assert run.settings.method == "mean_teacher"
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("method: ")]
    assert len(said) == 1
    assert said[0].startswith("method: mean_teacher, as 2 of 6 scans are labelled")
    # the resumed run does not choose again
    assert train(store, run.folder, resume=True, device="cpu").settings.method == "mean_teacher"
    assert "method:" not in capsys.readouterr().out


@pytest.mark.parametrize("where", ["file", "single"])
def test_a_method_in_the_settings_is_a_choice(store, tmp_path, fast, where):
    settings = fast | {"iterations": 1}
    config = tmp_path / "settings.yaml"
    config.write_text(json.dumps({"method": "supervised"} if where == "file" else {}))
    settings |= {"method": "supervised"} if where == "single" else {}
    run = train(store, tmp_path / "run", labelled=2, config=config, settings=settings, device="cpu", quiet=True)
    assert run.settings.method == "supervised"


def test_scans_as_given_and_as_prepared(dataset, store):
    [given], [prepared] = (TrainingData(place, quiet=True).first_channels(["scan4"]) for place in (dataset, store))
    assert given.shape == prepared.shape
    assert np.corrcoef(given.ravel(), prepared.ravel())[0, 1] == pytest.approx(1, abs=1e-3)


def test_a_scan_that_cannot_be_read_is_left_to_the_preparation_which_names_all_of_them(dataset, tmp_path):
    copy = shutil.copytree(dataset, tmp_path / "Dataset002_Copy")
    (copy / "imagesTr" / "scan1_0000.nii.gz").write_bytes(b"broken")
    (copy / "imagesTr" / "scan5_0000.nii.gz").write_bytes(b"broken")
    assert len(list(TrainingData(copy, quiet=True).first_channels(["scan0", "scan1", "scan2"]))) == 2
    with pytest.raises(DataError, match=r"scan1(?s:.*)scan5"):
        train(copy, tmp_path / "run", quiet=True, device="cpu")


def test_scans_are_looked_at_one_after_the_other(store):
    found = TrainingData(store, quiet=True).first_channels(["scan4", "no such scan"])
    assert next(found).ndim in (2, 3)  # the second is not touched before the first is done with
