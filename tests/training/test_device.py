import pytest
import torch

from fewscan.errors import UsageError
from fewscan.training.device import resolve_device


def test_cpu():
    assert resolve_device("cpu").type == "cpu"


def test_auto_takes_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"


def test_cuda_without_a_card_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"(?s)no CUDA device.*--device auto or cpu"):
        resolve_device("cuda")


def test_unknown_name():
    with pytest.raises(UsageError, match="gpu: unknown device"):
        resolve_device("gpu")
