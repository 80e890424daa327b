import torch

from fewscan.separable import apply_along_axes


def test_one_matrix_per_axis_as_einsum():
    images = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    matrices = [torch.randn(out, size, dtype=torch.float64) for out, size in ((7, 4), (3, 5), (2, 6))]
    expected = torch.einsum("bcxyz,ix,jy,kz->bcijk", images, *matrices)
    torch.testing.assert_close(apply_along_axes(images, matrices), expected)


def test_matrices_per_sample_and_channel():
    images = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    matrices = [torch.randn(2, 3, size, size, dtype=torch.float64) for size in (4, 5)]
    expected = torch.einsum("bcxy,bcix,bcjy->bcij", images, *matrices)
    torch.testing.assert_close(apply_along_axes(images, matrices), expected)


def test_precision_is_kept_under_autocast():
    images, matrix = torch.randn(1, 1, 8, 8), torch.randn(8, 8)
    expected = apply_along_axes(images, [matrix, matrix])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(apply_along_axes(images, [matrix, matrix]), expected)
