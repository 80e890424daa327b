from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from fewscan.data.geometry import Geometry
from fewscan.pictures import compared_planes
from fewscan.pictures.compared import ComparedCase
from fewscan.pictures.compared_planes import save_planes
from fewscan.pictures.overlay import ADDED, MISSED

NAMES = {1: "ventricle", 2: "myocardium"}


def case(size, *, shift=1, methods=("a", "b")):
    rng = np.random.default_rng(0)
    truth = np.zeros(size, np.uint8)
    truth[(slice(6, 14),) * len(size)] = 1
    truth[(slice(14, 17),) * len(size)] = 2
    predictions = {name: np.roll(truth, k * shift, axis=0) for k, name in enumerate(methods)}
    return ComparedCase("best\ncase_1", rng.uniform(50, 60, size), truth, predictions, Geometry.identity(size))


def colours_in(path):
    return {tuple(pixel) for pixel in (imread(path)[..., :3].reshape(-1, 3) * 255).round().astype(int)}


def test_a_method_and_a_case_more_make_it_larger(tmp_path):
    def size(name, *cases):
        save_planes(tmp_path / name, cases, class_names=NAMES, title="t")
        return imread(tmp_path / name).shape[:2]

    flat = case((24, 24), shift=0)
    height, width = size("flat.png", flat)
    # square planes have the largest height of a row, which is less than the largest width of a column
    column, row = compared_planes.DPI * compared_planes.ROW_INCHES, compared_planes.DPI * 2.22
    taller, _ = size("two.png", flat, flat)
    _, wider = size("three.png", case((24, 24), shift=0, methods=("a", "b", "c")))
    assert taller - height == pytest.approx(row, abs=2)
    assert wider - width == pytest.approx(column, abs=2)
    assert size("volume.png", case((24, 24, 24), shift=0))[0] - height == pytest.approx(
        2 * row, abs=30
    )  # a longer note


def test_errors_are_seen_where_there_are_any(tmp_path):
    save_planes(tmp_path / "none.png", [case((24, 24), shift=0)], class_names=NAMES)
    save_planes(tmp_path / "some.png", [case((24, 24), shift=3)], class_names=NAMES)
    for colour in (MISSED, ADDED):
        # 0.9 of the colour over a grey that is nearly the same everywhere; the legend has the full colour
        near = np.array(to_rgb(colour)) * 255

        def count(name, near=near):
            return (np.abs(imread(tmp_path / name)[..., :3] * 255 - near).max(axis=-1) < 40).sum()

        assert count("some.png") > count("none.png") + 500


def test_labels_in_the_empty_margin_of_a_scan_are_not_cut_off():
    flat = case((40, 40))
    image = np.zeros((40, 40))
    image[10:30, 10:30] = 1
    stray = flat.truth.copy()
    stray[38, 38] = 1
    [planes] = compared_planes._cut(replace(flat, image=image, predictions={"a": stray, "b": flat.truth}))
    assert planes[0].prediction.shape == planes[1].prediction.shape
    assert (planes[0].prediction != 0).sum() == (stray != 0).sum()


@pytest.mark.parametrize("value", [0, 1])
def test_empty_and_full_label_maps_are_drawn(tmp_path, value):
    labels = np.full((9, 10), value, np.uint8)
    full = ComparedCase("c", np.zeros((9, 10)), labels, {"a": labels}, Geometry.identity((9, 10)))
    save_planes(tmp_path / "c.png", [full], class_names=NAMES)
    assert (tmp_path / "c.png").stat().st_size > 0
