import pytest
import torch

from fewscan.augment.settings import Augmentation, Effect


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def warping() -> Augmentation:
    """Every sample is rotated, scaled and bent."""
    return Augmentation(
        rotation=Effect(probability=1, low=-20, high=20),
        scaling=Effect(probability=1, low=0.8, high=1.25),
        elastic=Effect(probability=1, low=0.1, high=0.35),
    )
