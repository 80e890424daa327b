import warnings
from math import inf, isnan, sqrt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fewscan.metrics import surface
from fewscan.metrics.surface import directed_distances, surface_distances, surface_voxels


def brute_force(source: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Directed distances by comparing every voxel with every other; the surface by counting neighbours."""

    def points(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, 1)
        found = []
        for index in np.argwhere(padded):
            steps = [s * e for e in np.eye(mask.ndim, dtype=int) for s in (-1, 1)]
            if not all(padded[tuple(index + step)] for step in steps):
                found.append(index)
        return np.array(found) * np.asarray(spacing)

    a, b = points(source), points(target)
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).min(1)


def random_pair(seed: int, shape: tuple[int, ...] = (5, 4, 6)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first, second = rng.random(shape) < 0.4, rng.random(shape) < 0.3
    assume(first.any() and second.any())
    return first, second


def test_surface_of_a_cube_is_its_shell() -> None:
    cube = np.zeros((7, 7, 7), bool)
    cube[1:6, 1:6, 1:6] = True
    shell = surface_voxels(cube)
    assert shell.sum() == 5**3 - 3**3  # all but the inner 3x3x3
    assert not shell[2:5, 2:5, 2:5].any()


def test_beyond_the_array_is_outside() -> None:
    # a mask that fills the array: the outer layer is the surface, 3*3 - 1 = 8 pixels
    assert surface_voxels(np.ones((3, 3), bool)).sum() == 8


def test_diagonal_neighbours_do_not_count() -> None:
    # a plus sign in a 3x3 hole-free block: the centre has four face neighbours inside, so it is no surface
    plus = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    assert surface_voxels(plus).tolist() == [[False, True, False], [True, False, True], [False, True, False]]


def test_shifted_cube() -> None:
    # shells of a cube of side 5 and of the same moved by 2 along x. The faces x = 1 (5x5 = 25 voxels) of the first and
    # x = 7 of the second lie 2 from the other shell; so does the middle of the farther faces (below).
    first = np.zeros((10, 9, 9), bool)
    first[1:6, 2:7, 2:7] = True
    second = np.roll(first, 2, axis=0)
    distances = surface_distances(second, first)
    assert distances.hd == 2.0
    # second's shell has 98 voxels. Its faces are at x = 3 and x = 7, its rings (16 voxels each) at x = 4, 5, 6.
    # x = 3: ring of 16 lies on the first shell (0), the inner 3x3: the rim of 8 is 1 from the side walls, the centre 2.
    # x = 4, 5: rings on the first shell: 0. x = 6: 16 voxels at 1. x = 7: 25 voxels at 2.
    total = 8 * 1 + 1 * 2 + 16 * 1 + 25 * 2
    assert distances.asd == pytest.approx(total / 98)
    assert distances.assd == pytest.approx(total / 98)  # the picture is symmetric
    # 26 of 98 distances are 2, more than 5 %
    assert distances.hd95 == 2.0


def test_anisotropic_cuboid_in_mm() -> None:
    # 1:10 spacing; slabs of one voxel in z moved by 3 slices = 30 mm, and by 3 voxels along x = 3 mm
    mask = np.zeros((10, 6, 10), bool)
    mask[1:5, 1:5, 2] = True
    spacing = (1.0, 1.0, 10.0)
    along_z = surface_distances(np.roll(mask, 3, axis=2), mask, spacing=spacing)
    assert (along_z.hd, along_z.hd95, along_z.asd) == (30.0, 30.0, 30.0)
    along_x = surface_distances(np.roll(mask, 3, axis=0), mask, spacing=spacing)
    assert along_x.hd == 3.0
    # x = 1..4 against 4..7: directed distances 3, 2, 1, 0 by column
    assert along_x.asd == pytest.approx(1.5)


def test_two_single_voxels() -> None:
    first, second = np.zeros((5, 5, 5), bool), np.zeros((5, 5, 5), bool)
    first[0, 0, 0] = second[1, 2, 2] = True
    assert surface_distances(first, second).hd == 3.0  # sqrt(1 + 4 + 4)
    millimetres = surface_distances(first, second, spacing=(2.0, 0.5, 0.25))
    assert millimetres.hd == pytest.approx(sqrt(4 + 1 + 0.25))


def test_asd_is_one_sided_and_assd_pools() -> None:
    # one line of pixels: truth {0}, prediction {0, 4}. To the truth: 0, 4; to the prediction: 0.
    truth, prediction = np.zeros((1, 5), bool), np.zeros((1, 5), bool)
    truth[0, 0] = prediction[0, 0] = prediction[0, 4] = True
    distances = surface_distances(prediction, truth)
    assert distances.asd == 2.0
    assert distances.assd == pytest.approx(4 / 3)
    assert surface_distances(truth, prediction).asd == 0.0


def test_hd95_is_the_percentile_of_the_pooled_distances() -> None:
    # truth {0}, prediction {0, ..., 9}: pooled 0, 0, 1, ..., 9, eleven values; rank 0.95 * 10 = 9.5: between 8 and 9
    truth, prediction = np.zeros((1, 10), bool), np.ones((1, 10), bool)
    truth[0, 0] = True
    assert surface_distances(prediction, truth).hd95 == pytest.approx(8.5)


@pytest.mark.parametrize("swap", [False, True])
def test_one_empty_mask_is_infinitely_far(swap: bool) -> None:
    masks = [np.ones((3, 3), bool), np.zeros((3, 3), bool)]
    distances = surface_distances(*(masks[::-1] if swap else masks))
    assert (distances.hd, distances.hd95, distances.asd, distances.assd) == (inf, inf, inf, inf)
    assert distances.scaled(0.5).hd95 == inf


def test_two_empty_masks_have_no_distance() -> None:
    distances = surface_distances(np.zeros((3, 3), bool), np.zeros((3, 3), bool))
    assert all(isnan(v) for v in (distances.hd, distances.hd95, distances.asd, distances.assd))


def test_empty_arrays() -> None:
    assert isnan(surface_distances(np.zeros((0, 3), bool), np.zeros((0, 3), bool)).hd)


def test_shape_and_spacing_must_fit() -> None:
    with pytest.raises(ValueError, match="different shape"):
        surface_distances(np.ones((3, 3), bool), np.ones((3, 4), bool))
    with pytest.raises(ValueError, match="shape"):
        surface_distances(np.ones((3, 3), bool), np.ones((3, 3), bool), spacing=(1.0, 1.0, 1.0))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1.0, 1.0, 1.0), (0.5, 1.0, 10.0)]))
def test_agrees_with_brute_force(seed: int, spacing: tuple[float, ...]) -> None:
    prediction, truth = random_pair(seed)
    distances = surface_distances(prediction, truth, spacing=spacing)
    np.testing.assert_allclose(distances.to_truth, brute_force(prediction, truth, spacing))
    np.testing.assert_allclose(distances.to_prediction, brute_force(truth, prediction, spacing))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_hausdorff_is_symmetric_and_moves_along(seed: int) -> None:
    prediction, truth = random_pair(seed)
    distances = surface_distances(prediction, truth)
    swapped = surface_distances(truth, prediction)
    assert (distances.hd, distances.hd95) == (swapped.hd, swapped.hd95)
    assert distances.asd <= distances.hd
    assert distances.hd95 <= distances.hd
    moved = surface_distances(np.pad(prediction, ((3, 1),) * 3), np.pad(truth, ((3, 1),) * 3))
    np.testing.assert_allclose(moved.to_truth, distances.to_truth)


@pytest.mark.parametrize("far", [False, True])
def test_search_and_transform_give_the_same(far: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    transform = surface.distance_transform_edt
    monkeypatch.setattr(surface, "distance_transform_edt", lambda *a, **k: calls.append(1) or transform(*a, **k))
    source, target = np.zeros((12, 12, 12), bool), np.zeros((12, 12, 12), bool)
    # 144 voxels; 1 slice apart costs 144 * 2 < 1728 looks, 11 slices apart 144 * 122 > 1728
    source[0], target[11 if far else 1] = True, True
    spacing = np.array([2.0, 1.0, 1.0])
    assert set(directed_distances(source, target, spacing)) == {22.0 if far else 2.0}
    assert bool(calls) is far


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_agrees_with_monai_where_the_definitions_do(seed: int) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

        prediction, truth = random_pair(seed, (6, 7, 5))
        # MONAI counts no voxel beyond the array as outside; a rim of background makes the definitions the same
        prediction, truth = np.pad(prediction, 1), np.pad(truth, 1)
        spacing = (0.5, 1.0, 3.0)
        distances = surface_distances(prediction, truth, spacing=spacing)
        p, t = torch.from_numpy(prediction)[None, None], torch.from_numpy(truth)[None, None]
        common = {"include_background": True, "spacing": spacing}
        rounding = 1e-5  # MONAI computes in float32
        assert compute_hausdorff_distance(p, t, **common).item() == pytest.approx(distances.hd, rel=rounding)
        assert compute_average_surface_distance(p, t, **common).item() == pytest.approx(distances.asd, rel=rounding)
        both = compute_average_surface_distance(p, t, symmetric=True, **common).item()
        assert both == pytest.approx(distances.assd, rel=rounding)
        # MONAI takes the larger of two directed percentiles; each direction alone must agree
        directed = compute_hausdorff_distance(p, t, percentile=95, directed=True, **common).item()
        assert directed == pytest.approx(float(np.percentile(distances.to_truth, 95)), rel=rounding)
