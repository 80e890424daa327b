import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_image, write_image
from fewscan.errors import DataError
from fewscan.experiments.tables import Table
from fewscan.files import write_json
from fewscan.metrics.evaluate import evaluate
from fewscan.report.document.content import Code, Facts, Gallery, Note, Panels, Picture
from fewscan.report.page import compose
from fewscan.report.review import CONFIDENCE_RULE, DICE_RULE, NO_RULE


def texts(blocks):
    return " ".join(block.text for block in blocks if hasattr(block, "text"))


def test_scores_ranks_and_pictures(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path)
    report = compose(folder, scans=tmp_path / "scans")
    assert report.state == "complete, scored"
    # moved by 0, 1 and 2 voxels: the unmoved case is the best
    assert [panels.title for panels in blocks_in(report, "cases", Panels)] == [
        "Best: p0",
        "Median: p1",
        "Worst: p2",
    ]
    [scores] = blocks_in(report, "scores", Table)
    assert scores.rows[0][:2] == ("ball", "3")
    assert report.figures["dice"]["ball"] == pytest.approx(
        json.loads((folder / "evaluation.json").read_text())["summary"][0]["mean"]
    )
    assert DICE_RULE in texts(blocks_in(report, "review"))
    [listed] = blocks_in(report, "review", Table)
    assert [row[0] for row in listed.rows] == ["p2", "p1", "p0"]
    assert listed.head == ("case", "Dice", "remark")
    assert "Pictured above already: 1 (p2), 2 (p1), 3 (p0)." in texts(blocks_in(report, "review"))
    [gallery] = blocks_in(report, "spread", Gallery)
    assert "predicted against true volume, in mm². ball: +0 %" in gallery.pictures[-1].alt


def test_confidence_decides_what_to_look_at_and_is_judged(tmp_path, make_predictions, blocks_in, of_kind):
    cases = tuple(f"p{k}" for k in range(6))
    folder = make_predictions(tmp_path, cases=cases, confidence=True)
    report = compose(folder, scans=tmp_path / "scans")
    blocks = blocks_in(report, "review")
    assert CONFIDENCE_RULE in texts(blocks)
    [listed] = of_kind(Table, blocks)
    assert listed.rows[0][:2] == ("p5", "0.450")
    assert "with Dice is +1.00" in texts(blocks)  # both fall from case to case
    # p5 is the worst and has its pictures already; three more are shown
    assert [panels.title for panels in of_kind(Panels, blocks)] == ["Look at 2: p4", "Look at 4: p2", "Look at 5: p1"]
    first = blocks_in(report, "cases", Panels)[0]
    assert [picture.caption for picture in first.rows[0][1]][-1] == "confidence"


def test_volumes_have_three_planes_and_surfaces(tmp_path, make_predictions, blocks_in, of_kind):
    folder = make_predictions(tmp_path, shape=(16, 16, 14), cases=("p0",))
    report = compose(folder, scans=tmp_path / "scans")
    blocks = blocks_in(report, "cases")
    assert [name for name, _ in of_kind(Panels, blocks)[0].rows] == ["axial", "coronal", "sagittal"]
    [surfaces] = of_kind(Picture, blocks)
    assert surfaces.look == "render"
    assert "3-D surfaces of case p0: for each of ball" in surfaces.alt
    [gallery] = blocks_in(report, "spread", Gallery)
    assert "true volume, in ml." in gallery.pictures[-1].alt


def test_without_scores_and_scans_it_says_what_to_do(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path, scored=False)
    report = compose(folder)
    assert report.state == "complete, not scored"
    assert blocks_in(report, "scores", Code)[0].text == f"fewscan evaluate {folder} LABELS"
    assert NO_RULE in texts(blocks_in(report, "review"))
    assert "--scans SCANS" in texts(blocks_in(report, "review"))
    assert not blocks_in(report, "cases")


def test_labels_that_are_given_are_scored(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path, scored=False, cases=("p0", "p1"))
    report = compose(folder, scans=tmp_path / "scans", labels=tmp_path / "labels")
    assert report.state == "complete, scored"
    assert [panels.title for panels in blocks_in(report, "cases", Panels)] == ["Best: p0", "Worst: p1"]
    assert not (folder / "evaluation.json").exists()


def test_predicted_volumes_without_truth_are_rendered(tmp_path, make_predictions, blocks_in):
    cases = tuple(f"p{k}" for k in range(5))
    folder = make_predictions(tmp_path, shape=(14, 14, 12), cases=cases, scored=False, confidence=True)
    report = compose(folder, scans=tmp_path / "scans")
    shown = blocks_in(report, "review", Panels)
    assert [panels.title for panels in shown] == ["Look at 1: p4", "Look at 2: p3", "Look at 3: p2"]
    assert [picture.caption for picture in shown[0].rows[0][1]] == ["scan", "prediction", "confidence"]
    pictures = blocks_in(report, "review", Picture)
    assert [picture.alt.split(",")[0] for picture in pictures] == [
        f"3-D surfaces of the predicted ball of case p{k}" for k in (4, 3, 2)
    ]


def test_scans_are_found_where_the_records_say(tmp_path, make_predictions, make_run, blocks_in):
    data = tmp_path / "data"
    folder = make_predictions(tmp_path)
    (tmp_path / "scans").rename(data.with_name("images"))
    data.mkdir()
    data.with_name("images").rename(data / "images_test")
    (data / "images").mkdir()
    (tmp_path / "labels").rename(data / "labels_test")
    write_image(data / "images" / "s.nii.gz", *_image(data / "images_test" / "p0.nii.gz"))
    run = make_run(tmp_path / "run", data=data)
    record = json.loads((folder / "prediction.json").read_text()) | {"model": str(run / "model.safetensors")}
    write_json(folder / "prediction.json", record)
    evaluate(folder, data / "labels_test").write(folder)
    report = compose(folder)
    assert len(blocks_in(report, "cases", Panels)) == 3
    # the training is part of the report too
    assert blocks_in(report, "training")
    assert blocks_in(report, "learning", Gallery)


def _image(path):
    image = read_image(path)
    return image.array, image.geometry


def test_failures_missing_cases_and_interruption_are_said(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path, scored=False)
    (folder / "p2.nii.gz").unlink()
    evaluate(folder, tmp_path / "labels", allow_missing=True).write(folder)
    record = json.loads((folder / "prediction.json").read_text())
    write_json(
        folder / "prediction.json", record | {"failures": {"p2": "the file is empty"}, "scans": record["scans"][:2]}
    )
    report = compose(folder)
    assert report.state == (
        "NOT COMPLETE: 1 scan could not be predicted; 1 labelled case not scored for lack of a prediction."
    )
    assert "NOT SCORED" in texts(blocks_in(report, "scores"))
    write_json(folder / "prediction.json", record | {"scans": []})
    assert "did not come to its end" in compose(folder).state


def test_one_bad_file_costs_one_picture(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path)
    (tmp_path / "scans" / "p1.nii.gz").write_bytes(b"broken")
    report = compose(folder, scans=tmp_path / "scans")
    assert len(blocks_in(report, "cases", Panels)) == 2
    assert "Case p1 could not be shown" in texts(blocks_in(report, "cases", Note))
    (folder / "p2.nii.gz").write_bytes(b"broken")
    assert "p2 could not be read" in texts(blocks_in(compose(folder), "review"))


def test_scans_of_another_size_or_name_are_refused(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path)
    other = tmp_path / "other"
    make_predictions(other, shape=(10, 10))
    report = compose(folder, scans=other / "scans")
    assert report.complete  # nothing is wrong with the predictions themselves
    assert "p0.nii.gz has size (20, 18), its image has (10, 10)" in texts(blocks_in(report, "cases", Note))
    make_predictions(tmp_path / "third", cases=("q0",))
    with pytest.raises(DataError, match="holds no scan of these predictions"):
        compose(folder, scans=tmp_path / "third" / "scans")


def test_a_baseline_is_tested_and_paired(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path)
    other = tmp_path / "other"
    baseline = make_predictions(other)
    for case in ("p0", "p1"):  # worse than ours where ours is not moved much
        (baseline / f"{case}.nii.gz").write_bytes((baseline / "p2.nii.gz").read_bytes())
    evaluate(baseline, tmp_path / "labels").write(baseline)
    evaluate(folder, tmp_path / "labels", baseline=baseline).write(folder)
    report = compose(folder)
    tested = next(table for table in blocks_in(report, "scores", Table) if table.title == "Against the baseline")
    assert tested.rows[0][5] == "2/0/3"
    [gallery] = blocks_in(report, "spread", Gallery)
    assert "2 better, 0 worse, 1 equal" in gallery.pictures[-2].alt


def test_an_evaluation_whose_predictions_are_gone_still_has_its_scores(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path)
    alone = tmp_path / "alone"
    alone.mkdir()
    (folder / "evaluation.json").rename(alone / "evaluation.json")
    folder.rename(tmp_path / "moved")
    report = compose(alone)
    assert report.kind == "evaluation"
    assert blocks_in(report, "scores", Table)
    assert "not where the evaluation found them" in texts(blocks_in(report, "review"))


def test_scans_that_lie_elsewhere_are_not_painted_over(tmp_path, make_predictions, blocks_in, of_kind):
    folder = make_predictions(tmp_path)
    for path in (tmp_path / "scans").iterdir():
        scan = read_image(path)
        turned = replace(scan.geometry, direction=(-1.0, 0.0, 0.0, 1.0))
        write_image(path, scan.array, turned)
    blocks = blocks_in(compose(folder, scans=tmp_path / "scans"), "cases")
    assert not of_kind(Panels, blocks)
    assert "lies elsewhere in space than its image" in texts(of_kind(Note, blocks))


def test_a_confidence_map_of_another_size_costs_its_case_alone(tmp_path, make_predictions, blocks_in, of_kind):
    folder = make_predictions(tmp_path, confidence=True)
    write_image(folder / "p1_confidence.nii.gz", np.ones((3, 3), np.float32), Geometry.identity((3, 3)))
    blocks = blocks_in(compose(folder), "review")
    assert "p1 could not be read: case p1: the prediction has the size (20, 18), its confidence map (3, 3)" in texts(
        blocks
    )
    [listed] = of_kind(Table, blocks)
    assert [row[0] for row in listed.rows] == ["p2", "p0"]


def test_an_evaluation_whose_predictions_are_gone_takes_no_other_files_for_them(
    tmp_path, make_predictions, monkeypatch, blocks_in
):
    folder = make_predictions(tmp_path)
    alone = tmp_path / "alone"
    alone.mkdir()
    record = json.loads((folder / "evaluation.json").read_text())
    write_json(alone / "evaluation.json", record | {"predictions": "moved"})  # as it was typed then, somewhere else
    monkeypatch.chdir(tmp_path / "scans")  # which holds images of the same names
    report = compose(alone)
    assert report.figures["scans"] == 0
    assert "not where the evaluation found them" in texts(blocks_in(report, "review"))


def test_an_evaluation_is_about_its_own_cases(tmp_path, make_predictions):
    folder = make_predictions(tmp_path, cases=("p0", "p1"))
    (folder / "prediction.json").unlink()
    alone = tmp_path / "alone"
    alone.mkdir()
    (folder / "evaluation.json").rename(alone / "evaluation.json")
    shutil.copyfile(folder / "p0.nii.gz", folder / "sketch.nii.gz")
    assert compose(alone).figures["scans"] == 2


def test_label_maps_that_were_deleted_are_said(tmp_path, make_predictions):
    folder = make_predictions(tmp_path)
    (folder / "p1.nii.gz").unlink()
    report = compose(folder)
    assert report.state == "NOT COMPLETE: 1 label map not in the folder any more (p1)."
    assert not report.complete


def test_one_unreadable_label_map_costs_no_chart(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path)
    (folder / "p1.nii.gz").write_bytes(b"torn")
    record = json.loads((folder / "evaluation.json").read_text())
    write_json(folder / "evaluation.json", record | {"digests": {}})  # which says nothing of the file, then
    report = compose(folder)
    [gallery] = blocks_in(report, "spread", Gallery)
    assert "true volume, in voxels" in gallery.pictures[-1].alt
    assert "p1 could not be read" in texts(blocks_in(report, "review"))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_scores_of_other_predictions_are_not_shown_as_of_these(tmp_path, make_predictions, blocks_in, elsewhere):
    folder = make_predictions(tmp_path)
    (folder / "p0.nii.gz").write_bytes((folder / "p2.nii.gz").read_bytes())
    place = folder
    if elsewhere:
        place = tmp_path / "scores"
        place.mkdir()
        (folder / "evaluation.json").rename(place / "evaluation.json")
    report = compose(place)
    assert report.state == "NOT COMPLETE: the scores found are of other predictions, and not shown."
    assert "dice" not in report.figures
    assert "Dice" not in [tile.label for tile in report.tiles]
    assert not blocks_in(report, "spread")
    assert not blocks_in(report, "all-cases")
    [note] = blocks_in(report, "scores", Note)
    assert "evaluation.json are of other predictions (1 label map of this folder" in note.text
    assert "not those scored there: p0)" in note.text
    assert blocks_in(report, "scores", Code)[0].text == f"fewscan evaluate {folder} LABELS"
    # with the labels at hand they are scored anew
    again = compose(place, labels=tmp_path / "labels")
    assert again.state == "complete, scored"
    assert blocks_in(again, "scores", Table)
    assert len(blocks_in(again, "scores", Note)) == 0


def test_scores_of_a_baseline_that_was_predicted_anew_are_not_paired(tmp_path, make_predictions, blocks_in):
    folder, baseline = make_predictions(tmp_path), make_predictions(tmp_path / "other")
    evaluate(baseline, tmp_path / "labels")
    evaluate(folder, tmp_path / "labels", baseline=baseline)
    [before] = blocks_in(compose(folder), "spread", Gallery)
    (baseline / "p0.nii.gz").write_bytes((baseline / "p2.nii.gz").read_bytes())
    [after] = blocks_in(compose(folder), "spread", Gallery)
    assert len(before.pictures) - len(after.pictures) == 2


def test_cases_that_were_trained_on_are_named(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path, scored=False)
    record = json.loads((folder / "prediction.json").read_text())
    write_json(folder / "prediction.json", record | {"training_cases": {"labelled": ["p1"], "validation": ["p2"]}})
    evaluate(folder, tmp_path / "labels")
    learned, validated = blocks_in(compose(folder), "scores", Note)
    assert learned.text == "1 of 3 cases was trained on: p1; its score says nothing about new scans."
    assert learned.level == "warning"
    assert validated.text.startswith("1 of 3 cases was used for validation: p2;")


def test_planes_without_truth_are_not_said_to_go_through_it(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path, shape=(12, 12, 10), cases=("p0",))
    assert "centre of the true labels." in texts(blocks_in(compose(folder, scans=tmp_path / "scans"), "cases"))
    (tmp_path / "labels").rename(tmp_path / "away")
    said = texts(blocks_in(compose(folder, scans=tmp_path / "scans"), "cases"))
    assert "centre of the predicted labels. The true labels are not at hand;" in said


def test_no_plane_is_cut_out_of_a_flat_scan(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path, cases=("p0",))
    said = texts(blocks_in(compose(folder, scans=tmp_path / "scans"), "cases"))
    assert "Ranked by Dice" in said
    assert "Planes" not in said


def test_cases_that_are_pictured_already_are_said_before_the_next_ones(tmp_path, make_predictions, blocks_in):
    cases = tuple(f"p{k}" for k in range(6))
    blocks = blocks_in(compose(make_predictions(tmp_path, cases=cases), scans=tmp_path / "scans"), "review")
    said = next(k for k, block in enumerate(blocks) if "Pictured above already: 1 (p5)" in getattr(block, "text", ""))
    shown = next(k for k, block in enumerate(blocks) if isinstance(block, Panels))
    assert said < shown
    assert blocks[shown].title == "Look at 2: p4"


def test_commands_can_be_copied_whatever_the_folder_is_called(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path / "two words", scored=False)
    report = compose(folder)
    assert blocks_in(report, "scores", Code)[0].text == f"fewscan evaluate '{folder}' LABELS"
    assert f"fewscan report '{folder}' --scans SCANS" in texts(blocks_in(report, "review"))


@pytest.mark.parametrize("count", [4, 6])
def test_a_score_of_volumes_is_said_only_where_there_are_enough_cases(tmp_path, make_predictions, count, blocks_in):
    folder = make_predictions(tmp_path, cases=tuple(f"p{k}" for k in range(count)), scored=False, confidence=True)
    shown = blocks_in(compose(folder, scans=tmp_path / "scans"), "review", Panels)
    assert len(shown) == 3
    assert all(panels.facts.startswith("mean confidence 0.") for panels in shown)
    assert all(("volume score" in panels.facts) is (count == 6) for panels in shown)


def test_the_members_of_an_ensemble_are_named(tmp_path, make_predictions, blocks_in):
    folder = make_predictions(tmp_path, scored=False)
    record = json.loads((folder / "prediction.json").read_text())
    members = [{"method": "cps", "seed": 3}, {"method": "supervised", "seed": 0}]
    write_json(folder / "prediction.json", record | {"method": "ensemble", "members": members})
    report = compose(folder)
    (facts,) = blocks_in(report, "prediction", Facts)
    assert ("members", "cps, seed 3; supervised, seed 0") in facts.items
    assert "An ensemble has no run of its own" in texts(blocks_in(report, "prediction", Note))
