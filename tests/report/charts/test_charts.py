from math import inf, nan

import pytest

from fewscan.recipes.joint_record import RoundRecord
from fewscan.report.charts.distributions import box_chart
from fewscan.report.charts.learning import learning_charts, mean_of_last
from fewscan.report.charts.paired import paired_chart
from fewscan.report.charts.rounds import round_charts
from fewscan.report.charts.volumes import volume_chart
from fewscan.report.sections.learning import term_table


def test_boxes_say_median_and_worst_and_count_the_infinite():
    picture = box_chart("HD", {"a": {"x": 1.0, "y": 3.0, "z": 2.0, "w": inf}, "b": {}}, unit="mm", worst_is_low=False)
    assert picture.alt == "Box plot. HD. a: median 2.500, highest ∞, 4 cases; b: no cases."


def test_pairs_say_how_many_became_better():
    pairs = {"x": (0.5, 0.7), "y": (0.6, 0.5), "z": (0.4, 0.4), "w": (nan, 0.3)}
    picture = paired_chart("Dice", pairs, names=("before", "after"), unit="Dice")
    # means of the three: 0.5 and 0.5333
    assert "before: mean 0.500; after: mean 0.533; 1 better, 1 worse, 1 equal. 1 without" in picture.alt
    distances = paired_chart("HD", pairs, names=("a", "b"), unit="mm", higher_is_better=False)
    assert "1 better, 1 worse" in distances.alt
    assert paired_chart("none", {}, names=("a", "b"), unit="u").alt


def test_volumes_say_how_much_too_much():
    picture = volume_chart({"ball": {"x": (10.0, 12.0), "y": (10.0, 10.0)}, "none": {}}, unit="ml")
    assert "ball: +10 % of the true volume in sum." in picture.alt


def test_every_term_validation_and_rate_have_a_chart(make_steps):
    records = make_steps(100, supervised=1.0, consistency=0.1)
    records.append({"kind": "validation", "step": 99, "dice": {"a": 0.8, "b": 0.6}, "mean_dice": 0.7})
    texts = [picture.alt for picture in learning_charts(records)]
    assert [text.split(" over ")[0].removeprefix("Line chart of ") for text in texts] == [
        "total loss", "loss term supervised", "loss term consistency", "validation Dice", "learning rate",
    ]  # fmt: skip
    # values fall from 2 to 2 - 90/100; 5 % of ten steps is one
    assert "from 2.0000 to 1.1000" in texts[1]
    assert "from 0.2000 to 0.1100" in texts[2]


def test_an_adversary_has_a_chart_of_its_own(make_steps):
    records = make_steps(100, supervised=1.0)
    against = [record["terms"] for record in make_steps(100, adversary=0.5)]
    records = [{**record, "adversary": terms} for record, terms in zip(records, against, strict=True)]
    texts = [picture.alt for picture in learning_charts(records)]
    assert [text.split(" over ")[0].removeprefix("Line chart of ") for text in texts] == [
        "total loss", "loss term supervised", "loss term adversary: adversary", "learning rate",
    ]  # fmt: skip
    rows = term_table(records).rows
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("supervised", "2.0000", "100 %"), ("adversary: adversary", "2.0000", "–")
    ]  # fmt: skip


def test_terms_of_several_stages_are_told_apart(make_steps):
    first = [{**record, "stage": "segmentation", "round": 0} for record in make_steps(30, supervised=1.0)]
    second = [
        {**record, "stage": "registration", "round": 0, "step": record["step"] + 30} for record in make_steps(30, s=2.0)
    ]
    again = [
        {**record, "stage": "segmentation", "round": 1, "step": record["step"] + 60} for record in make_steps(30, p=1.0)
    ]
    texts = " ".join(picture.alt for picture in learning_charts([*first, *second, *again]))
    for term in ("segmentation: supervised", "segmentation: p", "registration: s"):
        assert f"loss term {term}" in texts
    assert "total loss" not in texts  # a sum over stages means nothing


@pytest.mark.parametrize("value", [nan, None, inf])
def test_values_that_are_none_are_said(value):
    term = {"value": value, "weight": 1.0, "product": value}
    records = [{"kind": "step", "step": 0, "terms": {"a": term}, "loss": value, "lr": 0.1}]
    assert "nothing finite was logged" in learning_charts(records)[0].alt
    assert learning_charts([]) == []


def test_rounds_have_a_chart_for_each_measure_that_any_has():
    history = [RoundRecord(round=0, mean_dice=0.5), RoundRecord(round=1, mean_dice=0.75, entropy=0.2)]
    texts = [picture.alt for picture in round_charts(history)]
    assert len(texts) == 2
    assert "round 0: 0.500, round 1: 0.750" in texts[0]


def test_the_mean_of_the_last_values_skips_gaps():
    import numpy as np

    # the last twentieth of 60 values is three
    assert mean_of_last(np.array([9.0] * 57 + [1.0, nan, 3.0])) == 2.0
    assert mean_of_last(np.zeros(0)) != mean_of_last(np.zeros(0))
