"""Multi-atlas segmentation: every labelled scan is laid onto the target, and their labels are fused.

(1)  D_n = registration of atlas n to the target x, learned as in `fewscan.methods.registration`
(2)  p(x) = sum_n w_n(x) y_n(D_n(x)) / sum_n w_n(x)
(3)  w_n(x) = (mean over a window around x of (a_n o D_n - x)^2)^-power    (Artaechevarria et al. 2009, IEEE TMI)

a_n and y_n are image and labels of atlas n. A registration network learns from all scans, labelled or not, so this is
what a few labels give without any segmentation network: a baseline (Lee et al. 2019, "Few labeled atlases are
necessary"). With one labelled scan it is single-atlas segmentation. Checkpoints and model file contain these scans.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar

from torch import nn

from fewscan.data.whole_scan import WholeScan
from fewscan.methods.base import HyperParameters
from fewscan.methods.registration import Registration
from fewscan.networks.registry import NetworkSpec
from fewscan.registration.atlases import Atlases
from fewscan.registration.multi_atlas import MultiAtlas, MultiAtlasParameters, multi_atlas_spec


class MultiAtlasSegmentation(Registration):
    """A registration network that is trained, and the labelled scans as they are."""

    name = "multi_atlas"
    title = "Multi-atlas segmentation: labelled scans registered to each target, their labels fused"
    paper = "Artaechevarria et al. 2009; Sabuncu et al. 2010; registration of paper 1, section 2.3"
    equations = "p(x) = sum_n w_n(x) y_n(D_n(x)) / sum_n w_n(x);  D_n trained as by method registration"
    parts = "one registration network + the labelled scans themselves"
    when = "As a baseline: 1 to 16 points of Dice below supervised training on two organs."
    tuned = "as registration; fusion by local similarity, not tuned"
    hyper_parameters: ClassVar[type[HyperParameters]] = MultiAtlasParameters
    presets = {
        # paper 1 registers 5 labelled scans to each of the others and averages their masks
        "paper": {
            **Registration.presets["paper"],
            "hyper": {**Registration.presets["paper"]["hyper"], "fusion": "average", "atlases": 5},
        },
        "recommended": Registration.presets["recommended"],
    }
    task = "segmentation"
    needs_labels = True

    def networks(self, build: Callable[[], nn.Module]) -> None:
        """Build the registration network; the atlases come with `remember`."""
        super().networks(build)
        channels = int(self.network.channels)  # type: ignore[arg-type]
        self.atlases = Atlases(0, channels=channels, size=(1,) * self.context.dimensions)

    def remember(self, scans: Iterable[WholeScan]) -> None:
        """Keep the labelled scans as atlases."""
        self.atlases = Atlases.of(scans)

    def predictor(self) -> nn.Module:
        """Return the trained network together with the atlases; it is made anew, but shares both."""
        return MultiAtlas(self.network, self.atlases, classes=self.context.classes, hyper=self.hyper)

    def predictor_spec(self, network: NetworkSpec) -> NetworkSpec:
        """Return what builds `predictor`."""
        return multi_atlas_spec(network, self.predictor())  # type: ignore[arg-type]
