"""Several networks that answer together: the logarithm of the weighted mean of their class probabilities.

(1)  logits = log sum over k of w_k softmax(f_k(x)),  the weights w_k adding up to 1
"""

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from fewscan.losses.probabilities import at_least_float32
from fewscan.networks.divisors import common_divisors
from fewscan.networks.registry import ENSEMBLE, NetworkSpec, build_network
from fewscan.settings import Settings


class EnsembleOptions(Settings):
    """What an ensemble is made of.

    Attributes
    ----------
    members : tuple of NetworkSpec
        Its networks.
    weights : tuple of float
        w_k of eq. 1, one per network; they need not add up to 1.
    """

    members: tuple[NetworkSpec, ...] = Field(min_length=1)
    weights: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.weights) != len(self.members) or min(self.weights) <= 0:
            msg = "weights needs one positive number per member"
            raise ValueError(msg)
        return self


class Ensemble(nn.Module):
    """Networks of one task.

    Parameters
    ----------
    members : sequence of Module
        Of the same images and classes.
    weights : sequence of float
        w_k of eq. 1, in proportion.

    Attributes
    ----------
    divisors : tuple of int
        What the sides of images must be multiples of, one per spatial axis.
    """

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = [weight / sum(weights) for weight in weights]
        self.divisors = common_divisors([member.divisors for member in members])  # type: ignore[misc]

    def forward(self, images: Tensor) -> Tensor:
        """Return eq. 1 for images ``(batch, channels, *spatial)``, in at least float32."""
        each = [
            torch.log_softmax(at_least_float32(member(images)), dim=1) + math.log(weight)
            for member, weight in zip(self.members, self.weights, strict=True)
        ]
        return torch.logsumexp(torch.stack(each), dim=0)


def ensemble_spec(members: Sequence[NetworkSpec], weights: Sequence[float]) -> NetworkSpec:
    """Return what builds an ensemble of the same shape."""
    options = EnsembleOptions(members=tuple(members), weights=tuple(weights))
    return NetworkSpec(name=ENSEMBLE, options=options.model_dump(mode="json"))


def build_ensemble(options: dict[str, Any], *, dimensions: int, channels: int, classes: int) -> Ensemble:
    """Build an ensemble with freshly drawn weights; arguments and errors as of `build_network`."""
    parsed = EnsembleOptions.parse(options, source=f"options of network {ENSEMBLE!r}")
    members = [
        build_network(spec, dimensions=dimensions, channels=channels, classes=classes) for spec in parsed.members
    ]
    return Ensemble(members, parsed.weights)
