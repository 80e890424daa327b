"""What a method is: networks, loss terms, and how much each term weighs.

A method knows nothing of devices, files, precision, logging or data loading: the engine (`fewscan.training`) does that.
It is a `torch.nn.Module`, so that its students, teachers and heads are saved, resumed and moved without further code.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.settings import Settings


class HyperParameters(Settings):
    """Base of a method's hyper-parameters; each field's description names its source."""


class Context(Settings):
    """What a method may know of the run.

    Attributes
    ----------
    classes : int
        Number of classes, background included.
    dimensions : int
        2 or 3.
    iterations : int
        Length of the training, for ramps.
    """

    classes: int
    dimensions: int
    iterations: int


class Method(nn.Module, ABC):
    """Base of all methods.

    Class attributes
    ----------------
    name : str
        As given to ``--method``.
    title, paper, equations : str
        For `fewscan methods` and the docs.
    hyper_parameters : type
        The method's `HyperParameters`.
    presets : mapping
        Overrides of the training settings for ``paper`` (as published) and ``recommended`` (fixed and tuned).
    uses_unlabelled : bool
        Whether the method wants an unlabelled stream.

    Parameters
    ----------
    hyper : HyperParameters
        Values of this run.
    build : callable
        Returns a freshly initialised network of the run's architecture.
    context : Context
        Classes, dimensions and length of the run.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    equations: ClassVar[str]
    hyper_parameters: ClassVar[type[HyperParameters]] = HyperParameters
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "recommended": {}}
    uses_unlabelled: ClassVar[bool] = False

    def __init__(self, hyper: Any, build: Callable[[], nn.Module], context: Context) -> None:
        super().__init__()
        self.hyper, self.context = hyper, context
        self.networks(build)

    @abstractmethod
    def networks(self, build: Callable[[], nn.Module]) -> None:
        """Make the networks and set them as attributes."""

    @abstractmethod
    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the raw loss terms of one step, each a scalar."""

    def weights(self, step: int) -> dict[str, float]:
        """Return the weight of each term at ``step``; a term not named weighs 1."""
        return {}

    def after_step(self, step: int) -> None:
        """Update what follows the trained networks, such as a teacher."""

    @abstractmethod
    def predictor(self) -> nn.Module:
        """Return the network that predicts; it is what validation measures and what the model file holds."""

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return `loss`; PyTorch's data-parallel wrapper needs it under this name."""
        return self.loss(batch, step)
