import json

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fewscan.data.plan import Plan
from fewscan.experiments.tables import Table
from fewscan.files import write_json
from fewscan.report.document.content import Code, Gallery, Note, Panels
from fewscan.report.page import compose
from fewscan.report.panels.pairs import (
    FOLD,
    label_names,
    model_plan,
    normalised,
    paint_determinant,
    pair_panels,
    read_pair,
)


def read_record(folder):
    return json.loads((folder / "registration.json").read_text())


def test_the_whole_report(tmp_path, make_registration, blocks_in):
    report = compose(make_registration(tmp_path))
    assert report.complete
    first, second = blocks_in(report, "scores", Table)
    assert first.rows == (
        ("similarity (GNCC)", "1", "0.300", "0.900", "+0.600"),
        ("Dice", "1", "0.500", "1.000", "+0.500"),
        ("95 % Hausdorff distance, mm", "1", "6.00", "0.00", "-6.00"),
    )
    assert ("largest shift, mm", "6.00", "6.00", "6.00") in second.rows
    [gallery] = blocks_in(report, "spread", Gallery)
    assert "1 better, 0 worse" in gallery.pictures[0].alt
    [panels] = blocks_in(report, "pictures", Panels)
    assert panels.title == "Only: moving_to_fixed"
    [note] = blocks_in(report, "review", Note)
    assert (note.level, note.text.endswith("No pair with labels lost Dice.")) == ("good", True)
    assert "Planes" not in blocks_in(report, "pictures")[0].text  # the scans are 2-D
    [command] = blocks_in(report, "reproduce", Code)
    assert command.text.endswith("--align none --metric correlation --seed 3")
    assert f"--moving {tmp_path}/moving.nii.gz --fixed {tmp_path}/fixed.nii.gz --moving-labels" in command.text
    assert "--moving-labels masks --fixed-labels truth.nii.gz" in command.text


def test_pictures_by_hand(tmp_path, make_registration):
    folder = make_registration(tmp_path, shift=3)
    [pair] = read_record(folder)["pairs"]
    seen = read_pair(folder, pair, align="none", plan=None)
    # physical coordinates count: the moving ball lies three voxels further before, and on the fixed one after
    np.testing.assert_allclose(seen.before, np.roll(seen.fixed, 3, axis=0), atol=1e-4)
    inside = (slice(0, -3), slice(None))  # what lies farther was outside of the moving scan
    np.testing.assert_allclose(seen.after[inside], seen.fixed[inside], atol=1e-4)
    np.testing.assert_allclose(seen.moved_mm[0], 6.0)
    np.testing.assert_allclose(seen.determinant, 1.0)
    # both scans are nowhere zero, so that nothing is cropped and their centres are those of the grids: equal
    np.testing.assert_allclose(read_pair(folder, pair, align="centre", plan=None).moved_mm[0], 6.0, atol=1e-5)


def test_eight_pictures_and_their_texts(tmp_path, make_registration):
    folder = make_registration(tmp_path)
    [pair] = read_record(folder)["pairs"]
    panels = pair_panels(read_pair(folder, pair, align="none", plan=None), pair_id="x", title="t", facts="")
    [(_, row)] = panels.rows
    assert [picture.caption for picture in row] == [
        "fixed", "moving, before", "moving, warped", "fixed, warped labels", "difference before", "difference after",
        "warped grid", "Jacobian",
    ]  # fmt: skip
    assert "from 1.00 to 1.00 in this plane" in row[-1].alt
    without = make_registration(tmp_path / "other", labels=False)
    [pair] = read_record(without)["pairs"]
    [(_, row)] = pair_panels(read_pair(without, pair, align="none", plan=None), pair_id="x", title="t", facts="").rows
    assert len(row) == 7


def test_the_determinant_has_its_colours():
    painted = paint_determinant(np.array([[1.0, 4.0, 2.0, -0.1, 0.0]]))
    assert painted[0, 0].min() > 0.95  # white: volume is kept
    np.testing.assert_array_equal(painted[0, 1], painted[0, 2])  # cut off at twice
    np.testing.assert_allclose(painted[0, 3:], [to_rgb(FOLD)] * 2)


def test_grey_values_are_of_what_is_not_background():
    image = np.zeros((10, 10), np.float32)
    image[2:8, 2:8] = np.linspace(10, 20, 36).reshape(6, 6)
    grey = normalised(image)
    assert grey.min() == 0
    assert grey.max() == 1
    np.testing.assert_array_equal(normalised(np.full((4, 4), 7.0)), np.ones((4, 4)) * normalised(np.full((1, 1), 7.0)))


def test_flagged_and_failed_pairs_are_said(tmp_path, make_registration, blocks_in):
    folder = make_registration(tmp_path)
    record = read_record(folder)
    record["pairs"][0]["flags"] = ["folds: 2 % of the voxels fold"]
    write_json(folder / "registration.json", record | {"failures": {"c_to_d": "no such file"}})
    report = compose(folder)
    assert report.state == "NOT COMPLETE: 1 pair could not be registered."
    [flagged] = blocks_in(report, "review", Table)
    assert flagged.rows[0][1] == "folds: 2 % of the voxels fold"
    assert blocks_in(report, "review", Panels)


@pytest.mark.parametrize("labels", [True, False])
def test_scans_that_are_gone_cost_the_pictures_alone(tmp_path, make_registration, labels, blocks_in):
    folder = make_registration(tmp_path, labels=labels)
    (tmp_path / "moving.nii.gz").unlink()
    report = compose(folder)
    assert report.complete
    assert "could not be shown" in blocks_in(report, "pictures", Note)[0].text
    assert ("Dice" in report.tiles[2].label) is labels


def test_an_interrupted_registration_is_reported_on(tmp_path, make_registration):
    folder = make_registration(tmp_path)
    write_json(folder / "registration.json", read_record(folder) | {"pairs": []})
    report = compose(folder)
    assert report.state == "NOT COMPLETE: no pair is on record; it was interrupted."
    assert not report.complete


def test_infinite_distances_stay_infinite(tmp_path, make_registration, blocks_in):
    folder = make_registration(tmp_path)
    record = read_record(folder)
    record["pairs"][0]["labels"][0]["hd95_mm_before"] = "inf"
    write_json(folder / "registration.json", record)
    rows = {row[0]: row for row in blocks_in(compose(folder), "scores", Table)[0].rows}
    assert rows["95 % Hausdorff distance, mm"] == ("95 % Hausdorff distance, mm", "1", "∞", "0.00", "–")


def test_the_plan_of_a_model_is_read_where_it_still_is(tmp_path, make_run):
    run = make_run(tmp_path / "run")
    assert isinstance(model_plan(str(run)), Plan)
    assert isinstance(model_plan(str(run / "model.safetensors")), Plan)
    assert model_plan(str(tmp_path / "gone")) is None
    assert model_plan(None) is None
    (run / "plan.yaml").write_text("nothing: true")
    assert model_plan(str(run)) is None


def several(folder, **changes):
    """Write the one pair again under other ids, each with its changes."""
    record = read_record(folder)
    [pair] = record["pairs"]
    pairs = [{**pair, "id": name, **changed} for name, changed in changes.items()]
    write_json(folder / "registration.json", record | {"pairs": pairs})


def test_dice_and_similarity_are_not_ranked_together(tmp_path, make_registration, blocks_in):
    folder = make_registration(tmp_path)
    without = {"labels": [], "mean_dice": None, "similarity": {"before": 0.3, "after": 0.99}, "flags": ["look"]}
    good, bad = ({"mean_dice": {"before": 0.1, "after": value}, "flags": ["look"]} for value in (0.8, 0.6))
    several(folder, good=good, bad=bad, without=without)
    report = compose(folder)
    assert "Ranked by mean Dice after" in blocks_in(report, "pictures")[0].text
    titles = [note.text for note in blocks_in(report, "pictures", Note)]  # their fields are not there
    assert [text.split()[1] for text in titles] == ["good", "bad"]
    [flagged] = blocks_in(report, "review", Table)
    assert flagged.head[2] == "mean Dice after"
    assert [(row[0], row[2]) for row in flagged.rows] == [("without", "–"), ("bad", "0.600"), ("good", "0.800")]
    rows = {row[0]: row for row in blocks_in(report, "scores", Table)[0].rows}
    assert (rows["similarity (GNCC)"][1], rows["Dice"][1]) == ("3", "2")  # pairs that have the measure


def test_pairs_that_lost_dice_are_said_although_nothing_flagged_them(tmp_path, make_registration, blocks_in):
    folder = make_registration(tmp_path)
    worse, better = ({"mean_dice": {"before": before, "after": 0.835}} for before in (0.866, 0.5))
    several(folder, worse=worse, better=better)
    report = compose(folder)
    assert {tile.label: tile.value for tile in report.tiles}["pairs that lost Dice"] == "1"
    note = blocks_in(report, "review", Note)[0]
    assert note.level == "warning"
    assert note.text.startswith("In 1 of 2 pairs Dice fell. No pair was flagged when it was registered:")
    [listed] = blocks_in(report, "review", Table)
    assert listed.rows == (("worse", "Dice fell from 0.866 to 0.835", "0.835"),)


def test_a_measure_that_became_worse_is_marked(tmp_path, make_registration, blocks_in):
    folder = make_registration(tmp_path)
    record = read_record(folder)
    record["pairs"][0]["mean_dice"] = {"before": 0.866, "after": 0.835}
    write_json(folder / "registration.json", record)
    [panels] = blocks_in(compose(folder), "pictures", Panels)
    assert "Dice 0.866 → 0.835 (worse)" in panels.facts
    assert "similarity (GNCC) 0.300 → 0.900, " in panels.facts  # which rose


def test_labels_have_the_names_of_the_plan(tmp_path, make_registration, make_run, blocks_in):
    run = make_run(tmp_path / "run", names=("ball",))
    folder = make_registration(tmp_path)
    write_json(folder / "registration.json", read_record(folder) | {"model": str(run / "model.safetensors")})
    report = compose(folder)
    assert "ball, before: median 0.500" in blocks_in(report, "spread", Gallery)[0].pictures[-1].alt
    [panels] = blocks_in(report, "pictures", Panels)
    assert panels.legend[0][0] == "warped ball"
    joined = {"name": "tumour", "values": [2, 3], "output": 2}
    plan = Plan.read(run / "plan.yaml").model_dump(mode="json")
    plan["classes"].append(joined)
    assert label_names(Plan.parse(plan, source="plan")) == {1: "ball", 2: "tumour (label 2)", 3: "tumour (label 3)"}
    assert label_names(None) == {}


def test_without_any_labels_similarity_ranks(tmp_path, make_registration, blocks_in, of_kind):
    folder = make_registration(tmp_path, labels=False)
    several(folder, a={"similarity": {"before": 0.1, "after": 0.2}}, b={"similarity": {"before": 0.1, "after": 0.9}})
    blocks = blocks_in(compose(folder), "pictures")
    assert "Ranked by similarity after" in blocks[0].text
    assert [note.text.split()[1] for note in of_kind(Note, blocks)] == ["b", "a"]


def test_a_pair_names_no_file_of_another_folder(tmp_path, make_registration, blocks_in):
    folder = make_registration(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    for path in folder.glob("moving_to_fixed*"):
        path.rename(outside / path.name)
    several(folder, **{"../outside/moving_to_fixed": {}})
    report = compose(folder)
    assert not blocks_in(report, "pictures", Panels)
    assert "is no name of a file" in blocks_in(report, "pictures", Note)[0].text
