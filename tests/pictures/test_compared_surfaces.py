import numpy as np
import pytest
from matplotlib.image import imread

from fewscan.data.geometry import Geometry
from fewscan.pictures import compared_surfaces
from fewscan.pictures.compared import ComparedCase
from fewscan.pictures.compared_surfaces import bar_length, round_length, save_surfaces, signed_distance_mm
from fewscan.pictures.surfaces import surface

SIZE = (20, 20, 12)
SPACING_MM = (1.0, 1.0, 2.0)


def box(start, stop):
    mask = np.zeros(SIZE, np.uint8)
    mask[start:stop, start:stop, 3:9] = 1
    return mask


def case(*, grown, caption="best"):
    truth = box(5, 15)
    predictions = {"a": box(5 - grown, 15 + grown), "b": np.zeros(SIZE, np.uint8)}
    return ComparedCase(caption, np.zeros(SIZE), truth, predictions, Geometry.identity(SIZE, SPACING_MM))


def test_distances_are_signed_and_in_mm():
    truth = box(5, 15) == 1
    truth_mm, _ = surface(truth, SPACING_MM, smoothings=0)
    # the face at x = 14.5, one point 3 mm outside and one 4 mm inside, half-way between two vertices at most
    points = np.array([[17.5, 10.5, 11.0], [10.5, 10.5, 11.0]])
    np.testing.assert_allclose(signed_distance_mm(points, truth, truth_mm, SPACING_MM), [3, -4], atol=0.2)
    np.testing.assert_allclose(signed_distance_mm(truth_mm, truth, truth_mm, SPACING_MM), 0)
    assert np.isinf(signed_distance_mm(points, truth & False, truth_mm[:0], SPACING_MM)).all()


def test_a_prediction_that_is_larger_by_two_voxels_lies_two_mm_outside():
    [row] = compared_surfaces._rows(case(grown=2), {1: "box"})
    larger, empty = row.predictions
    assert np.median(larger.distance_mm) == pytest.approx(2, abs=0.3)
    assert larger.dice == pytest.approx(2 * 10 * 10 / (14 * 14 + 10 * 10))
    assert len(empty.faces) == 0
    [row] = compared_surfaces._rows(case(grown=-2), {1: "box"})
    assert row.predictions[0].distance_mm.min() == pytest.approx(-2, abs=0.4)
    low, high = compared_surfaces._limits([row])
    assert -low == high
    assert 2 <= high <= 5


def test_pictures_differ_when_predictions_do_and_have_a_row_per_class(tmp_path):
    save_surfaces(tmp_path / "good.png", [case(grown=0)], class_names={1: "box"})
    save_surfaces(tmp_path / "large.png", [case(grown=3)], class_names={1: "box"})
    save_surfaces(tmp_path / "classes.png", [case(grown=0)], class_names={1: "box", 2: "absent"}, title="title")
    good, large, classes = (imread(tmp_path / f"{name}.png") for name in ("good", "large", "classes"))
    assert good.shape == large.shape
    assert (np.abs(good - large).max(axis=-1) > 0.1).mean() > 0.01
    assert classes.shape[0] - good.shape[0] == pytest.approx(2.2 * compared_surfaces.DPI, abs=2)


def test_cases_are_left_out_where_there_would_be_too_many_rows():
    cases = [case(grown=0, caption=name) for name in ("best", "median", "worst")]
    assert [each.caption for each in compared_surfaces._few(cases, 9)] == ["best", "median", "worst"]
    assert [each.caption for each in compared_surfaces._few(cases, 2)] == ["best", "worst"]
    assert [each.caption for each in compared_surfaces._few(cases, 1)] == ["median"]


def test_round_lengths():
    assert [round_length(v) for v in (1.0, 1.1, 2.0, 3.0, 5.1, 0.04, 700)] == [1, 2, 2, 5, 10, 0.05, 1000]


def test_the_longest_round_bar_that_fits():
    assert [bar_length(v) for v in (5.0, 9.9, 10.0, 4.9, 0.3)] == [5, 5, 10, 2.5, 0.25]


def test_all_rows_have_one_bar(monkeypatch, tmp_path):
    bars = []
    monkeypatch.setattr(compared_surfaces, "_draw_scale", lambda axis, length: bars.append(length))
    small, large = np.zeros((2, 40, 40, 40), bool)
    small[18:22, 18:22, 18:22], large[4:36, 4:36, 4:36] = True, True
    labels = np.where(small, 2, large.astype(np.uint8))
    case = ComparedCase("", labels, labels, {"m": labels}, Geometry.identity((40, 40, 40)))
    save_surfaces(tmp_path / "a.png", [case], class_names={1: "large", 2: "small"})
    assert len(bars) == 2
    assert len(set(bars)) == 1
