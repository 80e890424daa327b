"""The guard between two rounds, on networks that say what they are told."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fewscan.data.whole_scan import WholeScan
from fewscan.networks.registry import NetworkSpec
from fewscan.recipes.combined import Combined, CombinedOptions
from fewscan.recipes.mask_store import MaskStore, finish_store, shard_path, write_shard
from fewscan.recipes.pseudo_masks import MaskMaker
from fewscan.registration.atlases import Atlases

SIZE = (8, 6)


class Brightness(nn.Module):
    """The brighter, the more probably foreground: p = sigmoid(x)."""

    def forward(self, x):
        return torch.cat([torch.zeros_like(x), x], 1)


class Identity(nn.Module):
    """Nothing moves."""

    def displacement(self, moving, fixed):
        return torch.zeros((len(moving), 2, *moving.shape[2:]))


@pytest.fixture
def combined():
    """One atlas whose structure has 3 x 2 voxels."""
    label = torch.zeros(SIZE, dtype=torch.uint8)
    label[2:5, 2:4] = 1
    scan = WholeScan("atlas", torch.rand((1, *SIZE)), label, torch.ones(SIZE, dtype=torch.uint8), torch.zeros(1))
    spec = NetworkSpec(name="unet", options={"filters": [2, 4]})
    options = CombinedOptions(atlases=1, size=SIZE, segmentation=spec, registration=spec, patch_size=SIZE, views=1)
    return Combined(Brightness(), Identity(), Atlases.of([scan]), classes=2, options=options).eval()


@pytest.fixture
def make(combined, tmp_path):
    """Return a function that makes the mask of one round, where the segmentation network finds these rows."""

    def made(round_number, rows):
        image = np.full((1, *SIZE), -8, np.float32)
        image[0, rows, 2:4] = 8
        meta = SimpleNamespace(prepared=SimpleNamespace(size=SIZE))
        case = SimpleNamespace(id="a", image=lambda: image, background=(0.0,), meta=meta)
        before = tmp_path / str(round_number - 1)
        maker = MaskMaker(
            network=combined,
            placed=combined.atlases.on(SIZE),
            device=torch.device("cpu"),
            dtype=torch.float32,
            seed=0,
            round_number=round_number,
            previous=MaskStore(before) if before.is_dir() else None,
            guard=4.0,
        )
        masks, records = maker.masks([case])
        folder = tmp_path / str(round_number)
        folder.mkdir()
        write_shard(shard_path(folder, 0), masks, records, round_number=round_number, seconds=0.5)
        finish_store(folder, [["a"]], {"round": round_number})
        return masks["a"], records["a"]

    return made


def test_a_segmentation_that_finds_nothing_does_not_halve_the_mask(make):
    good, record = make(1, slice(2, 5))
    assert (record.segmentation_vox, record.registration_vox, record.kept_from) == ((6,), (6,), None)
    kept, record = make(2, slice(0, 0))
    assert torch.allclose(kept, good, atol=1e-3)
    assert record.kept_from == 1
    assert record.why_kept == "class 1 went from 6 to 0 voxels in the segmentation half"
    kept, record = make(3, slice(0, 0))  # still nothing: of round 1, by way of round 2
    assert torch.allclose(kept, good, atol=1e-3)
    assert record.kept_from == 1
    _, record = make(4, slice(2, 5))
    assert record.kept_from is None


@pytest.mark.parametrize("rows", [slice(0, 8), slice(2, 3)])
def test_a_bad_first_mask_may_become_a_good_one(rows, make):
    make(1, rows)
    _, record = make(2, slice(2, 5))
    assert record.kept_from is None
    assert record.segmentation_vox == (6,)
