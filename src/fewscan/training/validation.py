"""Dice on the validation cases during training, whole scans by sliding window."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedCase
from fewscan.inference.sliding_window import predict_probabilities


def validate(
    network: Callable[[Tensor], Tensor],
    cases: Sequence[PreparedCase],
    plan: Plan,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, float]:
    """Return the mean Dice of each foreground class on the prepared grid.

    A class that is absent from truth and prediction of a case does not count for that case; a class absent from all
    cases is left out.
    """
    overlap = torch.zeros(len(cases), plan.class_count, 2, dtype=torch.float64)
    for row, case in enumerate(cases):
        probabilities = predict_probabilities(
            network,
            torch.from_numpy(case.image().copy()).to(device),
            patch_size=plan.patch_size,
            slice_axis=plan.slice_axis,
            background=case.background,
            dtype=dtype,
        )
        predicted = probabilities.max(0).indices.cpu()  # several times faster than argmax on the CPU
        truth = torch.from_numpy(case.label().copy())
        for index in range(plan.class_count):
            p, t = predicted == index, truth == index
            overlap[row, index, 0] = 2 * (p & t).sum()
            overlap[row, index, 1] = p.sum() + t.sum()
    result = {}
    for index in range(1, plan.class_count):
        counted = overlap[:, index, 1] > 0
        if counted.any():
            scores = overlap[counted, index, 0] / overlap[counted, index, 1]
            result[plan.classes[index].name] = float(scores.mean())
    return result
