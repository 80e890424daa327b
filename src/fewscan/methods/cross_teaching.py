"""Cross teaching between CNN and transformer (Luo et al. 2022): CPS whose two networks see in different ways.

(1)  L = sum over networks k of [a CE(p_k, y) + b Dice(p_k, y)] + w r(t) [l(p_1, Y_2) + l(p_2, Y_1)]
(2)  Y_k = argmax p_k,  without a gradient;  l = Dice

Network 1 is the run's own, network 2 a Swin transformer (Hatamizadeh et al. 2022, of MONAI, in 2-D and 3-D), whose
patches must have sides that are multiples of 32, one of them of 64 or more. It only teaches: the run's own network
predicts. Published in 2-D at 224 x 224 (ACDC), with a Swin U-Net that had been trained on photographs, beside the
collection's own 2-D U-Net; this one starts from random weights, beside the U-Net of preset `paper` in 3-D. Its
attention works in windows of 7 voxels, which fit 224 and few other sides; in 3-D, windows of 4 halve a step (of both
networks on four patches of 96x64x64: 17 instead of 32 s of processor time, 6 instead of 15 GiB, one measurement by
``benchmarks/method_costs_table.py --methods cross_teaching``).
With ``--set hyper.transformer.options.use_checkpoint=true`` it needs less memory and more time.
"""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import nn

from fewscan.methods.base import HyperParameters
from fewscan.methods.cross_pseudo_supervision import CrossPseudoParameters, CrossPseudoSupervision
from fewscan.methods.pseudo_labels import SHARPENED
from fewscan.methods.published import SSL4MIS
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.registry import NetworkSpec

SWIN = "monai:SwinUNETR"


class CrossTeachingParameters(CrossPseudoParameters):
    """Of eq. 1; the defaults are those of public code."""

    transformer: NetworkSpec = Field(
        NetworkSpec(name=SWIN, options={"feature_size": 24}),
        description="network 2, any other will do; Luo et al. 2022: a Swin U-Net",
    )
    transformer_rate: float = Field(1.0, gt=0, description="its learning rate by that of network 1; Luo et al. 2022: 1")
    pseudo_cross_entropy_weight: float = Field(0.0, ge=0, description="of a relative entropy in l; Luo et al. 2022: 0")
    pseudo_dice_weight: float = Field(1.0, ge=0, description="of Dice in l; Luo et al. 2022: 1")


class CrossTeaching(CrossPseudoSupervision):
    """A convolutional network and a transformer that are both trained."""

    name = "cross_teaching"
    title = "Cross teaching: a CNN and a transformer that learn from each other's predictions"
    paper = "Luo et al. 2022 (MIDL)"
    equations = "L = sum_k [CE + Dice](p_k, y) + w r(t) [Dice(p_1, argmax p_2) + Dice(p_2, argmax p_1)]"
    parts = "the run's network + a Swin transformer, both trained"
    when = "A GPU at hand, patches of multiples of 32; with 4 labels no gain over supervised on the same patches."
    tuned = "as cross_pseudo_supervision, but later and more slowly for the transformer, by reasoning; not tuned"
    hyper_parameters: ClassVar[type[HyperParameters]] = CrossTeachingParameters
    presets = {
        "paper": {**SSL4MIS, "batch": {"labelled": 8, "unlabelled": 8}},
        # Dice on pseudo-labels swells structures; windows of 4 need no padding at sides of 32
        "recommended": {
            "hyper": {
                **SHARPENED,
                "transformer": {"name": SWIN, "options": {"feature_size": 24, "window_size": 4}},
                "transformer_rate": 0.1,
                "pseudo_cross_entropy_weight": 1.0,
                "unlabelled_weight": 0.3,
                "ramp_length": 0.6,
            }
        },
    }

    def networks(self, build: NetworkBuilder) -> None:
        """Build both networks."""
        self.second_spec = build.fitted(self.hyper.transformer)
        self.first, self.second = build(), build(self.second_spec)

    def rate_factors(self) -> Mapping[nn.Parameter, float]:
        """Return the transformer's."""
        return dict.fromkeys(self.second.parameters(), self.hyper.transformer_rate)
