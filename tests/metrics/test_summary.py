from math import inf, isnan, nan

import pytest

from fewscan.metrics.case_scores import METRICS, ClassScores
from fewscan.metrics.summary import ALL_CLASSES, ComparisonRow, SummaryRow, check_means, columns, compare, summarise


def scores(case: str, value: int, dice: float, distance: float = 1.0) -> ClassScores:
    if isnan(dice):
        return ClassScores(case, value, 0, 0, dict.fromkeys(METRICS, nan))
    rest = dict.fromkeys(METRICS, distance)
    return ClassScores(case, value, 10, 10, {**rest, "dice": dice, "jaccard": dice / (2 - dice)})


def find(rows: list[SummaryRow] | list[ComparisonRow], label: str, metric: str) -> SummaryRow | ComparisonRow:
    (row,) = [row for row in rows if (row.label, row.metric) == (label, metric)]
    return row


def test_one_class() -> None:
    table = columns([scores("a", 1, 0.8), scores("b", 1, 0.9), scores("c", 1, 0.4)], {1: "organ"})
    rows = summarise(table)
    assert {row.label for row in rows} == {"organ"}
    dice = find(rows, "organ", "dice")
    assert (dice.n, dice.absent, dice.infinite) == (3, 0, 0)
    assert dice.mean == pytest.approx(0.7)
    assert dice.median == 0.8
    # deviations .1, .2, -.3: squares .01 + .04 + .09 = .14, over n - 1 = 2
    assert dice.standard_deviation == pytest.approx(0.07**0.5)
    assert dice.low < 0.7 < dice.high


def test_absent_classes_are_counted_and_not_averaged() -> None:
    dice = find(summarise(columns([scores("a", 1, 0.8), scores("b", 1, nan)], {})), "1", "dice")
    assert (dice.n, dice.absent, dice.mean) == (1, 1, 0.8)
    assert isnan(dice.low)


def test_infinite_distances_are_never_dropped() -> None:
    rows = summarise(columns([scores("a", 1, 0.8, 2.0), scores("b", 1, 0.0, inf), scores("c", 1, 0.7, 4.0)], {}))
    distance = find(rows, "1", "hd95_mm")
    assert (distance.n, distance.infinite) == (3, 1)
    assert distance.mean == inf
    assert distance.median == 4.0
    assert distance.mean_finite == 3.0
    assert isnan(distance.low)
    assert isnan(distance.standard_deviation)


def test_mean_over_classes_is_taken_per_case() -> None:
    rows = summarise(
        columns(
            [scores("a", 1, 0.8), scores("a", 2, 0.4), scores("b", 1, 0.9), scores("b", 2, nan)], {1: "one", 2: "two"}
        )
    )
    # a: (0.8 + 0.4) / 2 = 0.6; b has class 1 only: 0.9; mean 0.75
    dice = find(rows, ALL_CLASSES, "dice")
    assert (dice.n, dice.absent) == (2, 0)
    assert dice.mean == pytest.approx(0.75)


def test_each_patients_scans_are_averaged_first() -> None:
    rows = [scores("a", 1, 0.5, 2.0), scores("b", 1, 0.7, inf), scores("c", 1, nan), scores("d", 1, 1.0, 4.0)]
    summary = summarise(columns(rows, {}), patients=dict.fromkeys("abc", "first"))
    # patients have 0.6 and 1: mean 0.8, deviations 0.2, squares 0.04 + 0.04 = 0.08, over n - 1 = 1
    dice = find(summary, "1", "dice")
    assert (dice.n, dice.absent) == (3, 1)
    assert (dice.mean, dice.median) == pytest.approx((0.8, 0.8))
    assert dice.standard_deviation == pytest.approx(0.08**0.5)
    assert (dice.low, dice.high) == pytest.approx((0.6, 1.0))
    distance = find(summary, "1", "hd_mm")
    assert (distance.n, distance.infinite, distance.mean) == (3, 1, inf)
    assert distance.mean_finite == 3.0  # 2 of the first, 4 of the second


def test_comparison_counts_by_what_is_better() -> None:
    cases = "abcdef"
    good = columns([scores(c, 1, 0.9, 1.0 + i / 10) for i, c in enumerate(cases)], {})
    bad = columns([scores(c, 1, 0.8 - i / 10, 2.0 + i / 5) for i, c in enumerate(cases)], {})
    rows = compare(good, bad)
    assert len(rows) == 6
    for metric in ("dice", "hd95_mm"):
        row = find(rows, "1", metric)
        assert (row.improved, row.worse, row.test.n) == (6, 0, 6)
        assert row.test.p == pytest.approx(2 / 64)
        assert row.p_holm == pytest.approx(min(1.0, 6 * 2 / 64))
    assert find(rows, "1", "dice").test.mean_difference > 0 > find(rows, "1", "hd95_mm").test.mean_difference


def test_a_correctly_empty_prediction_beats_an_invented_one() -> None:
    right = columns([scores("a", 1, nan), scores("b", 1, nan)], {})
    invented = columns([scores("a", 1, 0.0, inf), scores("b", 1, nan)], {})
    rows = compare(right, invented)
    dice = find(rows, "1", "dice")
    assert (dice.test.n, dice.improved, dice.mean, dice.baseline_mean) == (1, 1, 1.0, 0.0)
    assert find(rows, "1", "hd95_mm").mean == 0.0


def test_means_are_checked() -> None:
    rows = [scores("a", 1, 0.8), scores("b", 1, 0.2), scores("a", 2, nan), scores("b", 2, nan)]
    checks = check_means(summarise(columns(rows, {})))
    assert checks["1"].possible
    assert checks["1"].mean_dice == pytest.approx(0.5)
    assert "2" not in checks
