"""The teacher of a Mean Teacher: follows the student's weights, and stays in the mode it was given."""

from typing import Literal, Self

import torch
from torch import Tensor, nn

from fewscan.losses.probabilities import at_least_float32
from fewscan.networks.ema import EMA

TeacherMode = Literal["train", "eval"]


class Teacher(EMA):
    """An exponential moving average that predicts class probabilities.

    Parameters
    ----------
    student : Module
        Network to follow.
    decay : float
        Share of the old weights kept at each update.
    mode : "train" or "eval"
        During training: with dropout and the batch's own statistics (as published), or without dropout and with the
        averaged statistics.
    """

    def __init__(self, student: nn.Module, *, decay: float, mode: TeacherMode) -> None:
        super().__init__([student], decay=decay)
        self.mode = mode
        for module in self.network.modules():
            # its running statistics follow the student's, as its weights do, and not what it is shown
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 0.0

    def train(self, mode: bool = True) -> Self:
        """Enter training mode, unless this teacher is to stay in evaluation mode."""
        return super().train(mode and self.mode == "train")

    def probabilities(self, images: Tensor) -> Tensor:
        """Return class probabilities ``(batch, class, *spatial)`` in at least float32, without a graph."""
        return torch.softmax(at_least_float32(self(images)), dim=1)
