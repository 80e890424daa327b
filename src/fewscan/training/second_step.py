"""The second step of an iteration, for methods that train an adversary: see `Method.adversary`.

The adversary's weights belong to the method, and so to its checkpoints, but not to the method's
optimiser: Adam with a constant rate moves them, after the method's own step, by the gradient of `adversary_loss` alone.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fewscan.methods.base import Method
from fewscan.training.optimisers import optimiser_tensors, restore_optimiser


def own_parameters(method: Method) -> list[nn.Parameter]:
    """Return the parameters of the method that are not its adversary's."""
    adversary = method.adversary()
    theirs = set() if adversary is None else {id(parameter) for parameter in adversary.network.parameters()}
    return [parameter for parameter in method.parameters() if id(parameter) not in theirs]


class SecondStep:
    """Trains the adversary of a method; does nothing for a method without one.

    Parameters
    ----------
    method : Method
        On the device, and not yet set up by Fabric.
    fabric : Fabric
    """

    def __init__(self, method: Method, fabric: Any) -> None:
        self.method, self.fabric = method, fabric
        self.adversary = method.adversary()
        if self.adversary is None:
            return
        mine = {id(tensor) for tensor in [*self.adversary.network.parameters(), *self.adversary.network.buffers()]}
        names = [name for name, tensor in [*method.named_parameters(), *method.named_buffers()] if id(tensor) in mine]
        # processes exchange the method's gradients in the first step, in which the adversary has none
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(  # type: ignore[no-untyped-call]
            method, names
        )
        adam = torch.optim.Adam(
            self.adversary.network.parameters(), lr=self.adversary.learning_rate, betas=self.adversary.betas
        )
        self.optimiser = fabric.setup_optimizers(adam)

    def terms(self, batch: Any, step: int) -> dict[str, Tensor]:
        """Return the adversary's raw loss terms; none where there is nothing to tell apart."""
        if self.adversary is None:
            return {}
        with self.fabric.autocast():
            return self.method.adversary_loss(batch, step)

    def take(self, total: Tensor) -> bool:
        """Move the adversary against the gradient of ``total`` over all processes; False where that is not finite."""
        if self.adversary is None:
            return True
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        if self.fabric.world_size > 1:
            for parameter in self.adversary.network.parameters():
                if parameter.grad is not None:
                    parameter.grad = self.fabric.all_reduce(parameter.grad, reduce_op="mean")
        norm = nn.utils.clip_grad_norm_(self.adversary.network.parameters(), math.inf)
        finite = math.isfinite(float(norm))
        if finite:
            self.optimiser.step()
        return finite

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of the adversary's optimiser, for a checkpoint."""
        return {} if self.adversary is None else optimiser_tensors(self.optimiser.optimizer)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` returned."""
        if self.adversary is not None:
            restore_optimiser(self.optimiser.optimizer, tensors)
