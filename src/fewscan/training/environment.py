"""What a run ran on: versions and machine, for ``environment.json``; and memory."""

import platform
import sys
from typing import Any

import psutil
import torch

import fewscan
from fewscan.data.workers import available_workers


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return versions, processor, memory and device."""
    import numpy as np

    details: dict[str, Any] = {
        "fewscan": fewscan.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": available_workers(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": str(device),
    }
    if device.type == "cuda":
        details["gpu"] = torch.cuda.get_device_name(device)
    return details


def processor_name() -> str:
    """Return the processor's model name, where the system tells."""
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory so far: the device's for CUDA, the process's otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
