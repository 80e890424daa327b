"""Exponential moving averages of network weights, from one or several sources.

theta_T <- (1 - sum_k a_k) theta_T + sum_k a_k theta_k, with sum_k a_k = 1 - decay

With one source this is the Mean Teacher's rule (Tarvainen & Valpola 2017); with two it is eq. 1 of the co-learning
paper (a, b = alpha, beta). Floating buffers (running statistics of batch normalisation) are averaged too, integer
buffers are copied from the first source: a teacher whose statistics lag behind its weights predicts nonsense in eval
mode. The average of several sources varies less than they do, so that it has to measure its own: ``own_statistics``.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class EMA(nn.Module):
    """A network that follows others and is never trained itself.

    Parameters
    ----------
    sources : sequence of Module
        Networks to follow; all must have the same parameter shapes. They are not registered as submodules.
    decay : float
        Share of the old weights kept at each update.
    weights : sequence of float, optional
        Relative weight of each source; equal unless told.
    warm_up : bool
        Use min(decay, 1 - 1 / (t + 1)) at update t, so that the average forgets its start (the first update copies).
    own_statistics : bool
        Leave buffers as the average's own forward passes make them, after they began as the sources'.

    Raises
    ------
    ValueError
        When the sources' shapes differ.
    """

    def __init__(
        self,
        sources: Sequence[nn.Module],
        *,
        decay: float = 0.99,
        weights: Sequence[float] | None = None,
        warm_up: bool = True,
        own_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.decay, self.warm_up = decay, warm_up
        total = sum(weights) if weights is not None else len(sources)
        self.shares = tuple((weights[k] if weights is not None else 1.0) / total for k in range(len(sources)))
        check_same_shapes(sources)
        self.network = copy.deepcopy(sources[0]).requires_grad_(False)
        self._blend(_tensors, sources, keep=0.0)
        self._followed = _parameters if own_statistics else _tensors

    def update(self, sources: Sequence[nn.Module], step: int) -> None:
        """Move towards ``sources`` after optimiser step ``step`` (the first is 0)."""
        keep = min(self.decay, 1.0 - 1.0 / (step + 1)) if self.warm_up else self.decay
        self._blend(self._followed, sources, keep=keep)

    def forward(self, *arguments: Tensor) -> Tensor:
        """Predict with the averaged weights; never builds a graph."""
        with torch.no_grad():
            output: Tensor = self.network(*arguments)
        return output

    @torch.no_grad()
    def _blend(
        self, tensors: Callable[[nn.Module], list[tuple[str, Tensor]]], sources: Sequence[nn.Module], *, keep: float
    ) -> None:
        states = [dict(tensors(source)) for source in sources]
        for name, average in tensors(self.network):
            if not average.is_floating_point():
                average.copy_(states[0][name])
                continue
            average.mul_(keep)
            for share, state in zip(self.shares, states, strict=True):
                average.add_(state[name], alpha=(1.0 - keep) * share)


def check_same_shapes(networks: Sequence[nn.Module]) -> None:
    """Raise ValueError unless all networks have the same parameters and buffers, in names and shapes."""
    first = {name: tuple(tensor.shape) for name, tensor in _tensors(networks[0])}
    for other in networks[1:]:
        shapes = {name: tuple(tensor.shape) for name, tensor in _tensors(other)}
        for name in sorted(first.keys() | shapes.keys()):
            if first.get(name) != shapes.get(name):
                msg = (
                    f"cannot average these networks: {name} is {first.get(name, 'absent')} in one "
                    f"and {shapes.get(name, 'absent')} in another"
                )
                raise ValueError(msg)


def _parameters(module: nn.Module) -> list[tuple[str, Tensor]]:
    return list(module.named_parameters())


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]
