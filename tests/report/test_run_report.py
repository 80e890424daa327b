import json

import numpy as np
import pytest
from matplotlib.image import imsave

from fewscan.experiments.tables import Table
from fewscan.files import write_json
from fewscan.report.document.content import Code, Facts, Gallery, Note, Picture
from fewscan.report.page import compose
from fewscan.report.sections.learning import term_table
from fewscan.report.sections.reproduce import predict_command, register_command, train_command
from fewscan.training.run import Run


@pytest.fixture
def facts(blocks_in):
    """Return a function that gives the facts of a section by name."""
    return lambda report, name: dict(item for block in blocks_in(report, name, Facts) for item in block.items)


@pytest.fixture
def table(blocks_in):
    """Return a function that gives the table of a section by its title."""
    return lambda report, name, title: next(found for found in blocks_in(report, name, Table) if found.title == title)


def test_what_on_what_and_how(tmp_path, make_run, blocks_in, facts, table):
    report = compose(make_run(tmp_path / "knee"))
    assert (report.title, report.state, report.complete) == ("knee", "finished", True)
    found = facts(report, "training")
    assert found["method"].endswith("(mean_teacher)")
    assert found["seed"] == "7"
    assert found["classes (label value)"] == "ball (1)"
    rows = {row[0]: row for row in table(report, "training", "Scans").rows}
    assert rows["labelled"][1] == "2"
    assert rows["unlabelled"][3] == "c"
    notes = table(report, "training", "Scans").notes
    assert notes[0].startswith("Annotation cost: 3 scans")  # two labelled and one for validation
    assert {tile.label: tile.value for tile in report.tiles}["best validation Dice"] == "0.810"
    time = facts(report, "time")
    assert (time["training"], time["peak memory"], time["median step"]) == ("2 min 45 s", "2.0 GiB", "0.5 s")
    assert facts(report, "reproduce")["fewscan"] == "9.8.7"
    assert any("seed: 7" in block.text for block in blocks_in(report, "settings", Code))


def test_terms_in_numbers(make_steps):
    # the last of ten values is 2 - 90/100 = 1.1; products 1.1 and 0.11, so their shares are 91 % and 9 %
    rows = {row[0]: row[1:] for row in term_table(make_steps(100, supervised=1.0, consistency=0.1)).rows}
    assert rows["supervised"] == ("2.0000", "1.1000", "1.0000", "1.1000", "91 %")
    assert rows["consistency"] == ("2.0000", "1.1000", "0.1000", "0.1100", "9 %")


def test_an_unfinished_run_says_so(tmp_path, make_run, make_steps):
    report = compose(make_run(tmp_path / "run", finished=False, records=make_steps(50, supervised=1.0)))
    assert report.state == "NOT FINISHED: 41 steps logged of 100. The same command with --resume continues."
    assert not report.complete
    assert report.figures["state"] == "started"


@pytest.mark.parametrize("missing", [("split.json", "plan.yaml", "log.jsonl", "environment.json"), ("settings.yaml",)])
def test_a_run_that_was_hardly_begun_is_reported_on(tmp_path, make_run, missing, blocks_in):
    folder = make_run(tmp_path / "run", finished=False)
    for name in missing:
        (folder / name).unlink()
    report = compose(folder)
    assert report.state.startswith("NOT FINISHED")
    texts = [block.text for block in blocks_in(report, "training", Note)]
    assert any(missing[0] in text for text in texts)


def test_a_damaged_record_leaves_the_rest(tmp_path, make_run, blocks_in):
    folder = make_run(tmp_path / "run")
    (folder / "environment.json").write_text("{")
    report = compose(folder)
    assert any("could not be shown" in block.text for block in blocks_in(report, "time", Note))
    assert blocks_in(report, "learning", Gallery)


def test_a_joint_run_shows_its_rounds(tmp_path, make_run, make_steps, blocks_in, table):
    records = [{**record, "stage": "segmentation", "round": 0} for record in make_steps(30, supervised=1.0)]
    folder = make_run(tmp_path / "run", method="joint", records=records)
    first = {"round": 0, "mean_dice": 0.5, "seconds": {"segmentation": 2.0}, "steps": {"segmentation": 30}}
    second = {"round": 1, "mean_dice": 0.6, "entropy": 0.125, "disagreement": 0.25, "scans": 4, "kept": 1}
    write_json(folder / "rounds.json", [first, second])
    (folder / "rounds").mkdir()
    for name in ("strip.png", "round_1.png"):
        imsave(folder / "rounds" / name, np.zeros((4, 6, 3)))
    report = compose(folder)
    assert table(report, "rounds", "Rounds").rows[1][:6] == ("1", "0.600", "0.125", "0.250", "4", "1")
    pictures = blocks_in(report, "rounds", Picture)
    assert [picture.look for picture in pictures] == ["scan", "scan"]
    assert "1 rounds" in pictures[0].alt
    assert "mean disagreement 0.250" in pictures[1].alt


def test_the_command_of_a_run_says_everything_it_was_asked(tmp_path, make_run):
    folder = make_run(tmp_path / "run", data="my data")
    command = train_command(Run(folder))
    assert (
        command == f"fewscan train 'my data' --out NEW_RUN --config {folder}/settings.yaml --labelled 2 --validation 1"
    )
    record = json.loads((folder / "run.json").read_text())
    record["asked"] |= {"labelled": ["a b", "c"], "planning": {"dimensions": 2}, "validation": ["v"]}
    (folder / "run.json").write_text(json.dumps(record))
    first, second, third = train_command(Run(folder)).splitlines()
    assert first == r"printf '%s\n' 'a b' c > labelled.txt"
    assert second.endswith("--labelled-list labelled.txt --dimensions 2")
    assert third.endswith("as a list: v")
    record["asked"] |= {"planning": {"spacing_mm": [1, 1]}, "labelled": None, "validation": 0}
    (folder / "run.json").write_text(json.dumps(record))
    assert train_command(Run(folder)).endswith(f"--plan {folder}/plan.yaml")
    # no labels at all is a wish of its own, unlike no scans for validation
    record["asked"] |= {"planning": None, "labelled": 0}
    (folder / "run.json").write_text(json.dumps(record))
    assert train_command(Run(folder)).endswith("settings.yaml --labelled 0")


def test_scans_that_a_method_does_not_use_are_not_said_to_train_it(tmp_path, make_run, table):
    for method, purpose in (("mean_teacher", "trained with the image alone"), ("supervised", "not used")):
        report = compose(make_run(tmp_path / method, method=method))
        rows = {row[0]: row for row in table(report, "training", "Scans").rows}
        assert rows["unlabelled"][2].startswith(purpose)


def test_other_commands_leave_out_what_nobody_chose(tmp_path):
    settings = {"views": ["identity"], "overlap": 0.5, "confidence": True, "device": "cuda:0", "precision": "bfloat16"}
    command = predict_command({"model": "M", "settings": settings})
    assert command == "fewscan predict M SCANS --out NEW_PREDICTIONS --confidence --device cuda --precision bf16"
    settings |= {"views": ["a", "b"], "overlap": 0.25, "confidence": False, "largest_component": True}
    assert "--views 2 --overlap 0.25 --largest-component" in predict_command({"settings": settings})
    command = register_command({"classical": "demons", "settings": {"align": "none", "seed": 0}}, tmp_path)
    assert command.startswith("fewscan register --classical demons --pairs")
    assert command.endswith("--out NEW_FOLDER --align none")
    assert register_command({"model": "RUN", "settings": {}}, tmp_path).startswith("fewscan register RUN")
