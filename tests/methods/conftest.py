"""Every registered method with a network that takes milliseconds."""

import pytest
import torch

from fewscan.data.batch import Batch
from fewscan.data.whole_scan import WholeScan
from fewscan.methods.base import Context
from fewscan.methods.registry import method_class
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.registry import NetworkSpec

SIDE = 16
SMALL = {
    "segmentation": NetworkSpec(name="unet", options={"filters": [4, 8, 8]}),
    "registration": NetworkSpec(name="mrregnet", options={"filters": [4, 8]}),
}


# what a method may make besides networks, and what keeps it small
SMALL_PARTS = {
    "discriminator_width": 4,
    # the transformer itself needs larger patches
    "transformer": {"name": "unet", "options": {"filters": [4, 8], "residual": True}},
}


def small_parts(name):
    """Return those hyper-parameters of the method that keep it small."""
    return {key: value for key, value in SMALL_PARTS.items() if key in method_class(name).hyper_parameters.model_fields}


def make_method(name, *, preset="recommended", classes=3, dimensions=3, network=None, seed=0, iterations=10, **hyper):
    """Return a method in training mode; the same seed gives the same weights."""
    cls = method_class(name)
    kind = cls.network_kind
    network, logits = network or SMALL[kind], classes if kind == "segmentation" else None
    torch.manual_seed(seed)
    values = {**cls.presets[preset].get("hyper", {}), **small_parts(name), **hyper}
    made = cls(
        cls.hyper_parameters.parse(values, source="test"),
        NetworkBuilder(network, patch_size=(SIDE,) * dimensions, channels=1, classes=logits),
        Context(classes=classes, dimensions=dimensions, iterations=iterations),
    )
    made.remember(whole_scans(classes=classes, dimensions=dimensions))
    return made.train()


def whole_scans(*, classes=3, dimensions=3):
    """Yield the labelled scans of `make_batch`, whole."""
    given = make_batch(classes=classes, dimensions=dimensions)
    for name, image, label in zip(given.cases, given.images, given.labels, strict=True):
        yield WholeScan(name, image, label.byte(), torch.ones_like(label, dtype=torch.uint8), torch.zeros(1))


def make_batch(*, labelled=2, unlabelled=2, classes=3, dimensions=3, seed=0):
    """Return bands of brightness, one per class, with noise."""
    generator = torch.Generator().manual_seed(seed)
    size = (SIDE,) * dimensions
    labels = torch.randint(classes, (labelled, 4, *[1] * (dimensions - 1)), generator=generator)
    labels = labels.repeat_interleave(SIDE // 4, dim=1).expand(labelled, *size).contiguous()
    noise = torch.randn(labelled + unlabelled, 1, *size, generator=generator)
    images = noise[:labelled] + labels[:, None]
    cases = tuple(f"case{k}" for k in range(labelled + unlabelled))
    return Batch(images, labels, noise[labelled:], cases[:labelled], cases[labelled:])


@pytest.fixture
def small_network():
    """By kind, what `method` builds unless told."""
    return SMALL


@pytest.fixture
def small_hyper():
    """By method, what keeps its further parts small."""
    return small_parts


@pytest.fixture
def method():
    return make_method


@pytest.fixture
def labelled_scans():
    return whole_scans


@pytest.fixture
def batch():
    return make_batch
