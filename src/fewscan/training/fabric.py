"""Lightning Fabric: devices, precision, and data-parallel processes (torchrun, SLURM, or started from here)."""

import logging
import os
import warnings
from typing import Any

import torch

try:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
except ImportError:  # a machine with the whole of Lightning instead of Fabric alone
    from lightning.fabric import Fabric
    from lightning.fabric.plugins.environments import LightningEnvironment

from fewscan.errors import UsageError

__all__ = ["Fabric", "make_fabric"]


def make_fabric(device: torch.device, dtype: torch.dtype, *, devices: int = 1, nodes: int = 1) -> Any:
    """Return a launched Fabric.

    Parameters
    ----------
    device : torch.device
        "cpu" or "cuda".
    dtype : torch.dtype
        float32, or bfloat16 for autocast with float32 weights.
    devices, nodes : int
        Processes per node, and nodes. Under torchrun the environment decides.

    Raises
    ------
    UsageError
        When more CUDA devices are asked for than there are.
    """
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise UsageError(f"--devices {devices}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    parallel = devices * nodes > 1
    logging.getLogger(Fabric.__module__.rpartition(".")[0]).setLevel(
        logging.WARNING
    )  # the precision is in settings.yaml
    with warnings.catch_warnings():
        # Fabric remarks on an available srun or an unused accelerator; the choice was made on purpose
        warnings.simplefilter("ignore")
        fabric = Fabric(
            accelerator=device.type,
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if parallel else "auto",
            precision="bf16-mixed" if dtype == torch.bfloat16 else "32-true",
            plugins=None if parallel else [LightningEnvironment()],
        )
        fabric.launch()
    return fabric
