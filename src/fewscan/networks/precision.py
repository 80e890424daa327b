"""Which floating-point type a network computes in.

bfloat16 under automatic casting is faster where the hardware multiplies it natively: CUDA cards of compute capability
8.0 and later, and x86 processors with AVX-512 BF16 or AMX. Elsewhere it is emulated and slower than float32.
"""

import torch

from fewscan.errors import UsageError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type for automatic casting on a device: torch.float32 (no casting) or torch.bfloat16.

    Parameters
    ----------
    name : "auto", "fp32" or "bf16"
        "auto" takes bf16 where the device has instructions for it.
    device : torch.device
        Where the network runs.

    Raises
    ------
    UsageError
        For another name.
    """
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if name not in PRECISIONS:
        raise UsageError(f"--precision {name}: unknown precision", mend="Use auto, fp32 or bf16.")
    return PRECISIONS[name]


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # torch before get_capabilities cannot tell, and float32 is never wrong
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return any(bool(capabilities.get(key)) for key in ("avx512_bf16", "amx_bf16"))
    return False
