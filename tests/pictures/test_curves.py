import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from fewscan.pictures import curves
from fewscan.pictures.curves import moving_mean, save_learning_curves


def step(number, **products):
    terms = {name: {"value": 2 * p, "weight": 0.5, "product": p} for name, p in products.items()}
    return {"kind": "step", "step": number, "terms": terms, "loss": sum(products.values())}


def validation(number, **dice):
    return {"kind": "validation", "step": number, "dice": dice, "mean_dice": float(np.mean(list(dice.values())))}


def test_the_moving_mean_is_cut_off_at_the_ends_and_skips_gaps():
    # width 3: (1+2)/2, (1+2+6)/3, (2+6+3)/3, (6+3)/2
    np.testing.assert_allclose(moving_mean(np.array([1.0, 2, 6, 3]), 3), [1.5, 3, 11 / 3, 4.5])
    # the gap is skipped: 1, (1+6)/2, (6+3)/2, (6+3)/2
    np.testing.assert_allclose(moving_mean(np.array([1.0, np.nan, 6, 3]), 3), [1, 3.5, 4.5, 4.5])
    np.testing.assert_allclose(moving_mean(np.array([4.0]), 9), [4])
    assert np.isnan(moving_mean(np.array([np.nan, np.inf]), 1)).all()


@pytest.mark.parametrize(
    "records",
    [
        [],
        [step(0, dice=0.5)],
        [validation(10, heart=0.4)],
        [step(0, dice=0.5, consistency=float("nan")), step(10, dice=float("inf"), consistency=0.2)],
        [step(0, a=1.0), {**step(1, a=1.0), "loss": None}],
        [step(k, a=-1.0 / (k + 1), b=0.3) for k in range(60)] + [validation(k, x=0.1, y=float("nan")) for k in (9, 59)],
    ],
    ids=["none", "one", "validation only", "not finite", "null", "many"],
)
def test_any_log_gives_a_picture(tmp_path, records):
    path = tmp_path / "curves.png"
    save_learning_curves(path, iter(records))
    height, width, _ = imread(path).shape
    validated = any(record["kind"] == "validation" for record in records)
    assert (width > 2 * height) == validated  # the second panel is there only where it has something to show
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]


def lines(axis):
    return {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}


def test_every_term_is_drawn_with_its_weight_and_the_total_above():
    axis = Figure().subplots()
    curves._draw_terms(axis, [step(0, dice=0.6, consistency=0.2), step(1, dice=0.4, consistency=0.3)])
    drawn = lines(axis)
    assert list(drawn) == ["dice", "consistency", "total"]
    # two records: the smoothing window is a single one
    np.testing.assert_allclose(drawn["dice"].get_ydata(), [0.6, 0.4])
    np.testing.assert_allclose(drawn["total"].get_ydata(), [0.8, 0.7])


def test_a_term_that_starts_late_has_its_own_steps():
    axis = Figure().subplots()
    curves._draw_terms(axis, [step(0, dice=0.6), step(5, dice=0.4, consistency=0.3)])
    assert lines(axis)["consistency"].get_xdata().tolist() == [5]


def test_a_single_term_needs_no_total():
    axis = Figure().subplots()
    curves._draw_terms(axis, [step(0, dice=0.6)])
    assert list(lines(axis)) == ["dice"]
    assert lines(axis)["dice"].get_marker() == "o"  # one point alone would be invisible as a line


def test_an_adversary_has_a_panel_of_its_own(tmp_path):
    against = {"adversary": {"value": 0.7, "weight": 1.0, "product": 0.7}}
    records = [{**step(k, dice=0.6), "adversary": against} for k in range(3)]
    save_learning_curves(tmp_path / "curves.png", records)
    height, width, _ = imread(tmp_path / "curves.png").shape
    assert width > 2 * height  # two panels
    axis = Figure().subplots()
    curves._draw_terms(axis, records, group="adversary")
    assert axis.get_title() == "the adversary's loss"
    np.testing.assert_allclose(lines(axis)["adversary"].get_ydata(), [0.7] * 3)
    assert list(lines(axis)) == ["adversary"]  # it has no part in the total


def test_validation_shows_each_class_and_the_mean():
    axis = Figure().subplots()
    curves._draw_validation(axis, [validation(10, atrium=0.5, wall=0.3), validation(20, atrium=0.7, wall=0.5)])
    drawn = lines(axis)
    assert list(drawn) == ["atrium", "wall", "mean"]
    np.testing.assert_allclose(drawn["mean"].get_ydata(), [0.4, 0.6])
    assert axis.get_ylim() == (0, 1)
