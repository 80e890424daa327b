import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from fewscan import __version__
from fewscan.errors import DataError, UsageError
from fewscan.inference.model_file import ModelSpec, load_model, model_path, save_model
from fewscan.tensor_file import read_tensors, write_tensors


@pytest.fixture
def model(tmp_path: Path, make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]) -> Path:
    """The file of a small U-Net."""
    spec = make_spec()
    save_model(tmp_path / "run" / "model.safetensors", make_network(spec), spec)
    return tmp_path / "run" / "model.safetensors"


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write the file again with another description, and the hash that belongs to it."""
    tensors, description = read_tensors(path)
    change(description)
    write_tensors(path, tensors, description)


def test_a_model_comes_back_as_it_was(
    model: Path, make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]
) -> None:
    expected = make_network(make_spec())
    network, spec = load_model(model)
    assert spec == make_spec()
    assert spec.fewscan_version == __version__
    assert not network.training
    assert expected.state_dict().keys() == network.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(network.state_dict()[name], value)


def test_the_run_folder_serves_as_well(model: Path) -> None:
    assert model_path(model.parent) == model
    assert load_model(model.parent)[1].method == "supervised"


def test_saving_again_replaces_the_file_and_leaves_nothing_else(
    model: Path, make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]
) -> None:
    save_model(model, make_network(make_spec()), make_spec().model_copy(update={"method": "other"}))
    assert load_model(model)[1].method == "other"
    assert os.listdir(model.parent) == [model.name]


def test_buffers_of_all_types_and_shared_tensors(tmp_path: Path, make_spec: Callable[..., ModelSpec]) -> None:
    # batch normalisation has a 0-dimensional int64 buffer; tied weights share memory
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2), nn.Linear(2, 2).bfloat16())
    network.append(network[1])
    save_model(tmp_path / "m.safetensors", network, make_spec())
    with pytest.raises(DataError, match="the weights do not fit the network 'unet'"):
        load_model(tmp_path / "m.safetensors")


def test_keys_that_are_numbers_do_not_spoil_the_digest(
    tmp_path: Path, make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]
) -> None:
    spec = make_spec().model_copy(update={"details": {"dice": {2: 0.5, 10: 0.25}}})
    save_model(tmp_path / "m.safetensors", make_network(spec), spec)
    assert load_model(tmp_path / "m.safetensors")[1].details == {"dice": {"2": 0.5, "10": 0.25}}


def test_weights_that_are_not_finite_are_not_written(
    tmp_path: Path, make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]
) -> None:
    network = make_network(make_spec())
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        save_model(tmp_path / "m.safetensors", network, make_spec())
    assert not (tmp_path / "m.safetensors").exists()


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model\.safetensors: no such model file"):
        load_model(tmp_path)
    with pytest.raises(UsageError, match="nowhere: no such model file"):
        load_model(tmp_path / "nowhere")


def test_another_format_version(model: Path) -> None:
    rewrite(model, lambda description: description.update(format=2, spec={"unheard": "of"}))
    with pytest.raises(DataError, match=r"run/model\.safetensors: model format 2, but this fewscan reads format 1"):
        load_model(model)


def test_a_specification_with_an_unknown_key(model: Path) -> None:
    rewrite(model, lambda description: description["spec"].update(metod="x"))
    with pytest.raises(DataError, match=r"specification is not valid.*unknown key 'metod'"):
        load_model(model)


def test_an_altered_label_value_is_noticed(model: Path) -> None:
    content = model.read_bytes()
    assert content.count(b"300") > 0
    model.write_bytes(content.replace(b"300", b"301"))
    with pytest.raises(DataError, match="hash"):
        load_model(model)


def test_a_foreign_safetensors_file(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(DataError, match="not one that fewscan wrote"):
        load_model(tmp_path / "foreign.safetensors")


def test_a_checkpoint_is_not_a_model(tmp_path: Path) -> None:
    write_tensors(tmp_path / "checkpoint.safetensors", {"weight": torch.zeros(2)}, {"step": 3})
    with pytest.raises(DataError, match="is not a model"):
        load_model(tmp_path / "checkpoint.safetensors")


def test_one_flipped_bit_in_the_weights(model: Path) -> None:
    content = bytearray(model.read_bytes())
    content[-5] ^= 1
    model.write_bytes(content)
    with pytest.raises(DataError, match=r"run/model\.safetensors: the content does not match its hash"):
        load_model(model)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_anywhere_is_noticed(model: Path, data: st.DataObject) -> None:
    content = bytearray(model.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    altered = model.with_name("altered.safetensors")
    altered.write_bytes(content)
    with pytest.raises(DataError, match="altered"):
        load_model(altered)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file(model: Path, kept: int) -> None:
    model.write_bytes(model.read_bytes()[:kept])
    with pytest.raises(DataError, match="not a readable safetensors file"):
        load_model(model)


class Attack:
    """Writes a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    path, target = tmp_path / "model.safetensors", tmp_path / "executed"
    payload = pickle.dumps(Attack(target))
    pickle.loads(payload)  # noqa: S301 - shows that the attack would work
    target.rmdir()
    for content in (payload, struct.pack("<Q", len(payload)) + payload):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a readable safetensors file"):
            load_model(path)
    torch.save({"weight": Attack(target)}, path)
    with pytest.raises(DataError, match="not a readable safetensors file"):
        load_model(path)
    assert not target.exists()


def test_weights_of_another_shape(
    tmp_path: Path, make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]
) -> None:
    spec = make_spec()
    wider = spec.model_copy(update={"network": spec.network.model_copy(update={"options": {"filters": [6, 8]}})})
    save_model(tmp_path / "m.safetensors", make_network(spec), wider)
    with pytest.raises(DataError, match=r"m\.safetensors: the weights do not fit the network 'unet': size mismatch"):
        load_model(tmp_path / "m.safetensors")


def test_a_network_that_this_version_does_not_know(
    tmp_path: Path, make_spec: Callable[..., ModelSpec], make_network: Callable[[ModelSpec], nn.Module]
) -> None:
    spec = make_spec()
    unknown = spec.model_copy(update={"network": spec.network.model_copy(update={"name": "onet"})})
    save_model(tmp_path / "m.safetensors", make_network(spec), unknown)
    with pytest.raises(DataError, match=r"m\.safetensors: the model's specification is not valid.*onet"):
        load_model(tmp_path / "m.safetensors")


def test_another_predictor_of_a_run(model: Path) -> None:
    best = model.with_name("model_best.safetensors")
    best.write_bytes(model.read_bytes())
    for place in (model, model.parent):
        assert model_path(place, "best") == best
        assert model_path(place, "supervised") == model  # the run's own
    with pytest.raises(UsageError, match="no predictor 'bst': did you mean 'best'"):
        model_path(model.parent, "bst")
