"""Pictures of soft masks: written whole, with a panel for each half and round."""

import numpy as np
from matplotlib.image import imread

from fewscan.pictures.soft_masks import SoftMaskPlane, save_round, save_strip


def _plane(value):
    image = np.linspace(0, 1, 48).reshape(6, 8)
    return SoftMaskPlane(image, *(np.full((6, 8), level) for level in (value, 0.0, value / 2)), aspect=1.5)


def test_a_round_and_a_strip(tmp_path):
    scans = {"a": _plane(1.0), "b": _plane(0.5)}
    save_round(tmp_path / "round_1.png", scans, title="round 1")
    save_strip(tmp_path / "strip.png", [scans, scans, scans], title="all")
    one, strip = (imread(tmp_path / name)[..., :3] for name in ("round_1.png", "strip.png"))
    assert one.shape[1] == strip.shape[1]  # scan, two halves and soft mask; scan and three rounds
    assert strip.shape[0] > 2 * one.shape[0]
    assert one.max() == 1


def test_probabilities_are_shown_black_to_white_whatever_their_range(tmp_path):
    save_round(tmp_path / "half.png", {"a": _plane(0.5)}, title="")
    picture = imread(tmp_path / "half.png")[..., :3]
    column = picture[picture.shape[0] // 2 + 20, int(0.45 * picture.shape[1])]
    assert 0.4 < column.mean() < 0.6
