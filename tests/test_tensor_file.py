import pickle
from pathlib import Path

import pytest
import torch

from fewscan.errors import DataError
from fewscan.tensor_file import read_tensors, write_tensors


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(4)}, {"step": 7})
    return path


def test_round_trip(saved):
    tensors, description = read_tensors(saved)
    assert torch.equal(tensors["a"], torch.arange(6.0).reshape(2, 3))
    assert tensors["n"] == 4
    assert description == {"step": 7}


def test_bfloat16_and_empty_tensors_survive(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"b": torch.ones(3, dtype=torch.bfloat16), "e": torch.zeros(0)}, {})
    tensors, _ = read_tensors(path)
    assert tensors["b"].dtype == torch.bfloat16
    assert tensors["e"].numel() == 0


def test_flipped_bit_is_found(saved):
    data = bytearray(saved.read_bytes())
    data[-3] ^= 1
    saved.write_bytes(data)
    with pytest.raises(DataError, match="does not match its hash"):
        read_tensors(saved)


def test_truncated_file_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-5])
    with pytest.raises(DataError, match="not a readable safetensors file"):
        read_tensors(saved)


class _Malicious:
    def __reduce__(self):
        return (Path("pwned").touch, ())


def test_pickle_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(_Malicious()))
    with pytest.raises(DataError, match="not a readable safetensors file"):
        read_tensors(path)
    assert not (tmp_path / "pwned").exists()


def test_foreign_safetensors_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(DataError, match="not one that fewscan wrote"):
        read_tensors(tmp_path / "x.safetensors")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.safetensors: no such file"):
        read_tensors(tmp_path / "nowhere.safetensors")


def test_failed_write_leaves_the_old_file(saved, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fewscan.tensor_file.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_tensors(saved, {"a": torch.zeros(1)}, {})
    assert read_tensors(saved)[1] == {"step": 7}
    assert [p.name for p in saved.parent.iterdir()] == ["x.safetensors"]
