import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from fewscan.data.geometry import Geometry
from fewscan.report.panels.cases import (
    LONGEST_SIDE,
    PicturedCase,
    blend,
    case_panels,
    paint_confidence,
    picture_size,
    resized,
)

NAMES = {1: "ball", 2: "box"}


def case(shape=(12, 10, 8), **changes):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    truth = np.zeros(shape, np.uint8)
    truth[(slice(3, 7),) * len(shape)] = 1
    geometry = Geometry.identity(shape, (1.0,) * len(shape))
    values = {"truth": truth, "confidence": np.full(shape, 0.75, np.float32)}
    return PicturedCase("c", image, np.roll(truth, 1, axis=0), geometry, **{**values, **changes})


def pixels(picture):
    return imread(io.BytesIO(base64.b64decode(picture.source.split(",")[1])))


def test_a_volume_has_three_planes_of_five_pictures():
    panels = case_panels(case(), NAMES, title="t")
    assert [name for name, _ in panels.rows] == ["axial", "coronal", "sagittal"]
    captions = ["scan", "truth", "prediction", "errors", "confidence"]
    assert all([picture.caption for picture in row] == captions for _, row in panels.rows)
    assert [name for name, _ in panels.legend] == ["ball", "box", "missed", "added", "other class"]
    assert panels.scale


def test_what_is_not_known_is_not_shown():
    panels = case_panels(case((12, 10), truth=None, confidence=None), NAMES, title="t")
    [(name, row)] = panels.rows
    assert name == ""
    assert [picture.caption for picture in row] == ["scan", "prediction"]
    assert [name for name, _ in panels.legend] == ["ball", "box"]
    assert panels.scale == ""


def test_a_class_alone_is_confused_with_no_other():
    panels = case_panels(case((12, 10)), {1: "ball"}, title="t")
    assert [name for name, _ in panels.legend] == ["ball", "missed", "added"]


def test_errors_are_counted_in_the_text():
    [(_, row)] = case_panels(case((12, 10)), NAMES, title="t").rows
    # a square of 4 x 4 moved by one: a line of 4 missed, and one of 4 added
    assert "8 voxels of this plane differ" in row[3].alt
    assert row[3].alt.startswith("case c, errors")


def test_nothing_predicted_and_no_truth_at_all_are_drawn():
    empty = np.zeros((12, 10), np.uint8)
    shown = PicturedCase("c", np.ones((12, 10)), empty, Geometry.identity((12, 10)), empty)
    assert len(case_panels(shown, NAMES, title="t").rows) == 1


def test_pixels_are_square_whatever_the_spacing():
    assert picture_size((10, 20), 1.0) == (LONGEST_SIDE // 2, LONGEST_SIDE)
    assert picture_size((10, 20), 4.0) == (LONGEST_SIDE, LONGEST_SIDE // 2)
    flat = case((12, 10))
    tall = PicturedCase("c", flat.image, flat.prediction, Geometry.identity((12, 10), (1.0, 2.0)), flat.truth)
    [(_, row)] = case_panels(tall, NAMES, title="t").rows
    high, wide, _ = pixels(row[0]).shape
    assert high > wide


def test_resizing_keeps_the_edges_where_they_are():
    array = np.array([[0.0, 1.0]])
    np.testing.assert_array_equal(resized(array, (2, 4), order=0), [[0, 0, 1, 1]] * 2)
    # centres of four pixels lie at -0.25, 0.25, 0.75, 1.25 of the two
    np.testing.assert_allclose(resized(array, (1, 4), order=1), [[0, 0.25, 0.75, 1]], atol=1e-6)


def test_certain_voxels_are_not_painted_and_doubt_is_capped():
    painted = paint_confidence(np.array([[1.0, 0.75, 0.5, 0.2]]))
    assert painted[0, 0, 3] == 0
    assert painted[0, 1, 3] == pytest.approx(0.9)  # 2.5 x 0.5, cut off at 0.9
    np.testing.assert_array_equal(painted[0, 2], painted[0, 3])


def test_colours_are_laid_over_grey():
    red = np.array([[[1.0, 0.0, 0.0, 0.5]]])
    np.testing.assert_allclose(blend(np.full((1, 1), 0.4), red, (1, 1)), [[[0.7, 0.2, 0.2]]])
    np.testing.assert_allclose(blend(np.full((1, 1), 0.4), None, (1, 1)), [[[0.4, 0.4, 0.4]]])
