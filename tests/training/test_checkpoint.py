import pytest
import torch

from fewscan.errors import DataError
from fewscan.training.checkpoint import Checkpoint, checkpoint_files, newest_checkpoint, save_checkpoint


def _save(folder, step):
    return save_checkpoint(folder, Checkpoint(step, {"method": {"w": torch.tensor([float(step)])}}, {"seconds": 1.5}))


def test_round_trip(tmp_path):
    _save(tmp_path, 10)
    found = newest_checkpoint(tmp_path)
    assert found.step == 10
    assert found.parts["method"]["w"].item() == 10
    assert found.details == {"seconds": 1.5}


def test_two_are_kept(tmp_path):
    for step in (10, 20, 30):
        _save(tmp_path, step)
    assert [path.name for path in checkpoint_files(tmp_path)] == [
        "step-00000020.safetensors",
        "step-00000030.safetensors",
    ]


def test_damaged_newest_falls_back_to_the_one_before(tmp_path):
    _save(tmp_path, 10)
    newest = _save(tmp_path, 20)
    newest.write_bytes(newest.read_bytes()[:50])
    assert newest_checkpoint(tmp_path).step == 10


def test_all_damaged_is_an_error_that_names_them(tmp_path):
    path = _save(tmp_path, 10)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"(?s)every checkpoint.*step-00000010"):
        newest_checkpoint(tmp_path)


def test_no_checkpoint_yet(tmp_path):
    assert newest_checkpoint(tmp_path / "checkpoints") is None


def test_left_over_temporary_file_is_no_checkpoint(tmp_path):
    _save(tmp_path, 10)
    (tmp_path / ".step-00000020.safetensors.abc123").write_bytes(b"half")
    assert newest_checkpoint(tmp_path).step == 10
