"""Commands that do it again, given to the command line's own parser and to its search for scans."""

import json
import shlex
from pathlib import Path

import pytest
import typer

from fewscan.cli.app import app
from fewscan.files import write_json
from fewscan.metrics.evaluate import evaluate
from fewscan.registration.pairs import find_pairs
from fewscan.report.document.content import Code
from fewscan.report.page import compose
from fewscan.report.sections.reproduce import register_command


def pair(moving, fixed):
    """What is on record about a pair; each scan is its id and its files."""
    sides = {"moving": moving, "fixed": fixed}
    return {side: {"id": scan[0], "images": [str(path) for path in scan[1:]]} for side, scan in sides.items()}


def understood(command):
    """Return what the command line makes of a command."""
    words = shlex.split(command)
    assert words[:2] == ["fewscan", "register"]
    return typer.main.get_command(app).commands["register"].make_context("register", words[2:]).params


@pytest.fixture
def command(tmp_path):
    """Return a function that gives the command for pairs, understood, and writes their table."""

    def make(*pairs, **settings):
        rows = [f"{each['moving']['id']},{each['fixed']['id']}" for each in pairs]
        (tmp_path / "pairs.csv").write_text("\n".join(["moving,fixed", *rows, ""]))
        record = {"model": "RUN", "settings": settings, "pairs": pairs}
        return understood(register_command(record, tmp_path))

    return make


@pytest.fixture
def scans(tmp_path):
    """Return a function that makes files of a folder, which no test opens as images."""

    def make(folder, *names):
        (tmp_path / folder).mkdir(exist_ok=True)
        paths = [tmp_path / folder / f"{name}.nii.gz" for name in names]
        for path in paths:
            path.write_bytes(b"scan")
        return paths

    return make


def found(given, channels=1):
    """Return the pairs that the command finds, as ids and files."""
    places = {name: None if given[name] is None else Path(given[name]) for name in ("moving", "fixed", "pairs")}
    listed = find_pairs(**places, all_pairs=None, channels=channels)
    return [pair((each.moving.id, *each.moving.images), (each.fixed.id, *each.fixed.images)) for each in listed]


def test_device_and_precision_are_said_where_they_were_chosen(command):
    given = command(device="cpu", precision="bf16", threads=2)
    assert (given["device"], given["precision"], given["threads"]) == ("cpu", "bf16", 2)
    given = command(device="auto", precision="auto")
    assert (given["device"], given["precision"]) == ("auto", "auto")
    # a classical method has none
    record = {"classical": "demons", "settings": {"align": "none", "device": None, "precision": None}}
    assert register_command(record, Path("there")).endswith("--out NEW_FOLDER --align none")
    assert "--device" not in register_command({"settings": {"device": "auto", "precision": "auto"}}, Path("there"))


def test_labels_are_given_where_they_were_given(tmp_path):
    record = {"classical": "affine", "settings": {}, "labels": {"moving": "my labels"}}
    given = understood(register_command(record, tmp_path))
    assert (given["moving_labels"], given["fixed_labels"]) == (Path("my labels"), None)


def test_one_file_and_one_folder(command, scans):
    a, b = scans("scans", "a", "b")
    (c,) = scans("atlas", "c")
    pairs = [pair(("a", a), ("c", c)), pair(("b", b), ("c", c))]
    given = command(*pairs)
    assert (Path(given["moving"]), Path(given["fixed"])) == (a.parent, c)
    assert found(given) == pairs


def test_every_pair_of_a_folder_with_a_space(command, scans):
    a, b = scans("my scans", "a", "b")
    pairs = [pair(("a", a), ("b", b)), pair(("b", b), ("a", a))]
    given = command(*pairs)
    assert Path(given["moving"]) == Path(given["fixed"]) == a.parent
    assert found(given) == pairs


def test_several_channels_are_given_by_their_folder(command, scans):
    files = scans("scans", "a_0000", "a_0001", "b_0000", "b_0001")
    pairs = [pair(("a", *files[:2]), ("b", *files[2:]))]
    given = command(*pairs)
    assert Path(given["moving"]) == Path(given["fixed"]) == files[0].parent
    assert found(given, channels=2) == pairs


def test_a_file_whose_id_depends_on_its_neighbours_is_given_by_its_folder(command, scans):
    first, second = scans("scans", "patient_0000", "patient_0001")  # alone, the first would be called "patient"
    pairs = [pair(("patient_0000", first), ("patient_0001", second))]
    given = command(*pairs)
    assert (Path(given["moving"]), Path(given["fixed"])) == (first.parent, second)
    assert found(given) == pairs


def test_a_word_to_be_replaced_stands_for_what_no_single_place_gives(command, scans):
    (a,), (b,) = scans("first", "a"), scans("second", "b")
    (other,) = scans("third", "a")
    given = command(pair(("a", a), ("chosen", b)), pair(("b", b), ("chosen", b)))
    assert str(given["moving"]) == "MOVING_SCANS"  # two folders
    assert str(given["fixed"]) == "FIXED_SCANS"  # an id of a manifest
    # two scans of one id
    assert str(command(pair(("a", a), ("b", b)), pair(("a", other), ("c", b)))["moving"]) == "MOVING_SCANS"
    # interrupted before the first pair
    assert str(command()["moving"]) == "MOVING_SCANS"


def test_a_place_that_is_gone_is_named_all_the_same(command, tmp_path):
    gone = tmp_path / "gone"
    given = command(*(pair((name, gone / f"{name}.nii.gz"), ("c", gone / "c.nii.gz")) for name in "ab"))
    assert (Path(given["moving"]), Path(given["fixed"])) == (gone, gone / "c.nii.gz")


@pytest.fixture
def commands(blocks_in):
    """Return a function that gives the commands of a report on predictions, each as words."""

    def make(folder, **places):
        lines = blocks_in(compose(folder, **places), "reproduce", Code)[0].text.splitlines()
        words = [shlex.split(line) for line in lines]
        return {each[1]: each for each in words if each[0] == "fewscan"}

    return make


def test_each_command_reads_what_the_one_before_it_writes(tmp_path, make_run, make_predictions, commands):
    run = make_run(tmp_path / "run")
    folder = make_predictions(tmp_path, model=run / "model.safetensors")
    found = commands(folder, scans=tmp_path / "scans")
    train, predict, score = (found[name] for name in ("train", "predict", "evaluate"))
    assert train[train.index("--out") + 1] == predict[2] == "NEW_RUN"
    assert predict[3] == str(tmp_path / "scans")
    assert predict[predict.index("--out") + 1] == score[2] == "NEW_PREDICTIONS"
    assert score[3] == str(tmp_path / "labels")


def test_another_model_of_the_run_is_taken_from_the_new_run(tmp_path, make_run, make_predictions, commands):
    run = make_run(tmp_path / "run")
    folder = make_predictions(tmp_path, model=run / "model_best.safetensors")
    assert commands(folder)["predict"][2] == "NEW_RUN/model_best.safetensors"


def test_a_model_without_its_run_predicts_again_itself(tmp_path, make_predictions, commands):
    found = commands(make_predictions(tmp_path, model=tmp_path / "alone" / "model.safetensors"))
    assert "train" not in found
    assert found["predict"][2] == str(tmp_path / "alone" / "model.safetensors")
    assert found["evaluate"][2] == "NEW_PREDICTIONS"


def test_scans_are_named_where_one_place_holds_these_and_no_others(tmp_path, make_run, make_predictions, commands):
    data = tmp_path / "data"
    folder = make_predictions(tmp_path, model=make_run(tmp_path / "run", data=data) / "model.safetensors")
    (data / "images").mkdir(parents=True)
    (data / "labels").mkdir()
    for path in (tmp_path / "scans").iterdir():
        path.rename(data / "images" / path.name)
        (data / "labels" / path.name).write_bytes((tmp_path / "labels" / path.name).read_bytes())
    assert commands(folder)["predict"][3] == str(data / "images")
    (data / "images" / "more.nii.gz").write_bytes((data / "images" / "p0.nii.gz").read_bytes())
    assert commands(folder)["predict"][3] == "SCANS"


def test_places_are_absolute_where_they_are_found(tmp_path, make_predictions, commands, monkeypatch):
    folder = make_predictions(tmp_path)
    baseline = make_predictions(tmp_path / "other", scored=False)
    monkeypatch.chdir(tmp_path)
    evaluate(folder, Path("labels"), baseline=Path("other/predictions"))
    given = commands(Path("predictions"))["evaluate"]
    assert given[3:] == [str(tmp_path / "labels"), "--baseline", str(baseline)]
    record = json.loads((folder / "evaluation.json").read_text())
    write_json(folder / "evaluation.json", record | {"labels": "as typed elsewhere"})
    assert commands(folder)["evaluate"][3] == "as typed elsewhere"
