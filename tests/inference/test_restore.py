import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.geometry import Geometry
from fewscan.data.scan_meta import ScanMeta
from fewscan.errors import DataError
from fewscan.inference.restore import grid_positions, interpolate, label_type, most_probable, restore

OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0)  # a rotation and a flipped axis


def scan_meta(
    original: Geometry,
    *,
    start: tuple[int, ...] | None = None,
    size: tuple[int, ...] | None = None,
    spacing_mm: tuple[float, ...] | None = None,
) -> ScanMeta:
    start = start or (0,) * original.dimensions
    cropped = original.cropped(start, size or original.size)
    prepared = cropped if spacing_mm is None else cropped.resampled(spacing_mm)
    return ScanMeta("a", original, start, cropped, prepared, (0.0,), ("a.nii.gz",))


def test_positions_keep_the_centre_of_the_field_of_view() -> None:
    source = Geometry((4,), (1.0,), (10.0,), (1.0,))
    # 4 voxels of 1 mm at 10, 11, 12, 13 mm; resampled to 2 mm: centres at 10.5 and 12.5, so that 4 mm stay covered
    target = source.resampled((2.0,))
    assert target.origin_mm == (10.5,)
    (positions,) = grid_positions(source, target)
    assert positions.tolist() == [0.5, 2.5]
    (back,) = grid_positions(target, source)
    assert back.tolist() == [-0.25, 0.25, 0.75, 1.25]


def test_positions_where_the_size_is_rounded() -> None:
    # 5 voxels of 1 mm, resampled to 2 mm: round(2.5) = 2 voxels, centred: centre at 2, voxels at 1 and 3
    source = Geometry.identity((5,), (1.0,))
    (positions,) = grid_positions(source, source.resampled((2.0,)))
    assert positions.tolist() == [1.0, 3.0]


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.floats(0.4, 3.0)] * 3))
def test_positions_agree_with_world_coordinates(size: tuple[int, ...], spacing_mm: tuple[float, ...]) -> None:
    source = Geometry(size, (0.7, 1.1, 2.5), (-12.0, 4.0, 130.5), OBLIQUE)
    target = source.resampled(spacing_mm)
    positions = grid_positions(source, target)
    far = np.array([n - 1 for n in target.size] + [1.0])
    there = source.affine() @ np.array([positions[k][-1].item() for k in range(3)] + [1.0])
    np.testing.assert_allclose(there, target.affine() @ far, atol=1e-9)


def test_grids_with_different_directions_are_refused() -> None:
    straight = Geometry.identity((8, 8, 8))
    turned = Geometry((8, 8, 8), (1.0,) * 3, (0.0,) * 3, OBLIQUE)
    with pytest.raises(ValueError, match="different directions"):
        grid_positions(straight, turned)


def test_linear_interpolation_by_hand() -> None:
    volume = torch.tensor([[0.0, 4.0, 8.0], [2.0, 6.0, 10.0]])
    rows = torch.tensor([0.5], dtype=torch.float64)
    columns = torch.tensor([-0.25, 0.25, 1.5, 2.5], dtype=torch.float64)
    # row 0.5 is the mean of both rows: 1, 5, 9; then at 0.25: 1 + 4/4 = 2, at 1.5: 7, and the border value beyond it
    assert interpolate(volume, (rows, columns)).tolist() == [[1.0, 2.0, 7.0, 9.0]]
    whole = (torch.arange(2.0, dtype=torch.float64), torch.arange(3.0, dtype=torch.float64))
    assert interpolate(volume, whole) is volume


def test_interpolation_reproduces_an_affine_function() -> None:
    x, y, z = (torch.arange(n, dtype=torch.float32) for n in (6, 5, 7))
    volume = 1 + 2 * x[:, None, None] - y[None, :, None] + 0.5 * z
    positions = tuple(
        torch.rand(n, dtype=torch.float64) * (s - 1) for n, s in zip((3, 9, 4), volume.shape, strict=True)
    )
    a, b, c = (p.float() for p in positions)
    expected = 1 + 2 * a[:, None, None] - b[None, :, None] + 0.5 * c
    assert torch.allclose(interpolate(volume, positions), expected, atol=1e-5)


def test_the_lowest_of_equally_probable_classes_wins() -> None:
    probabilities = torch.tensor([[0.4, 0.1, 0.2], [0.4, 0.45, 0.2], [0.2, 0.45, 0.6]])
    before = probabilities.clone()
    chosen, highest = most_probable(probabilities, (torch.arange(3.0, dtype=torch.float64),))
    assert chosen.tolist() == [0, 1, 2]
    assert highest.tolist() == pytest.approx([0.4, 0.45, 0.6])
    assert torch.equal(probabilities, before)


def test_crop_and_label_values() -> None:
    meta = scan_meta(Geometry.identity((4, 3)), start=(1, 1), size=(2, 2))
    probabilities = torch.tensor([[[0.9, 0.2], [0.3, 0.3]], [[0.05, 0.7], [0.3, 0.1]], [[0.05, 0.1], [0.4, 0.6]]])
    found = restore(probabilities, meta, outputs=(0, 7, 300), confidence=True)
    np.testing.assert_array_equal(found.labels, [[0, 0, 0], [0, 0, 7], [0, 300, 300], [0, 0, 0]])
    assert found.labels.dtype == np.uint16
    assert found.confidence is not None
    np.testing.assert_allclose(found.confidence, [[1, 1, 1], [1, 0.9, 0.7], [1, 0.4, 0.6], [1, 1, 1]], rtol=1e-6)
    assert found.confidence.dtype == np.float32


def test_a_background_that_is_not_zero_fills_the_rest() -> None:
    meta = scan_meta(Geometry.identity((3,)), start=(1,), size=(1,))
    found = restore(torch.tensor([[0.1], [0.9]]), meta, outputs=(-1, 4))
    np.testing.assert_array_equal(found.labels, [-1, 4, -1])
    assert found.labels.dtype == np.int16
    assert found.confidence is None


def test_largest_component_gives_removed_voxels_the_background_and_its_probability() -> None:
    meta = scan_meta(Geometry.identity((5,)))
    foreground = torch.tensor([0.8, 0.9, 0.1, 0.7, 0.2])
    found = restore(
        torch.stack([1 - foreground, foreground]), meta, outputs=(0, 1), confidence=True, largest_component=True
    )
    np.testing.assert_array_equal(found.labels, [1, 1, 0, 0, 0])
    assert found.confidence is not None
    np.testing.assert_allclose(found.confidence, [0.8, 0.9, 0.9, 0.3, 0.8], rtol=1e-6)


def test_resampled_probabilities_by_hand() -> None:
    # 4 voxels of 1 mm prepared as 2 of 2 mm with p = 0.2 and 0.8; the scan's voxels lie at -0.25, 0.25, 0.75, 1.25
    meta = scan_meta(Geometry.identity((4,)), spacing_mm=(2.0,))
    foreground = torch.tensor([0.2, 0.8])
    found = restore(torch.stack([1 - foreground, foreground]), meta, outputs=(0, 1), confidence=True)
    # p = 0.2, 0.2 + 0.6/4 = 0.35, 0.65, 0.8
    np.testing.assert_array_equal(found.labels, [0, 0, 1, 1])
    assert found.confidence is not None
    np.testing.assert_allclose(found.confidence, [0.8, 0.65, 0.65, 0.8], rtol=1e-6)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.5, 0.45, 3.0), (2.0, 0.9, 0.8)])
def test_a_ball_comes_back_to_the_same_place(spacing_mm: tuple[float, ...]) -> None:
    original = Geometry((26, 24, 12), (0.9, 1.0, 2.4), (-31.0, 7.5, 90.0), OBLIQUE)
    meta = scan_meta(original, start=(2, 1, 1), size=(23, 22, 10), spacing_mm=spacing_mm)

    def ball(geometry: Geometry) -> np.ndarray:
        centre = original.affine() @ np.array([13.0, 12.0, 6.0, 1.0])
        index = np.stack([*np.indices(geometry.size), np.ones(geometry.size)])
        world = np.einsum("ij,jxyz->ixyz", geometry.affine(), index)
        distance_mm = np.linalg.norm((world.T - centre).T, axis=0)
        return np.clip(0.5 + (7.0 - distance_mm) / 6, 0, 1).astype(np.float32)

    truth = ball(original) > 0.5
    foreground = torch.from_numpy(ball(meta.prepared))
    found = restore(torch.stack([1 - foreground, foreground]), meta, outputs=(0, 3)).labels
    assert found.shape == original.size
    dice = 2 * np.sum(truth & (found == 3)) / (truth.sum() + np.sum(found == 3))
    assert dice > 0.95
    # half a voxel of shift would show here
    for axis in range(3):
        drift = np.nonzero(truth)[axis].mean() - np.nonzero(found)[axis].mean()
        assert abs(drift) < 0.15


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0, 255), np.uint8),
        ((0, 256), np.uint16),
        ((-1, 2), np.int16),
        ((0, 70_000), np.int32),
        ((-40_000, 2), np.int32),
    ],
)
def test_the_smallest_type_that_holds_the_values(values: tuple[int, ...], expected: type) -> None:
    assert label_type(values) is expected


def test_values_beyond_every_type() -> None:
    with pytest.raises(DataError, match="beyond 32 bits"):
        label_type((0, 2**70))


def test_more_than_256_classes() -> None:
    probabilities = torch.zeros(300, 2)
    probabilities[299, 0] = probabilities[257, 1] = 1
    found = restore(probabilities, scan_meta(Geometry.identity((2,))), outputs=range(300))
    np.testing.assert_array_equal(found.labels, [299, 257])


def test_probabilities_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected probabilities of shape \(2, 4, 3\), got \(2, 4, 4\)"):
        restore(torch.zeros(2, 4, 4), scan_meta(Geometry.identity((4, 3))), outputs=(0, 1))
