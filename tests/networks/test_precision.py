from types import MappingProxyType

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.networks.precision import has_fast_bfloat16, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_takes_bf16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: MappingProxyType(capabilities), raising=False)
    assert resolve_precision("auto", CPU) is expected


def test_auto_takes_float32_where_torch_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve_precision("auto", CPU) is torch.float32


@pytest.mark.parametrize("native", [True, False])
def test_auto_asks_the_cuda_device(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda *, including_emulation: native and not including_emulation
    )
    assert has_fast_bfloat16(torch.device("cuda")) is native


def test_other_devices_take_float32() -> None:
    assert resolve_precision("auto", torch.device("meta")) is torch.float32


def test_named_precisions() -> None:
    assert resolve_precision("fp32", CPU) is torch.float32
    assert resolve_precision("bf16", CPU) is torch.bfloat16
    with pytest.raises(UsageError, match="fp16: unknown precision"):
        resolve_precision("fp16", CPU)
