"""Fixtures for all tests. Importing MONAI and SimpleITK warns on its own account; that is handled where it happens."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

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
