import csv
from math import inf

import pytest

from fewscan.experiments.collect import collect
from fewscan.experiments.outputs import Outputs


@pytest.fixture
def outputs(study, cells, finished):
    return Outputs(study, cells, collect(finished, cells))


def _rows(table):
    return [dict(zip(table.head, row, strict=True)) for row in table.rows]


def _read(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_overlap_table(outputs):
    first, second, *_, last = _rows(outputs.tables[0])
    assert (first["method"], first["labelled"], first["seeds"]) == ("supervised", "1", "2")
    # 0.60 and 0.64: 62 ± 2 sqrt 2
    assert first["Dice %"] == first["Dice % LC"] == "62.00 ± 2.83"
    assert first["RAVD %"] == "10.00 ± 0.00"
    assert (first["gap recovered"], second["gap recovered"]) == ("–", "50 %")
    assert (first["annotated"], first["training"], first["peak MiB"]) == ("1", "0:01:05", "100")
    assert (last["labelled"], last["annotated"]) == ("all (6)", "6")


def test_distances_in_mm_and_voxels(outputs):
    mm, voxels = outputs.tables[2:4]
    assert _rows(mm)[0]["HD95"] == "2.00 ± 0.00"
    assert _rows(voxels)[0]["HD95"] == "4.00 ± 0.00"
    assert _rows(mm)[0]["ASD LC"] == "1.00 ± 0.00"


def test_comparison_table(outputs):
    rows = _rows(outputs.tables[1])
    assert [(row["labelled"], row["metric"]) for row in rows[:2]] == [("1", "Dice %"), ("1", "HD95 mm")]
    assert (rows[0]["mean"], rows[0]["baseline"], rows[0]["difference"]) == ("72.00", "62.00", "+10.00")
    assert (rows[0]["better/worse/n"], rows[0]["p"], rows[0]["p (Holm)"]) == ("6/0/6", "0.031", "0.062")
    assert (rows[1]["difference"], rows[1]["p"]) == ("+0.00", "1.000")


def test_further_comparisons_have_tables_of_their_own(study, cells, finished, tmp_path):
    outputs = Outputs(study.model_copy(update={"also_against": ("other",)}), cells, collect(finished, cells))
    titles = [table.title for table in outputs.tables[1:3]]
    assert [title.split(" with")[0] for title in titles] == ["Against supervised", "Against other"]
    row = _rows(outputs.tables[2])[0]
    assert (row["method"], row["baseline"], row["difference"]) == ("supervised", "72.00", "-10.00")
    outputs.write(tmp_path)
    assert {row["baseline"] for row in _read(tmp_path / "comparison.csv")} == {"supervised", "other"}


def test_notes_of_a_whole_study(outputs):
    notes = " ".join(outputs.tables[0].notes)
    assert "6 test cases" in notes
    assert "last checkpoint" in notes
    assert "Fewer than 3 seeds" in notes
    # two scorings of five rows
    assert "in all 10 pairs of means" in notes
    assert "NOT THE SAME BUDGET" not in notes
    assert "NOT FINISHED" not in outputs.markdown()


def test_partial_study_says_so(study, cells, finish, tmp_path):
    finish(tmp_path, cells[0], 0.5, hd95_mm=[inf, 3.0, 3.0, 3.0, 3.0, 3.0])
    outputs = Outputs(study, cells, collect(tmp_path, cells), failed={cells[1].name: "out of\n  memory"})
    text = outputs.markdown()
    assert "NOT FINISHED: 1 of 10 cells, 1 failed" in text
    assert f"failed: {cells[1].name}: out of memory" in text
    first, second, *_ = _rows(outputs.tables[0])
    assert (first["seeds"], first["Dice %"]) == ("1 of 2", "50.00")
    assert (second["seeds"], second["Dice %"], second["annotated"], second["training"]) == ("0 of 2", "–", "–", "–")
    assert _rows(outputs.tables[2])[0]["HD95"] == "∞"
    (note, _) = outputs.tables[2].notes
    assert "infinite distance in 1 of 6 scores" in note
    assert "not comparable: 3.00" in note


def test_empty_study(study, cells, tmp_path):
    outputs = Outputs(study, cells, [])
    outputs.write(tmp_path)
    assert "No cell is finished yet." in (tmp_path / "tables.md").read_text(encoding="utf-8")


def test_impossible_means_and_tiny_gaps_are_told(study, cells, finish, tmp_path):
    for cell in cells:
        if cell.seed == 0:
            finish(tmp_path, cell, 0.805 if cell.row.labelled.is_all else 0.8, jaccard=0.5)
    outputs = Outputs(study, cells, collect(tmp_path, cells))
    notes = " ".join(outputs.tables[0].notes)
    assert "IMPOSSIBLE MEANS: supervised, 1 labelled, ball, as predicted: mean Jaccard 0.5000" in notes
    assert "other, 1 labelled: the gap is 0.50 points of Dice (below 1)" in notes
    assert _rows(outputs.tables[0])[1]["gap recovered"] == "(0 %)"


def test_a_terminal_gets_dice_and_cost_alone(outputs):
    lines = outputs.text().splitlines()
    assert max(map(len, lines)) <= 120
    head = next(line for line in lines if line.startswith("method"))
    assert head.split("  ")[0] == "method"
    assert "Dice % LC" in head
    assert "p (Holm)" in head
    assert "Jaccard" not in head
    # the same numbers as in the tables of the files: 72 against 62, p of six pairs that all agree
    other = next(line for line in lines if line.startswith("other"))
    assert other.split()[3:6] == ["72.00", "±", "2.83"]
    assert other.split()[-4:] == ["50", "%", "+10.00", "0.062"]
    cost = lines.index("Cost")
    assert lines[cost + 2].split()[-4:] == ["annotated", "training", "peak", "MiB"]
    assert lines[cost + 3].split()[-3:] == ["1", "0:01:05", "100"]


def test_an_unfinished_study_says_so_on_the_terminal(study, cells):
    text = Outputs(study, cells, [], failed={cells[0].name: "no memory"}).text()
    assert text.startswith(f"NOT FINISHED: 0 of {len(cells)} cells, 1 failed.")
    assert f"- failed: {cells[0].name}: no memory" in text


def test_files(outputs, tmp_path):
    files = outputs.write(tmp_path)
    assert [path.name for path in files] == [
        "tables.md", "tables.tex", "scores.csv", "summary.csv", "comparison.csv", "dice.png",
    ]  # fmt: skip
    assert all(path.stat().st_size for path in files)
    scores = _read(tmp_path / "scores.csv")
    # 10 cells, 2 scorings, 6 cases, 1 class
    assert len(scores) == 120
    assert (scores[0]["method"], scores[0]["labelled"], scores[0]["case"], scores[0]["class"]) == (
        "supervised", "1", "test0", "ball",
    )  # fmt: skip
    assert float(scores[0]["dice"]) == 0.6
    summary = _read(tmp_path / "summary.csv")
    dice = [row for row in summary if row["metric"] == "dice" and row["scored"] == "as predicted"]
    assert [round(float(row["mean"]), 3) for row in dice] == [0.62, 0.72, 0.8, 0.79, 0.82]
    shares = [row["gap_recovered"] for row in dice]
    assert [shares[0], shares[2], shares[4]] == ["n/a"] * 3
    assert [float(shares[1]), float(shares[3])] == pytest.approx([0.5, -0.5])
    comparison = _read(tmp_path / "comparison.csv")
    # 2 counts, 2 scorings, 6 tested metrics
    assert len(comparison) == 24
    assert r"\begin{tabular}" in (tmp_path / "tables.tex").read_text(encoding="utf-8")


def test_every_class_has_a_gap_of_its_own(study, cells, finish, tmp_path):
    """Ball goes 0.5 -> 0.6 on the way to 0.7, half of its gap; box 0.6 -> 0.8 on the way to 0.8, all of it."""
    dice = {("supervised", "n1"): (0.5, 0.6), ("other", "n1"): (0.6, 0.8), ("supervised", "all"): (0.7, 0.8)}
    for cell in cells:
        if scores := dice.get((cell.row.method, cell.row.labelled.name)):
            finish(tmp_path, cell, scores[0], second_dice=scores[1])
    Outputs(study, cells, collect(tmp_path, cells)).write(tmp_path)
    shares = {
        row["class"]: row["gap_recovered"]
        for row in _read(tmp_path / "summary.csv")
        if (row["method"], row["metric"], row["scored"]) == ("other", "dice", "as predicted")
    }
    assert {name: float(share) for name, share in shares.items() if share != "n/a"} == pytest.approx(
        {"ball": 0.5, "box": 1.0, "mean over classes": 0.75}
    )


def test_several_classes_have_a_table_of_their_own(study, cells, finish, tmp_path):
    finish(tmp_path, cells[0], 0.6, second_dice=0.8)
    outputs = Outputs(study, cells, collect(tmp_path, cells))
    assert _rows(outputs.tables[0])[0]["Dice %"] == "70.00"  # (60 + 80) / 2
    assert [table.title for table in outputs.tables][2] == "Classes"
    row = _rows(outputs.tables[2])[0]
    assert (row["Dice % ball"], row["Dice % box"], row["HD95 mm box"]) == ("60.00", "80.00", "2.00")


def test_the_four_metrics_of_the_second_paper_in_one_table(outputs):
    table = outputs.tables[-1]
    assert table.head[3:] == ("Dice %", "RAVD %", "HD95 mm", "HD95 voxels", "ASD mm", "ASD voxels")
    # hd95 is 2 mm and 4 voxels in every case, asd half of that
    assert table.rows[0][3:] == (
        "62.00 ± 2.83", "10.00 ± 0.00", "2.00 ± 0.00", "4.00 ± 0.00", "1.00 ± 0.00", "2.00 ± 0.00",
    )  # fmt: skip
    assert len(table.rows) == 5
