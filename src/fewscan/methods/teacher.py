"""The teacher of one or several students: follows their weights, and stays in the mode it was given."""

from collections.abc import Sequence
from typing import Literal, Self

import torch
from torch import Tensor, nn

from fewscan.losses.probabilities import at_least_float32
from fewscan.networks.ema import EMA
from fewscan.networks.ensemble import Ensemble

TeacherMode = Literal["train", "eval"]


class Teacher(EMA):
    """An exponential moving average that predicts class probabilities.

    Parameters
    ----------
    students : Module
        Network to follow, or several whose parameters have the same shapes.
    decay : float
        Share of the old weights kept at each update.
    weights : sequence of float, optional
        Of several students; equal unless told.
    mode : "train" or "eval"
        During training: with dropout and the batch's own statistics (as published), or without dropout and with the
        averaged statistics, which do not fit the average of several students.
    """

    def __init__(
        self, *students: nn.Module, decay: float, mode: TeacherMode, weights: Sequence[float] | None = None
    ) -> None:
        measures = len(students) > 1 and mode == "train"
        super().__init__(students, decay=decay, weights=weights, own_statistics=measures)
        self.mode = mode
        for module in self.network.modules():
            # running statistics of the teacher of one student follow the student's, as its weights do, and not what it
            # is shown; the average of several has statistics that none of them has, and measures them
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and not measures:
                module.momentum = 0.0

    def train(self, mode: bool = True) -> Self:
        """Enter training mode, unless this teacher is to stay in evaluation mode."""
        return super().train(mode and self.mode == "train")

    def probabilities(self, images: Tensor) -> Tensor:
        """Return class probabilities ``(batch, class, *spatial)`` in at least float32, without a graph."""
        return torch.softmax(at_least_float32(self(images)), dim=1)


class TeacherEnsemble(nn.Module):
    """One teacher per student, which answer together: for students whose weights cannot be averaged.

        p_T = sum over k of w_k p_Tk / sum over k of w_k

    Parameters and methods are those of `Teacher`; `network` is all of them, as an `Ensemble`.
    """

    def __init__(self, *students: nn.Module, decay: float, mode: TeacherMode, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = tuple(weights)
        self._each = [Teacher(student, decay=decay, mode=mode) for student in students]
        self.teachers = nn.ModuleList(self._each)

    @property
    def network(self) -> nn.Module:
        """All teachers as one network."""
        return Ensemble([teacher.network for teacher in self._each], self.weights)

    def probabilities(self, images: Tensor) -> Tensor:
        """Return the weighted mean of the teachers' class probabilities."""
        pairs = zip(self.weights, self._each, strict=True)
        each = [weight / sum(self.weights) * teacher.probabilities(images) for weight, teacher in pairs]
        return torch.stack(each).sum(dim=0)

    def update(self, students: Sequence[nn.Module], step: int) -> None:
        """Move every teacher towards its student."""
        for teacher, student in zip(self._each, students, strict=True):
            teacher.update([student], step)
