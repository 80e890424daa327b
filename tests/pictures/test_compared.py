import numpy as np

from fewscan.data.geometry import Geometry
from fewscan.pictures.compared import ComparedCase, wrapped


def test_zooming_keeps_every_label_with_a_margin():
    truth, stray = np.zeros((40, 30), np.uint8), np.zeros((40, 30), np.uint8)
    truth[10:20, 12] = 1
    stray[24, 12] = 2
    case = ComparedCase("c", np.arange(1200.0).reshape(40, 30), truth, {"a": truth, "b": stray}, grid((40, 30)))
    near = case.zoomed()
    # first axis: 10 to 25 is 15 long, 15 % of it is less than 5 mm, so 5 voxels of 1 mm; second: 3 voxels of 2 mm
    assert near.geometry.size == near.truth.shape == (25, 7)
    np.testing.assert_array_equal(near.image, case.image[5:30, 9:16])
    np.testing.assert_array_equal(near.predictions["b"], stray[5:30, 9:16])


def test_nothing_to_zoom_at_leaves_all():
    empty = np.zeros((5, 6), np.uint8)
    case = ComparedCase("c", empty, empty, {"a": empty}, grid((5, 6)))
    assert case.zoomed() is case


def grid(size):
    return Geometry.identity(size, (1.0, 2.0))


def test_long_lines_are_wrapped():
    # 5 inches hold 72 * 5 / (0.56 * 10) = 64 letters of 10 points
    assert [len(line) for line in wrapped("a " * 40, inches=5, points=10).splitlines()] == [63, 15]
