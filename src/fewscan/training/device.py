"""Which device to train and predict on."""

import torch

from fewscan.errors import UsageError


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``: "auto" takes a CUDA card where there is one, else the CPU.

    Raises
    ------
    UsageError
        For another name, or "cuda" where no CUDA device can be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(
                "--device cuda: no CUDA device can be used here",
                mend="Use --device auto or cpu, or install a CUDA build of torch that matches the driver.",
            )
        return torch.device("cuda")
    raise UsageError(f"--device {name}: unknown device", mend="Use auto, cpu or cuda.")
