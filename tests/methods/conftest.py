"""Every registered method with a network that takes milliseconds."""

import pytest
import torch

from fewscan.data.batch import Batch
from fewscan.methods.base import Context
from fewscan.methods.registry import method_class
from fewscan.networks.registry import NetworkSpec, build_network

SIDE = 16
SMALL = NetworkSpec(name="unet", options={"filters": [4, 8]})


def make_method(name, *, preset="recommended", classes=3, dimensions=3, network=SMALL, seed=0, iterations=10, **hyper):
    """Return a method in training mode; the same seed gives the same weights."""
    cls = method_class(name)
    torch.manual_seed(seed)
    values = {**cls.presets[preset].get("hyper", {}), **hyper}
    return cls(
        cls.hyper_parameters.parse(values, source="test"),
        lambda: build_network(network, dimensions=dimensions, channels=1, classes=classes),
        Context(classes=classes, dimensions=dimensions, iterations=iterations),
    ).train()


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
def method():
    return make_method


@pytest.fixture
def batch():
    return make_batch
