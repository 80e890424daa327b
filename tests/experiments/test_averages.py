from dataclasses import replace
from math import inf, isnan, nan, sqrt

import pytest

from fewscan.experiments.averages import Key, main_label, make_lines, mean_of
from fewscan.experiments.collect import collect
from fewscan.experiments.state import AS_PREDICTED, LARGEST

DICE = Key(AS_PREDICTED, "ball", "dice")


def _line(lines, method, count):
    return next(line for line in lines if (line.row.method, line.row.labelled.count) == (method, count))


def test_mean_over_cases_first_then_mean_and_spread_over_seeds(cells, finished):
    lines = make_lines(cells, collect(finished, cells))
    dice = _line(lines, "other", 1).averages[DICE]
    # seeds have 0.70 and 0.74: mean 0.72, deviation sqrt((0.02^2 + 0.02^2) / 1)
    assert dice.by_seed == pytest.approx({0: 0.70, 1: 0.74})
    assert dice.mean == pytest.approx(0.72)
    assert dice.standard_deviation == pytest.approx(0.02 * sqrt(2))
    assert (dice.n, dice.infinite) == (12, 0)


def test_time_memory_and_cost(cells, finished):
    line = _line(make_lines(cells, collect(finished, cells)), "supervised", 3)
    assert line.training_seconds == 65.0  # 60 and 70
    assert line.peak_memory_mib == 100.0
    assert line.annotated == (3, 3)


def test_lines_are_ordered_by_count_then_method(cells, finished):
    lines = make_lines(cells, collect(finished, cells))
    assert [(line.row.method, line.row.labelled.count) for line in lines] == [
        ("supervised", 1), ("other", 1), ("supervised", 3), ("other", 3), ("supervised", 6),
    ]  # fmt: skip
    assert main_label(lines) == "ball"


def test_an_empty_prediction_makes_the_mean_infinite_and_is_counted(cells, finish, tmp_path):
    finish(tmp_path, cells[0], 0.5, hd95_mm=[inf, 2.0, 3.0, 4.0, 5.0, 6.0], dice_largest=0.6)
    line = make_lines(cells, collect(tmp_path, cells))[0]
    distance = line.averages[Key(AS_PREDICTED, "ball", "hd95_mm")]
    assert distance.mean == inf
    assert isnan(distance.standard_deviation)
    assert (distance.infinite, distance.n) == (1, 6)
    assert distance.mean_finite == pytest.approx(4.0)  # (2 + 3 + 4 + 5 + 6) / 5
    assert line.averages[Key(LARGEST, "ball", "dice")].mean == pytest.approx(0.6)
    assert (len(line.results), line.planned) == (1, 2)


def test_each_patients_scans_are_averaged_first(cells, finish, tmp_path):
    patients = {f"test{k}": "first" for k in range(5)}
    cells = [replace(cell, split=cell.split.model_copy(update={"test_groups": patients})) for cell in cells]
    finish(tmp_path, cells[0], [0.5] * 5 + [0.8], hd95_mm=[inf, 2.0, 2.0, 2.0, 2.0, 4.0])
    averages = make_lines(cells, collect(tmp_path, cells))[0].averages
    assert averages[DICE].mean == pytest.approx(0.65)  # (0.5 + 0.8) / 2; over scans it would be 0.55
    distance = averages[Key(AS_PREDICTED, "ball", "hd95_mm")]
    assert (distance.n, distance.infinite, distance.mean) == (6, 1, inf)
    assert distance.mean_finite == pytest.approx(3.0)  # (2 + 4) / 2


def test_impossible_means_are_found(cells, finish, tmp_path):
    # at Dice 0.8 the mean Jaccard is at least 0.8 / 1.2 = 0.667
    finish(tmp_path, cells[0], 0.8, jaccard=0.6)
    finish(tmp_path, cells[1], 0.8)
    lines = make_lines(cells, collect(tmp_path, cells))
    assert not lines[0].jensen[AS_PREDICTED, "ball"].possible
    assert lines[1].jensen[AS_PREDICTED, "ball"].possible


def test_a_line_without_cells_is_empty(cells, tmp_path):
    line = make_lines(cells, collect(tmp_path, cells))[0]
    assert (line.averages, line.annotated, line.jensen) == ({}, (0, 0), {})
    assert isnan(line.training_seconds)
    assert isnan(line.peak_memory_mib)


@pytest.mark.parametrize(
    ("values", "expected"), [([1.0, 2.0], 1.5), ([1.0, nan], 1.0), ([1.0, inf, nan], inf), ([], nan), ([nan], nan)]
)
def test_mean_of(values, expected):
    assert mean_of(values) == pytest.approx(expected, nan_ok=True)
