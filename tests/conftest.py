"""Fixtures for all tests. Importing MONAI and SimpleITK warns on its own account; that is handled where it happens."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import Tensor

# The same examples on every run: a change of ours is what makes a test fail, never the draw.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real scans; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FEWSCAN_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip("the real scans are not here; set FEWSCAN_TEST_DATA to their folder")
    return folder


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def affine_displacement() -> Callable[[Tensor, Sequence[int]], Tensor]:
    """Return what makes the fields (batch, dimensions, *size) of affine maps p -> A p + t on voxel indices.

    Each matrix (batch, dimensions, dimensions + 1) is A with t in voxels as its last column.
    """

    def make(matrix: Tensor, size: Sequence[int]) -> Tensor:
        place = torch.stack(torch.meshgrid(*(torch.arange(float(side)) for side in size), indexing="ij")).flatten(1)
        mapped = matrix[:, :, :-1] @ place + matrix[:, :, -1:]
        return (mapped - place).reshape(-1, len(size), *size)

    return make
