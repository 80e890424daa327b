import numpy as np

from fewscan.data.check.image_content import check_image, content_digest
from fewscan.data.check.problem import Source

SOURCE = Source(case_id="one", file="scan.nii.gz")


def test_clean_image_has_no_problem_and_known_intensities(voxels):
    problems, intensities = check_image(voxels, SOURCE)
    assert problems == []
    # 0 ... n-1 with n = 1320: mean (n-1)/2 = 659.5, variance (n^2 - 1)/12 = 145199.92
    assert (intensities.minimum, intensities.mean, intensities.maximum) == (0, 659.5, 1319)
    assert np.isclose(intensities.std, np.sqrt((1320**2 - 1) / 12))


def test_fault_01_nan_voxels(voxels, codes):
    voxels[1, 2, 3] = voxels[5, 0, 0] = np.nan
    problems, intensities = check_image(voxels, SOURCE)
    assert codes(problems) == ["error nan-voxels"]
    assert "2 voxels of 1320 are NaN, the first at index (1, 2, 3)" in problems[0].message
    assert problems[0].mend
    assert intensities.maximum == 1319


def test_fault_02_infinite_voxels(voxels, codes):
    voxels[0, 0, 7] = -np.inf
    voxels[0, 0, 8] = np.nan
    problems, intensities = check_image(voxels, SOURCE)
    assert codes(problems) == ["error nan-voxels", "error inf-voxels"]
    assert "1 voxel of 1320 is infinite, the first at index (0, 0, 7)" in problems[1].message
    assert intensities.minimum == 0


def test_image_of_nan_only_has_no_intensities(codes):
    problems, intensities = check_image(np.full((3, 3), np.nan, np.float32), SOURCE)
    assert codes(problems) == ["error nan-voxels"]
    assert intensities is None


def test_fault_03_constant_image(codes):
    problems, _ = check_image(np.full((4, 4, 4), 7, np.int16), SOURCE)
    assert codes(problems) == ["error constant-image"]
    assert "value 7" in problems[0].message


def test_digest_depends_on_voxels_type_and_shape_only(voxels):
    assert content_digest(voxels) == content_digest(np.asfortranarray(voxels))
    others = [voxels + 1, voxels.astype(np.float64), voxels.reshape(11, 12, 10)]
    assert len({content_digest(array) for array in [voxels, *others]}) == 4
