import numpy as np
import pytest

from fewscan.data.cohort_anatomy import TISSUES
from fewscan.data.cohort_appearance import paint, random_contrast


def blocks():
    """Five tissues side by side, 40 x 40 voxels each, and air at the end."""
    tissues = np.zeros((5, 240, 40), np.float32)
    for k in range(5):
        tissues[k, 40 * k : 40 * k + 40] = 1
    return tissues, np.zeros((240, 40), np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_contrast_is_ordered_as_in_t1_weighted_mri(seed):
    mean = dict(zip(TISSUES, random_contrast(np.random.default_rng(seed)), strict=True))
    assert 0 < mean["outer fluid"] == mean["ventricles"] < mean["cortex"] < mean["deep grey matter"]
    assert mean["deep grey matter"] < mean["white matter"] < 1


def test_outside_the_head_the_image_is_zero_and_inside_positive():
    tissues, detail = blocks()
    image = paint(np.random.default_rng(0), tissues, detail, spacing_mm=2.0)
    assert image.dtype == np.float32
    assert not image[200:].any()
    assert (image[:200] > 0).all()


def test_tissues_look_different_and_noisy():
    tissues, detail = blocks()
    image = paint(np.random.default_rng(1), tissues, detail, spacing_mm=2.0)
    fluid, cortex, white = (image[40 * k + 5 : 40 * k + 35, 5:-5] for k in range(3))
    assert fluid.mean() < cortex.mean() < white.mean()
    assert cortex.std() > 0
    # voxel noise, not only shading: neighbours differ
    assert np.abs(np.diff(cortex, axis=1)).mean() > 0.002 * cortex.mean()


def test_detail_shows():
    tissues, detail = blocks()
    detail[45:75, 10:20] = 0.5
    plain, detailed = (paint(np.random.default_rng(2), tissues, d, spacing_mm=2.0) for d in (0 * detail, detail))
    assert detailed[50:70, 12:18].mean() > 1.2 * plain[50:70, 12:18].mean()
    np.testing.assert_allclose(detailed[120:150], plain[120:150])


def test_scanners_differ_and_seeds_repeat():
    tissues, detail = blocks()
    first, again, other = (paint(np.random.default_rng(k), tissues, detail, spacing_mm=2.0) for k in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert abs(first[80:120].mean() - other[80:120].mean()) > 1
