import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from fewscan.data.geometry import Geometry
from fewscan.pictures import overlay
from fewscan.pictures.overlay import ADDED, CLASS_COLOURS, CONFUSED, MISSED, Example, save_gallery, save_overlay

NAMES = {1: "ventricle", 2: "myocardium"}


def example(size=(20, 24), *, caption="case_1", spacing_mm=None):
    image = np.zeros(size, np.float32)
    image[(slice(3, -3),) * len(size)] = 100
    truth = np.zeros(size, np.uint8)
    truth[(slice(5, 10),) * len(size)] = 1
    truth[(slice(11, 15),) * len(size)] = 2
    prediction = np.roll(truth, 1, axis=0)
    return Example(caption, image, truth, prediction, Geometry.identity(size, spacing_mm))


def colours_in(path):
    return {tuple(pixel) for pixel in (imread(path)[..., :3].reshape(-1, 3) * 255).round().astype(int)}


def as_bytes(colour):
    return tuple(round(255 * part) for part in to_rgb(colour))


@pytest.mark.parametrize(
    ("size", "column", "rows"),
    [
        # 18 x 22 voxels remain once the empty margins are cut off: a row of full height, 2.6, and columns 18/22 of it
        ((20, 24), 2.6 * 18 / 22, 2.6),
        # 18 x 22 x 16: the sagittal plane of 22 x 16 would be 3.575 wide, so columns have the largest width, 3.3, and
        # its row is 3.3 * 16 / 22 = 2.4 high; the coronal plane of 18 x 16 fits
        ((20, 24, 18), 3.3, 2.6 + 2.6 + 2.4),
    ],
)
def test_a_picture_is_written_for_slices_and_volumes(tmp_path, size, column, rows):
    path = tmp_path / "new" / "case.png"
    save_overlay(path, example(size), class_names=NAMES, title="a title")
    height, width, _ = imread(path).shape
    inches = height / 120 - 2 * overlay.HEAD_INCHES - 1.4 * overlay.LEGEND_INCHES
    assert inches == pytest.approx(rows, abs=0.01)
    assert width == pytest.approx(120 * (overlay.LABEL_INCHES + 4 * column), abs=1)
    assert [entry.name for entry in path.parent.iterdir()] == ["case.png"]
    assert as_bytes(CLASS_COLOURS[0]) in colours_in(path)  # the legend, at least


def test_the_gallery_has_one_row_per_case(tmp_path):
    examples = [example((20, 24, 18), caption=name) for name in ("best", "median", "worst")]
    save_gallery(tmp_path / "g.png", examples, class_names=NAMES)
    save_gallery(tmp_path / "one.png", examples[:1], class_names=NAMES)
    difference = imread(tmp_path / "g.png").shape[0] - imread(tmp_path / "one.png").shape[0]
    assert difference == pytest.approx(2 * 120 * overlay.ROW_INCHES, abs=2)


def test_spacing_shapes_the_picture():
    [flat] = overlay.planes_of(example((20, 20), spacing_mm=(1.0, 1.0)))
    [tall] = overlay.planes_of(example((20, 20), spacing_mm=(1.0, 3.0)))
    assert flat.width == pytest.approx(1)
    assert tall.width == pytest.approx(1 / 3)


def test_empty_surroundings_are_cut_off_and_labels_with_them():
    whole = example()
    [row] = overlay.planes_of(whole)
    # the image fills 3..16 of 20 and 3..20 of 24; with a margin of 2 that leaves 1..18 and 1..22
    assert row.image.shape == row.truth.shape == (22, 18)
    np.testing.assert_array_equal(row.truth, whole.truth[1:19, 1:23].T)


def test_volumes_are_cut_through_the_centre_of_the_truth():
    cut = example((20, 24, 18))
    truth = np.zeros_like(cut.truth)
    truth[4:7, 10:13, 8] = 1
    axial, coronal, sagittal = overlay.planes_of(Example("", cut.image, truth, np.zeros_like(truth), cut.geometry))
    assert axial.truth.sum() == 9
    assert coronal.truth.sum() == sagittal.truth.sum() == 3


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_image_and_no_labels_at_all_are_drawn(tmp_path, value):
    image = np.full((12, 14), value, np.int16)
    empty = np.zeros((12, 14), np.uint8)
    save_overlay(tmp_path / "c.png", Example("c", image, empty, empty, Geometry.identity((12, 14))), class_names=NAMES)
    assert (tmp_path / "c.png").stat().st_size > 0


def test_errors_tell_missed_added_and_other_class():
    truth = np.array([[0, 0, 1, 1, 2, 9]])
    prediction = np.array([[0, 1, 0, 2, 2, 0]])
    painted = overlay.paint_errors(truth, prediction, [1, 2])
    expected = [None, ADDED, MISSED, CONFUSED, None, None]  # 9 has no name: background
    for pixel, colour in zip(painted[0], expected, strict=True):
        assert (pixel[3] > 0) == (colour is not None)
        if colour:
            np.testing.assert_allclose(pixel[:3], to_rgb(colour))


def test_labels_are_painted_in_their_colours_with_sharper_edges():
    labels = np.array([[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [5, 5, 5, 5]])
    painted = overlay.paint_labels(labels, {1: "#FF0000", 5: "#0000FF"})
    n = overlay.SHARPEN
    assert painted.shape == (4 * n, 4 * n, 4)
    assert painted[n, 0, 3] == 0
    np.testing.assert_allclose(painted[n, 3 * n], (1, 0, 0, 0.45))
    np.testing.assert_allclose(painted[-1, 2 * n], (0, 0, 1, 0.45))
    assert painted[..., 3].max() == pytest.approx(0.9)  # the outline


def test_scores_are_of_the_whole_scan():
    cut = example((20, 24, 18))
    # class 1 is a 5 x 5 x 5 cube moved by one voxel: the overlap is 4 of 5 layers, so Dice = 2 * 4 / (5 + 5) = 0.8;
    # class 2 a cube of 4: 2 * 3 / (4 + 4) = 0.75; class 3 is nowhere
    dice = overlay.dice_per_class(cut, {**NAMES, 3: "nothing"})
    assert dice[1] == pytest.approx(0.8)
    assert dice[2] == pytest.approx(0.75)
    assert np.isnan(dice[3])
    assert len(set(CLASS_COLOURS)) == len(CLASS_COLOURS)


def test_more_classes_than_colours_are_drawn(tmp_path):
    names = {value: f"class {value}" for value in range(1, 12)}
    save_overlay(tmp_path / "m.png", example(), class_names=names)
    assert as_bytes(CLASS_COLOURS[6]) in colours_in(tmp_path / "m.png")
