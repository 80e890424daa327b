import csv
import hashlib
import json
from contextlib import contextmanager
from math import inf
from pathlib import Path

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.errors import DataError
from fewscan.metrics.case_scores import METRICS
from fewscan.metrics.evaluate import evaluate
from fewscan.metrics.summary import ALL_CLASSES

IDENTITY = Geometry.identity((12, 8, 14), (1.0, 1.0, 5.0))


def score_rows(folder: Path, name: str = "scores.csv") -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_two_cases_by_hand(write_label, tmp_path) -> None:
    # cubes of side 4: shifted by 1 the Dice is 2 * 48 / 128 = 0.75, by 0 it is 1
    for case, shift in (("a", 0), ("b", 1)):
        write_label(f"true/{case}.nii.gz", (1, 0))
        write_label(f"pred/{case}.nii.gz", (1, shift))
    result = evaluate(tmp_path / "pred", tmp_path / "true", names={1: "organ"}, workers=1)
    assert result.case_ids == ("a", "b")
    assert result.row("organ", "dice").mean == pytest.approx(0.875)
    assert result.row("organ", "hd_mm").mean == pytest.approx(0.5)
    assert result.row("organ", "hd_mm").n == 2
    assert result.means["organ"].possible
    with pytest.raises(KeyError):
        result.row(ALL_CLASSES, "dice")  # one class needs no mean over classes


def test_distances_use_the_spacing(write_label, tmp_path) -> None:
    label = write_label("true/a.nii.gz", (1, 0, 2))
    prediction = write_label("pred/a.nii.gz", (1, 0, 5))
    result = evaluate(prediction, label)
    assert result.row("1", "hd_vox").mean == 3.0
    assert result.row("1", "hd_mm").mean == 15.0


def test_classes_are_the_union_of_declared_and_found(write_label, tmp_path) -> None:
    write_label("true/a.nii.gz", (1, 0))
    write_label("true/b.nii.gz", (4, 0, 8))
    write_label("pred/a.nii.gz", (1, 0))
    write_label("pred/b.nii.gz", (4, 0, 8), (6, 0, 2))
    result = evaluate(tmp_path / "pred", tmp_path / "true", names={1: "one", 9: "nine"})
    assert result.names == {1: "one", 4: "4", 6: "6", 9: "nine"}
    assert len(result.scores) == 8
    assert (result.row("one", "dice").n, result.row("one", "dice").absent) == (1, 1)
    assert result.row("6", "hd_mm").mean == inf  # invented in b
    assert result.row("nine", "dice").n == 0
    # a holds class 1 only: 1; b: (1 + 0) / 2
    assert result.row(ALL_CLASSES, "dice").mean == pytest.approx(0.75)


def test_files_hold_infinity_and_absence(write_label, tmp_path) -> None:
    write_label("true/a.nii.gz", (1, 0))
    write_label("pred/a.nii.gz")
    result = evaluate(tmp_path / "pred", tmp_path / "true", names={1: "liver, left", 2: "spleen"})
    files = result.write(tmp_path / "out")
    assert [file.name for file in files] == ["scores.csv", "summary.csv", "evaluation.json"]
    liver, spleen = score_rows(tmp_path / "out")
    assert (liver["class"], liver["dice"], liver["hd95_mm"], liver["ravd"]) == ("liver, left", "0.0", "inf", "1.0")
    assert {spleen[metric] for metric in METRICS} == {"n/a"}
    data = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert data["scores"][0]["scores"]["hd95_mm"] == "inf"
    assert data["scores"][1]["scores"]["dice"] is None
    assert data["cases"] == 1
    summary = {(row["class"], row["metric"]): row for row in score_rows(tmp_path / "out", "summary.csv")}
    assert summary["liver, left", "asd_vox"]["infinite"] == "1"
    assert summary["spleen", "dice"]["absent"] == "1"
    text = result.table()
    assert "liver, left: infinite distance in 1 of 1 cases" in text
    assert "spleen: in 1 cases neither truth nor prediction has it" in text


def test_comparison_with_a_baseline(write_label, tmp_path) -> None:
    for index in range(6):
        write_label(f"true/{index}.nii.gz", (1, 0))
        write_label(f"pred/{index}.nii.gz", (1, index % 2))
        write_label(f"base/{index}.nii.gz", (1, 2 + index % 2))
    result = evaluate(tmp_path / "pred", tmp_path / "true", baseline=tmp_path / "base")
    dice = result.comparison[0]
    assert (dice.label, dice.metric, dice.improved, dice.worse) == ("1", "dice", 6, 0)
    assert dice.test.p == pytest.approx(2 / 64)
    # three cases each: 1 and 0.75 against 0.5 and 0.25
    assert (dice.mean, dice.baseline_mean) == (pytest.approx(0.875), pytest.approx(0.375))
    assert "Against the baseline" in result.table()
    assert "comparison.csv" in [file.name for file in result.write(tmp_path / "out")]
    assert score_rows(tmp_path / "out", "comparison.csv")[0]["improved"] == "6"
    # the table of an older comparison does not stay beside new scores
    evaluate(tmp_path / "pred", tmp_path / "true").write(tmp_path / "out")
    assert not (tmp_path / "out" / "comparison.csv").exists()


def test_a_table_of_another_origin_is_not_deleted(write_label, tmp_path) -> None:
    for name in ("true", "pred"):
        write_label(f"{name}/a.nii.gz", (1, 0))
    (tmp_path / "comparison.csv").write_text("mine")
    evaluate(tmp_path / "pred", tmp_path / "true").write(tmp_path)
    assert (tmp_path / "comparison.csv").read_text(encoding="utf-8") == "mine"


def test_missing_cases_are_named_in_the_table(write_label, tmp_path) -> None:
    for case in "abc":
        write_label(f"true/{case}.nii.gz", (1, 0))
    for name in ("pred/a", "pred/b", "base/b", "base/c"):
        write_label(f"{name}.nii.gz", (1, 0))
    alone = evaluate(tmp_path / "pred", tmp_path / "true", allow_missing=True)
    assert alone.missing == ("c",)
    assert "NOT SCORED, no prediction: c" in alone.table()
    both = evaluate(tmp_path / "pred", tmp_path / "true", baseline=tmp_path / "base", allow_missing=True)
    assert both.case_ids == ("b",)
    assert both.missing == ("a", "c")
    write_label("pred/c.nii.gz", (1, 0))
    with pytest.raises(DataError, match=r"base: 1 of 3 labelled cases .*: a"):
        evaluate(tmp_path / "pred", tmp_path / "true", baseline=tmp_path / "base")


def test_scans_of_one_patient_are_one_pair_of_a_test(write_label, tmp_path) -> None:
    lines = ["id,image,label,group"]
    for case in "abcd":
        # shifted by 1 and by 2: Dice 0.75 and 0.5
        write_label(f"pred/{case}.nii.gz", (1, 1))
        write_label(f"base/{case}.nii.gz", (1, 2))
        file = write_label(f"true/{case}.nii.gz", (1, 0))
        lines.append(f"{case},{file},{file},{'first' if case < 'd' else 'second'}")
    manifest = tmp_path / "scans.csv"
    manifest.write_text("\n".join(lines) + "\n")
    result = evaluate(tmp_path / "pred", manifest, baseline=tmp_path / "base", workers=1)
    dice = next(row for row in result.comparison if row.metric == "dice")
    assert (dice.test.n, dice.improved, dice.mean) == (2, 2, pytest.approx(0.75))
    assert "over 2 patients" in result.table()
    alone = evaluate(tmp_path / "pred", tmp_path / "true", baseline=tmp_path / "base", workers=1)
    assert alone.comparison[0].test.n == 4
    assert "patients" not in alone.table()


def test_means_and_intervals_are_those_of_patients(write_label, tmp_path) -> None:
    lines = ["id,image,label,group"]
    for case in "abcd":
        # three scans of one patient have Dice 0.75, that of the other has 1: patients 0.875, scans 0.8125
        write_label(f"pred/{case}.nii.gz", (1, 1 if case < "d" else 0))
        file = write_label(f"true/{case}.nii.gz", (1, 0))
        lines.append(f"{case},{file},{file},{'first' if case < 'd' else 'second'}")
    (tmp_path / "scans.csv").write_text("\n".join(lines) + "\n")
    result = evaluate(tmp_path / "pred", tmp_path / "scans.csv", baseline=tmp_path / "true", workers=1)
    dice = result.row("1", "dice")
    assert (dice.n, dice.mean) == (4, pytest.approx(0.875))
    # resamples of two patients: both the first, both the second, each with probability 1/4
    assert (dice.low, dice.high) == (0.75, 1.0)
    assert result.comparison[0].mean == dice.mean
    assert "mean ± standard deviation over 2 patients, each averaged first" in result.table()
    assert "means over 2 patients" in result._repr_html_()
    alone = evaluate(tmp_path / "pred", tmp_path / "true", workers=1)
    assert alone.row("1", "dice").mean == pytest.approx(0.8125)


def test_no_case_in_common_with_the_baseline(write_label, tmp_path) -> None:
    for name in ("true/a", "true/b", "pred/a", "base/b"):
        write_label(f"{name}.nii.gz", (1, 0))
    with pytest.raises(DataError, match="no case in common"):
        evaluate(tmp_path / "pred", tmp_path / "true", baseline=tmp_path / "base", allow_missing=True)


def test_largest_component(write_label) -> None:
    label = write_label("true/a.nii.gz", (1, 0, 2))
    prediction = write_label("pred/a.nii.gz", (1, 0, 2), (1, 0, 9))
    assert evaluate(prediction, label).row("1", "dice").mean == pytest.approx(2 * 64 / 192)
    kept = evaluate(prediction, label, largest_component=True)
    assert kept.row("1", "dice").mean == 1.0
    assert "largest component" in kept.table()


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        (Geometry.identity((12, 8, 15), (1.0, 1.0, 5.0)), r"size \(12, 8, 15\) and \(12, 8, 14\)"),
        (Geometry.identity((12, 8, 14), (1.0, 1.0, 4.0)), r"spacing \(1.0, 1.0, 4.0\)"),
        (Geometry((12, 8, 14), (1.0, 1.0, 5.0), (0.0, 0.0, 2.5), IDENTITY.direction), "0.5 voxels apart"),
        (Geometry((12, 8, 14), (1.0, 1.0, 5.0), (0.0, 0.0, 0.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)), "another grid"),
    ],
)
def test_other_grids_are_refused(write_label, geometry: Geometry, reason: str) -> None:
    label = write_label("true/a.nii.gz", (1, 0))
    prediction = write_label("pred/a.nii.gz", (1, 0), geometry=geometry)
    with pytest.raises(DataError, match=reason) as error:
        evaluate(prediction, label)
    assert "case a" in error.value.message
    assert str(prediction) in error.value.message


def test_all_bad_cases_are_reported_at_once(write_label, tmp_path) -> None:
    for case in "abc":
        write_label(f"true/{case}.nii.gz", (1, 0))
        write_label(f"pred/{case}.nii.gz", (1, 0))
    write_label("pred/a.nii.gz", (-1, 0), dtype="int16")
    (tmp_path / "pred" / "c.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match="2 cases cannot be scored") as error:
        evaluate(tmp_path / "pred", tmp_path / "true")
    assert "negative values (lowest: -1)" in error.value.message
    assert "c.nii.gz" in error.value.message


def test_probabilities_are_no_labels(write_label, tmp_path) -> None:
    from fewscan.data.image_io import write_image

    label = write_label("true/a.nii.gz", (1, 0))
    write_image(tmp_path / "soft.nii.gz", np.full((12, 8, 14), 0.5, np.float32), IDENTITY)
    with pytest.raises(DataError, match=r"soft\.nii\.gz"):
        evaluate(tmp_path / "soft.nii.gz", label)


def test_two_dimensional_images(tmp_path) -> None:
    from fewscan.data.image_io import write_image

    array = np.zeros((10, 6), np.uint8)
    array[2:6, 1:5] = 1
    for folder, shift in (("true", 0), ("pred", 2)):
        write_image(tmp_path / folder / "a.png", np.roll(array, shift, axis=0), Geometry.identity((10, 6)))
    result = evaluate(tmp_path / "pred", tmp_path / "true")
    assert result.row("1", "dice").mean == pytest.approx(0.5)  # 8 of 16 pixels in common
    assert result.row("1", "hd_vox").mean == 2.0


def test_progress_counts_every_file(write_label, tmp_path) -> None:
    for case in "ab":
        write_label(f"true/{case}.nii.gz", (1, 0))
        write_label(f"pred/{case}.nii.gz", (1, 0))
    seen = []

    class Counter:
        def advance(self, n: int = 1) -> None:
            seen.append(n)

    @contextmanager
    def show(description: str, total: int):
        seen.append((description, total))
        yield Counter()

    evaluate(tmp_path / "pred", tmp_path / "true", baseline=tmp_path / "pred", progress=show)
    assert seen == [("evaluate", 4), 1, 1, 1, 1]


@pytest.mark.real
def test_hippocampus_labels_against_themselves(real_data: Path) -> None:
    labels = real_data / "hippocampus" / "Dataset004_Hippocampus" / "labelsTs"
    ids = sorted(file.name.removesuffix(".nii.gz") for file in labels.iterdir())[:3]
    result = evaluate(labels, labels, case_ids=ids)
    assert result.case_ids == tuple(ids)
    assert result.row(ALL_CLASSES, "dice").mean == 1.0
    assert result.row("1", "hd_mm").mean == 0.0


def test_joined_classes_are_scored_against_labels_joined_alike(write_label, tmp_path) -> None:
    # the truth holds 2 where the model, which joins 1 and 2, rightly says 1
    write_label("true/a.nii.gz", (2, 0))
    write_label("pred/a.nii.gz", (1, 0))
    assert evaluate(tmp_path / "pred", tmp_path / "true", workers=1).row("2", "dice").mean == 0
    classes = [{"name": "background", "values": [0], "output": 0}, {"name": "organ", "values": [1, 2], "output": 1}]
    (tmp_path / "pred" / "prediction.json").write_text(json.dumps({"classes": classes}))
    result = evaluate(tmp_path / "pred", tmp_path / "true", workers=1)
    assert result.row("organ", "dice").mean == 1
    assert set(result.names.values()) == {"organ"}
    as_given = evaluate(tmp_path / "pred", tmp_path / "true", workers=1, join_classes=False)
    assert as_given.row("2", "dice").mean == 0


@pytest.fixture
def joining(write_label, tmp_path):
    """Truth with 1 and 2; perfect predictions, in ``pred`` by a model that joins both and in ``base`` by none."""
    for name, second in (("true", 2), ("pred", 1), ("base", 2)):
        write_label(f"{name}/a.nii.gz", (1, 0), (second, 0, 8))
    classes = [{"name": "background", "values": [0], "output": 0}, {"name": "organ", "values": [1, 2], "output": 1}]
    (tmp_path / "pred" / "prediction.json").write_text(json.dumps({"classes": classes}))
    return tmp_path


def test_a_baseline_of_unjoined_classes_is_scored_on_the_joined_ones(joining) -> None:
    result = evaluate(joining / "pred", joining / "true", baseline=joining / "base", workers=1)
    assert {(row.label, row.baseline_mean) for row in result.comparison if row.metric == "dice"} == {("organ", 1.0)}
    assert set(result.names) == {1}
    told = "label values of the baseline scored by the classes of the predictions: 2 as 1"
    assert f"note: {told}" in result.table()
    assert told in result.to_json()["notes"]
    as_given = evaluate(joining / "pred", joining / "true", baseline=joining / "base", workers=1, join_classes=False)
    assert as_given.notes == ()
    # 1 holds half of what the model says: Dice 2 * 64 / (128 + 64) against 1
    means = {row.label: (row.mean, row.baseline_mean) for row in as_given.comparison if row.metric == "dice"}
    assert means["1"] == pytest.approx((2 / 3, 1))


def test_a_baseline_that_joins_what_the_predictions_keep_apart_is_refused(joining) -> None:
    with pytest.raises(DataError, match="keeps them apart"):
        evaluate(joining / "base", joining / "true", baseline=joining / "pred", workers=1)


def test_one_file_is_scored_like_its_folder(joining) -> None:
    file = evaluate(joining / "pred" / "a.nii.gz", joining / "true" / "a.nii.gz", workers=1)
    folder = evaluate(joining / "pred", joining / "true", workers=1, write=False)
    assert file.row("organ", "dice").mean == folder.row("organ", "dice").mean == 1


def test_a_folder_of_labels_takes_the_names_of_the_model(write_label, tmp_path) -> None:
    write_label("true/a.nii.gz", (1, 0), (2, 6))
    write_label("pred/a.nii.gz", (1, 0), (2, 6))
    classes = [{"name": name, "values": [value], "output": value} for value, name in enumerate(("background", "organ"))]
    (tmp_path / "pred" / "prediction.json").write_text(json.dumps({"classes": classes}))
    assert evaluate(tmp_path / "pred", tmp_path / "true", workers=1).names == {1: "organ", 2: "2"}
    told = evaluate(tmp_path / "pred", tmp_path / "true", workers=1, names={1: "liver"})
    assert told.names == {1: "liver", 2: "2"}


def test_the_table_shows_the_main_metrics_unless_all_are_wanted(write_label, tmp_path) -> None:
    for index in range(2):
        write_label(f"true/{index}.nii.gz", (1, 0))
        write_label(f"pred/{index}.nii.gz", (1, index))
        write_label(f"base/{index}.nii.gz", (1, 2))
    result = evaluate(tmp_path / "pred", tmp_path / "true", baseline=tmp_path / "base", workers=1)
    short, full = result.table(), result.table(all_metrics=True)
    assert max(map(len, short.splitlines())) <= 100
    assert "HD95 mm" in short
    assert "Jaccard" not in short
    assert "HD95 voxels" in full
    # one class: six metrics are tested, three are shown, and the correction is over all six
    assert "Holm over all 6 tests, of which 3 are shown" in short
    shown = [line.split()[1] for line in short.partition("Against the baseline")[2].splitlines()[2:5]]
    assert shown == ["dice", "hd95_mm", "asd_mm"]
    assert "Holm over all rows" in full
    assert "jaccard" in full


def test_predictions_of_training_cases_are_told_from_those_without_a_label(write_label, tmp_path) -> None:
    for name in ("images", "labels", "images_test", "labels_test"):
        write_label(f"data/{name}/{'t' if 'test' in name else 'a'}.nii.gz", (1, 0))
    for name in "atz":
        write_label(f"pred/{name}.nii.gz", (1, 0))
    result = evaluate(tmp_path / "pred", tmp_path / "data", workers=1)
    assert (result.unscored, result.not_test) == (("a", "z"), ("a",))
    text = result.table()
    assert "predictions without a label: z\n" in text
    assert f"not test cases of {tmp_path / 'data'}, not scored: a" in text


@pytest.mark.parametrize("text", ["[]", "not json", '{"classes": {"organ": 1}}', '{"classes": [{"name": "x"}]}'])
def test_a_foreign_prediction_json_changes_nothing(write_label, tmp_path, text) -> None:
    write_label("true/a.nii.gz", (1, 0))
    write_label("pred/a.nii.gz", (1, 0))
    (tmp_path / "pred" / "prediction.json").write_text(text)
    assert evaluate(tmp_path / "pred", tmp_path / "true", workers=1).row("1", "dice").mean == 1


def test_scores_are_written_beside_what_was_predicted_or_where_told(write_label, tmp_path) -> None:
    label, prediction = write_label("true/a.nii.gz", (1, 0)), write_label("pred/a.nii.gz", (1, 1))
    folder, truth = tmp_path / "pred", tmp_path / "true"
    result = evaluate(str(folder), str(truth))
    evaluate(truth, truth)  # such as two annotators: no place for tables
    evaluate(prediction, label, out=str(tmp_path / "scores"))
    (folder / "prediction.json").write_text("{}")
    evaluate(folder, truth, write=False)
    evaluate(prediction, label)
    names = ["evaluation.json", "scores.csv", "summary.csv"]
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == names
    assert [path.name for path in truth.iterdir()] == ["a.nii.gz"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.nii.gz", "prediction.json"]
    evaluate(str(folder), str(truth))
    assert {path.name for path in folder.iterdir()} == {"a.nii.gz", "prediction.json", *names}
    assert json.loads((folder / "evaluation.json").read_text())["digests"] == result.digests


def test_it_is_known_which_files_were_scored_and_which_cases_trained_on(write_label, tmp_path) -> None:
    for case in "ab":
        write_label(f"true/{case}.nii.gz", (1, 0))
        write_label(f"pred/{case}.nii.gz", (1, 1))
    record = {"training_cases": {"labelled": ["a", "z"], "validation": ["b"]}}
    (tmp_path / "pred" / "prediction.json").write_text(json.dumps(record))
    result = evaluate(tmp_path / "pred", tmp_path / "true")
    digest = hashlib.sha256((tmp_path / "pred" / "b.nii.gz").read_bytes()).hexdigest()
    assert result.digests["b"] == digest
    assert (result.trained_on, result.validated_on) == (("a",), ("b",))
    assert "WARNING: 1 of 2 cases was trained on: a;" in result.table()
    assert "WARNING: 1 of 2 cases was used for validation: b;" in result._repr_html_()


def test_what_either_side_saw_in_training_is_told(write_label, tmp_path) -> None:
    for case in "abc":
        for name in ("true", "pred", "base"):
            write_label(f"{name}/{case}.nii.gz", (1, 0))
    ours, theirs = {"labelled": ["z"], "unlabelled": ["a", "b", "y"]}, {"labelled": ["c"], "validation": ["b"]}
    for name, cases in (("pred", ours), ("base", theirs | {"unlabelled": ["a"]})):
        (tmp_path / name / "prediction.json").write_text(json.dumps({"training_cases": cases}))
    result = evaluate(tmp_path / "pred", tmp_path / "true", baseline=tmp_path / "base", workers=1, write=False)
    assert (result.trained_on, result.validated_on, result.seen_unlabelled) == ((), (), ("a", "b"))
    assert result.baseline_trained_on == ("c",)
    assert result.baseline_validated_on == ("b",)
    assert result.baseline_seen_unlabelled == ("a",)
    text = result.table()
    assert "WARNING: 1 of 3 cases was trained on by the baseline: c;" in text
    assert "WARNING: 1 of 3 cases was used for validation by the baseline: b;" in text
    assert "note: 2 of 3 cases were seen in training without their labels: a, b;" in text
    assert "note: 1 of 3 cases was seen in training without its label by the baseline: a;" in text
    assert len(result.to_json()["notes"]) == 2
    assert "seen in training without their labels: a, b" in result._repr_html_()
    alone = evaluate(tmp_path / "pred", tmp_path / "true", workers=1, write=False)
    assert (alone.warnings, len(alone.notes)) == ((), 1)
