from collections.abc import Callable

import pytest
import torch
from torch import nn

from fewscan.data.plan import LabelClass, Plan, Preparation
from fewscan.inference.model_file import ModelSpec
from fewscan.networks.registry import NetworkSpec, build_network

CLASSES = (
    LabelClass(name="background", values=(0,), output=0),
    LabelClass(name="tissue", values=(2,), output=2),
    LabelClass(name="lesion", values=(300,), output=300),
)


@pytest.fixture
def make_plan() -> Callable[..., Plan]:
    """Return a function that makes a plan: one channel, three classes, no normalisation; keywords replace settings."""

    def make(dimensions: int = 3, **changes: object) -> Plan:
        settings: dict[str, object] = {
            "name": "test",
            "dimensions": dimensions,
            "image_dimensions": dimensions,
            "channels": ("T1",),
            "classes": CLASSES,
            "preparation": Preparation(normalisation="none", clip_percentiles=None),
            "patch_size": (16,) * dimensions,
        }
        return Plan.model_validate(settings | changes)

    return make


@pytest.fixture
def make_spec(make_plan: Callable[..., Plan]) -> Callable[..., ModelSpec]:
    """Return a function that makes the specification of a small U-Net for a plan."""

    def make(plan: Plan | None = None) -> ModelSpec:
        network = NetworkSpec(name="unet", options={"filters": [4, 6], "dropout": 0.0})
        return ModelSpec(plan=plan or make_plan(), network=network, method="supervised", details={"labelled": ["a"]})

    return make


@pytest.fixture
def make_network() -> Callable[[ModelSpec], nn.Module]:
    """Return a function that builds the untrained network of a specification."""

    def make(spec: ModelSpec) -> nn.Module:
        torch.manual_seed(0)
        plan = spec.plan
        channels, classes = len(plan.channels), plan.class_count
        return build_network(spec.network, dimensions=plan.dimensions, channels=channels, classes=classes)

    return make
