"""Memory layout and the allocator."""

import ctypes
import platform

import pytest
import torch

from fewscan.networks.allocator import keep_freed_memory
from fewscan.networks.layout import best_layout

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_last_on_the_cpu(dtype):
    assert best_layout(2, CPU, dtype) == torch.channels_last
    assert best_layout(3, CPU, dtype) == torch.channels_last_3d


def test_elsewhere_torchs_default():
    assert best_layout(3, torch.device("cuda"), torch.bfloat16) == torch.contiguous_format
    assert best_layout(3, CPU, torch.float64) == torch.contiguous_format


def test_freed_memory_is_only_kept_with_glibc(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("asked a library that is not glibc"))
    assert keep_freed_memory() is False


def test_what_glibc_is_asked_for(monkeypatch):
    asked = []

    class Library:
        @staticmethod
        def mallopt(parameter, value):
            asked.append((parameter, value))
            return 1

    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.39"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    assert keep_freed_memory() is True
    # M_MMAP_MAX 0: no mapping of its own for a large block; M_TRIM_THRESHOLD: give nothing back
    assert asked == [(-4, 0), (-1, 2**31 - 1)]
