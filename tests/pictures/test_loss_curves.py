import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from fewscan.pictures import loss_curves
from fewscan.pictures.loss_curves import LossCurve, over_seeds, panel_rows, save_loss_curves


def step(number, loss=None, **products):
    terms = {name: {"value": 2 * p, "weight": 0.5, "product": p} for name, p in products.items()}
    return {"kind": "step", "step": number, "terms": terms, "loss": sum(products.values()) if loss is None else loss}


def curve(title, *seeds, column="2 labelled", colour="#0072B2"):
    return LossCurve(title, column, colour, seeds)


def total(record):
    return record["loss"]


def test_seeds_are_averaged_and_their_range_kept():
    band = over_seeds([[step(0, 1.0), step(10, 3.0)], [step(0, 2.0), step(10, 7.0)]], total)
    assert band.step.tolist() == [1, 11]  # people count from 1
    assert (band.mean.tolist(), band.low.tolist(), band.high.tolist()) == ([1.5, 5], [1, 3], [2, 7])


def test_each_seed_is_smoothed_before():
    # 60 records: a window of 3
    records = [step(k, 9.0 if k == 30 else 0.0) for k in range(60)]
    band = over_seeds([records], total)
    assert band.mean[[28, 29, 30, 31, 32]].tolist() == [0, 3, 3, 3, 0]


def test_only_steps_of_all_seeds_and_finite_values_count():
    records = [step(0, 1.0), {**step(5, 1.0), "loss": None}, step(9, 4.0), {"kind": "validation", "step": 9}]
    band = over_seeds([records, [step(0, 3.0), step(5, float("nan")), step(7, 9.0), step(9, 4.0)]], total)
    assert band.step.tolist() == [1, 6, 10]
    np.testing.assert_allclose(band.mean, [2, np.nan, 4])
    assert over_seeds([[], [step(0, float("inf"))]], total) is None


def test_rows_are_the_total_and_each_weighted_term():
    plain, teacher = curve("s", [step(0, supervised=0.5)]), curve("m", [step(0, supervised=0.5, consistency=0.1)])
    assert list(panel_rows([plain])) == ["total loss"]
    rows = panel_rows([plain, teacher])
    assert list(rows) == ["total loss", "supervised (weighted)", "consistency (weighted)"]
    assert rows["consistency (weighted)"](teacher.seeds[0][0]) == 0.1
    assert rows["consistency (weighted)"](plain.seeds[0][0]) is None


def test_rare_terms_share_a_row():
    curves = [curve("x", [step(0, supervised=1.0, a=0.25, b=0.5)]), curve("y", [step(0, supervised=1.0, a=0.5, c=2.0)])]
    rows = panel_rows(curves)
    assert list(rows)[1:] == ["supervised (weighted)", "a (weighted)", "other terms (weighted, summed)"]
    read = rows["other terms (weighted, summed)"]
    assert [read(each.seeds[0][0]) for each in curves] == [0.5, 2.0]


def test_a_scale_is_logarithmic_only_for_positive_values_far_apart():
    for values, expected in (([1.0, 20.0], "log"), ([1.0, 5.0], "linear"), ([0.0, 20.0], "linear")):
        axis = Figure().subplots()
        axis.plot(values)
        loss_curves._scale([axis])
        assert axis.get_yscale() == expected


def test_a_column_per_labelled_count_and_a_row_per_term(tmp_path):
    few = [curve("s", [step(k, supervised=1 / (k + 1)) for k in range(30)]), curve("m", [step(0, supervised=0.5)], [])]
    more = [curve("m", [step(k, supervised=0.5, consistency=0.1) for k in (0, 1)], column=c) for c in ("4", "8", "all")]
    for name, curves in (("few", few), ("more", [*few, *more]), ("none", [])):
        save_loss_curves(tmp_path / f"{name}.png", curves, title="T")
    few_size, more_size = (np.array(imread(tmp_path / f"{name}.png").shape[:2]) for name in ("few", "more"))
    width, height = loss_curves.PANEL_INCHES
    assert (more_size - few_size) / loss_curves.DPI == pytest.approx([2 * height, 2 * width], abs=0.02)
    assert imread(tmp_path / "none.png").shape[1] == few_size[1]
