import importlib.util

import numpy as np
import pytest

from fewscan.data.cohort_anatomy import EXTENT_MM, TISSUES, load_anatomy, patient_grid
from fewscan.data.cohort_deformation import identity_grid
from fewscan.errors import UsageError


@pytest.fixture(scope="module")
def anatomy():
    return load_anatomy(3)


def share(anatomy, point_mm):
    """The tissues at one LPS point, by name."""
    tissues, _ = anatomy.sample(np.reshape(np.array(point_mm, float), (3, 1)))
    return dict(zip(TISSUES, tissues[:, 0], strict=True))


def test_the_tissues_are_shares_of_a_voxel(anatomy):
    assert anatomy.tissues.shape[0] == len(TISSUES) == 5
    assert anatomy.tissues.min() >= 0
    assert anatomy.tissues.sum(axis=0).max() <= 1 + 1e-5


@pytest.mark.parametrize(
    ("point_mm", "tissue"),
    [
        ((10, 18, 8), "deep grey matter"),  # left thalamus
        ((-10, 18, 8), "deep grey matter"),  # right thalamus
        ((-26, -4, 2), "deep grey matter"),  # right putamen
        ((6, -6, 14), "ventricles"),  # left frontal horn
        ((-24, 0, 30), "white matter"),  # right corona radiata
        ((2, 80, 4), "cortex"),  # calcarine cortex, at the very back
    ],
)
def test_known_places_hold_their_tissue(anatomy, point_mm, tissue):
    found = share(anatomy, point_mm)
    assert max(found, key=found.get) == tissue


def test_nothing_lies_outside_the_head(anatomy):
    assert sum(share(anatomy, (90, 0, 0)).values()) == 0
    assert sum(share(anatomy, (0, 0, 500)).values()) == 0


def test_the_detail_holds_no_tissue_contrast(anatomy):
    # what is left of a least-squares fit is orthogonal to what was fitted
    shares = anatomy.tissues.reshape(5, -1).astype(float)
    left = shares @ anatomy.detail.ravel().astype(float) / shares.sum(axis=1)
    np.testing.assert_allclose(left, 0, atol=1e-3)
    assert anatomy.detail.std() > 0


def test_a_slice_is_cut_from_the_volume_at_its_height(anatomy):
    flat = load_anatomy(2)
    grid = patient_grid((48, 56))
    points = np.reshape(grid.origin_mm, (2, 1, 1)) + grid.spacing_mm[0] * identity_grid(grid.size)
    tissues, _ = flat.sample(points)
    volume_tissues, _ = anatomy.sample(np.concatenate([points, np.full((1, *grid.size), 8.0)]))
    np.testing.assert_allclose(tissues, volume_tissues, atol=1e-6)


def test_smoothing_for_large_voxels_keeps_the_amount_of_tissue():
    sharp, smooth = load_anatomy(2), load_anatomy(2, spacing_mm=4.0)
    np.testing.assert_allclose(smooth.tissues.sum(axis=(1, 2)), sharp.tissues.sum(axis=(1, 2)), rtol=1e-2)
    assert smooth.tissues[3].max() < sharp.tissues[3].max() + 1e-6
    assert np.abs(np.diff(smooth.tissues, axis=1)).sum() < 0.9 * np.abs(np.diff(sharp.tissues, axis=1)).sum()


@pytest.mark.parametrize("size", [(96, 112), (64, 64), (48, 56, 48), (20, 90, 40)])
def test_every_grid_holds_the_field_of_view(size):
    grid = patient_grid(size)
    assert grid.size == size
    assert len(set(grid.spacing_mm)) == 1
    extents = np.array(size) * grid.spacing_mm
    assert (extents >= np.array(EXTENT_MM[: len(size)])).all()
    # and wastes none on the axis that decides the spacing: 0.01 mm is what the spacing is rounded up to
    assert (extents - EXTENT_MM[: len(size)] <= 0.01 * np.array(size) + 1e-9).any()


def test_a_grid_is_centred_on_the_brain():
    # 96 voxels of 184/96 = 1.9167 -> 1.93 mm (the second axis decides: 216/112 = 1.9286)
    grid = patient_grid((96, 112))
    assert grid.spacing_mm == (1.93, 1.93)
    assert grid.origin_mm == pytest.approx((-95 / 2 * 1.93, 17 - 111 / 2 * 1.93))


def test_a_missing_nilearn_is_explained(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    load_anatomy.cache_clear()
    with pytest.raises(UsageError, match=r"not installed\n  run: pip install 'fewscan\[demo\]'"):
        load_anatomy(2)


def test_a_nilearn_without_the_template_is_explained(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Spec)
    load_anatomy.cache_clear()
    with pytest.raises(UsageError, match="does not ship the MNI152 template"):
        load_anatomy(2)
