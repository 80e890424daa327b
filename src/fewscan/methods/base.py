"""What a method is: networks, loss terms, and how much each term weighs.

A method knows nothing of devices, files, precision, logging or data loading: the engine (`fewscan.training`) does that.
It is a `torch.nn.Module`, so that its students, teachers and heads are saved, resumed and moved without further code.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from fewscan.data.batch import Batch
from fewscan.data.whole_scan import WholeScan
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.registry import NetworkSpec
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


class Adversary(NamedTuple):
    """A part of a method that is trained against the rest, by Adam at a constant rate.

    Attributes
    ----------
    network : Module
        Is part of the method.
    learning_rate : float
    betas : tuple of float
        Of Adam.
    """

    network: nn.Module
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)


class Trainable:
    """What can be trained by name: a method, or a recipe of several stages.

    Class attributes
    ----------------
    name : str
        As given to ``--method``.
    title, paper, equations : str
        For `fewscan methods` and the docs, beside the docstring of the module, whose equations are numbered.
    parts : str
        The networks and heads that take part in training.
    when : str
        When to use it, in one sentence that claims no more than was measured.
    tuned : str
        Where the values of preset ``recommended`` come from.
    hyper_parameters : type
        The method's `HyperParameters`.
    presets : mapping
        Overrides of the training settings for ``paper`` (as published) and ``recommended`` (fixed and tuned).
    uses_unlabelled : bool
        Whether the method wants an unlabelled stream.
    task : "segmentation" or "registration"
        What its predictor does: ``fewscan predict`` or ``fewscan register``.
    network_kind : "segmentation" or "registration"
        What `networks` is given to build with.
    whole_scans : bool
        Whether patches are whole scans, centred and padded to one common grid, with `Batch.inside` saying where they
        have data.
    needs_labels : bool
        Whether at least one labelled scan is needed; otherwise ``--labelled 0`` trains, and `Batch.images` may have no
        entries.
    terms_beyond_agreement : tuple of str
        Terms on unlabelled patches that ask for more than predictions that agree, so that sure and equal ones do not
        make them zero.
    terms_when_sure : tuple of str
        Terms on unlabelled patches that teach what the network is sure of, so that they are zero before it is.
    predictors : tuple of str
        What else may predict beside the one in ``model.safetensors``: names of ``model_NAME.safetensors``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    equations: ClassVar[str]
    parts: ClassVar[str]
    when: ClassVar[str]
    tuned: ClassVar[str]
    hyper_parameters: ClassVar[type[HyperParameters]] = HyperParameters
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "recommended": {}}
    uses_unlabelled: ClassVar[bool] = False
    task: ClassVar[Literal["segmentation", "registration"]] = "segmentation"
    network_kind: ClassVar[Literal["segmentation", "registration"]] = "segmentation"
    whole_scans: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    terms_beyond_agreement: ClassVar[tuple[str, ...]] = ()
    terms_when_sure: ClassVar[tuple[str, ...]] = ()
    predictors: ClassVar[tuple[str, ...]] = ()


class Method(Trainable, nn.Module, ABC):
    """Base of all methods: one training.

    Parameters
    ----------
    hyper : HyperParameters
        Values of this run.
    build : NetworkBuilder
        Returns a freshly initialised network: ``build()`` of the run's architecture, ``build(spec)`` of another.
    context : Context
        Classes, dimensions and length of the run.
    """

    def __init__(self, hyper: Any, build: NetworkBuilder, context: Context) -> None:
        super().__init__()
        self.hyper, self.context = hyper, context
        self.networks(build)

    @abstractmethod
    def networks(self, build: NetworkBuilder) -> None:
        """Make the networks and set them as attributes."""

    def remember(self, scans: Iterable[WholeScan]) -> None:
        """Take what is to be kept of the labelled scans, before training and before a checkpoint is loaded.

        Scans are read as they are taken: a method that takes none, as most do, costs nothing.

        Parameters
        ----------
        scans : iterable of WholeScan
            The labelled scans of the run, whole and not augmented, centred on a grid of the plan's patch size.
        """

    @abstractmethod
    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the raw loss terms of one step, each a scalar."""

    def weights(self, step: int) -> dict[str, float]:
        """Return the weight of each term at ``step``, also of the adversary's; a term not named weighs 1."""
        return {}

    def adversary(self) -> Adversary | None:
        """Return the part that is trained by `adversary_loss` instead of `loss`, if there is one."""
        return None

    def adversary_loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the raw loss terms of the adversary, taken after the method's own step; none skips its step."""
        return {}

    def after_step(self, step: int) -> None:
        """Update what follows the trained networks, such as a teacher."""

    def rate_factors(self) -> Mapping[nn.Parameter, float]:
        """Return factors on the learning rate, for parameters that want another one than the run's."""
        return {}

    @abstractmethod
    def predictor(self) -> nn.Module:
        """Return the network that predicts; it is what validation measures and what the model file holds."""

    def predictor_spec(self, network: NetworkSpec) -> NetworkSpec:
        """Return what builds `predictor`, given the specification of the run's network; that itself unless told."""
        return network

    def further_predictors(self, network: NetworkSpec) -> Mapping[str, tuple[nn.Module, NetworkSpec]]:
        """Return what else may predict, by its name in `predictors`, each with what builds it; see `predictor_spec`."""
        return {}

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return `loss`; PyTorch's data-parallel wrapper needs it under this name."""
        return self.loss(batch, step)
