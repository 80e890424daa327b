"""The two sides of adversarial segmentation: a network that fools a discriminator, and a discriminator that learns.

    fooling        L = CE(D(m_u, x_u), "annotated")
    telling apart  L = CE(D(m, x), "annotated" for labelled patches, "unannotated" for the others)

m are the network's maps of the patches x, labelled or not, and D the discriminator. The first trains the network alone
and the second D alone, each while the other is in evaluation mode.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32
from fewscan.methods.base import Adversary
from fewscan.methods.ramped import RampedParameters
from fewscan.networks.discriminator import ANNOTATED, UNANNOTATED, Discriminator
from fewscan.networks.modes import evaluation_mode, frozen


class AdversarialParameters(RampedParameters):
    """What every method with a discriminator has."""

    adversarial_weight: float = Field(0.1, ge=0, description="w; public code")
    discriminator_width: int = Field(64, ge=1, description="channels of its first layer; public code")
    discriminator_rate: float = Field(1e-4, gt=0, description="learning rate of its Adam; public code")


def fooling(discriminator: Discriminator, maps: Tensor, images: Tensor) -> Tensor:
    """Return how far the discriminator is from taking the maps of unlabelled patches for annotated ones.

    Parameters
    ----------
    discriminator : Discriminator
    maps : Tensor
        ``(unlabelled, maps, *spatial)``, with a graph.
    images : Tensor
        ``(unlabelled, channels, *spatial)``.
    """
    with frozen(discriminator), evaluation_mode(discriminator):
        verdict = at_least_float32(discriminator(maps, images))
    return F.cross_entropy(verdict, torch.full_like(verdict[:, 0], ANNOTATED, dtype=torch.long))


def telling_apart(discriminator: Discriminator, maps: Tensor, images: Tensor, *, labelled: int) -> Tensor:
    """Return how badly the discriminator tells the first ``labelled`` patches from the others.

    Parameters
    ----------
    discriminator : Discriminator
    maps, images : Tensor
        ``(batch, ..., *spatial)``, labelled patches first, without a graph.
    labelled : int
    """
    verdict = at_least_float32(discriminator(maps, images))
    truth = torch.full_like(verdict[:, 0], UNANNOTATED, dtype=torch.long)
    truth[:labelled] = ANNOTATED
    return F.cross_entropy(verdict, truth)


def adversary_of(discriminator: Discriminator, hyper: AdversarialParameters) -> Adversary:
    """Return what the engine trains in the second step: Adam, betas 0.9 and 0.99."""
    return Adversary(discriminator, learning_rate=hyper.discriminator_rate)
