"""The second step with an adversary whose gradients are known, and in data-parallel runs."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fewscan.errors import DataError
from fewscan.methods.base import Adversary, Context, Method
from fewscan.training.checkpoint import newest_checkpoint
from fewscan.training.fabric import make_fabric
from fewscan.training.log import read_log
from fewscan.training.loop import Training
from fewscan.training.second_step import SecondStep, own_parameters
from fewscan.training.settings import TrainSettings


class Duel(Method):
    """A number a that grows, and a number b that shrinks, by one loss each."""

    scale = 1.0

    def networks(self, build):
        self.own, self.other = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        for layer in (self.own, self.other):
            nn.init.ones_(layer.weight)

    def loss(self, batch, step):
        return {"supervised": -self.own.weight.sum()}

    def weights(self, step):
        return {"other": 3.0}

    def adversary(self):
        return Adversary(self.other, learning_rate=0.25)

    def adversary_loss(self, batch, step):
        return {"other": self.scale * self.other.weight.sum() * self.own.weight.sum().detach()}

    def predictor(self):
        return self.own


class Alone(Duel):
    def adversary(self):
        return None

    def adversary_loss(self, batch, step):
        raise AssertionError


def training(folder, method=Duel, iterations=3):
    settings = TrainSettings(
        iterations=iterations,
        log_every=1,
        optimiser={"name": "sgd", "learning_rate": 0.5, "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"},
    )
    share = SimpleNamespace(shape=(1,))
    batch = SimpleNamespace(images=share, unlabelled=share, cases=("a",), unlabelled_cases=("b",))
    return Training(
        method=method(None, None, Context(classes=2, dimensions=2, iterations=iterations)),
        settings=settings,
        streams=SimpleNamespace(at=lambda *_: ()),
        batches=SimpleNamespace(make=lambda step: batch),
        fabric=make_fabric(torch.device("cpu"), torch.float32),
        folder=folder,
        validate=None,
        save_best=lambda network: None,
    )


def test_each_optimiser_moves_its_own_weights(tmp_path):
    run = training(tmp_path)
    run.fit()
    # SGD by 0.5 a step; Adam's steps have the length of its rate while the gradient's sign stays
    assert run.method.own.weight.item() == pytest.approx(1 + 3 * 0.5)
    assert run.method.other.weight.item() == pytest.approx(1 - 3 * 0.25, abs=0.02)


def test_the_second_step_follows_the_first_and_is_logged_beside_it(tmp_path):
    run = training(tmp_path)
    run.fit()
    first = read_log(tmp_path / "log.jsonl")[0]
    assert first["terms"] == {"supervised": {"value": -1.0, "weight": 1.0, "product": -1.0}}
    assert first["loss"] == -1.0
    # b = 1 times a = 1.5, which has just moved
    assert first["adversary"] == {"other": {"value": 1.5, "weight": 3.0, "product": 4.5}}


def test_its_optimiser_is_in_the_checkpoint(tmp_path):
    run = training(tmp_path)
    run.fit()
    state = newest_checkpoint(tmp_path / "checkpoints").parts["adversary"]
    assert state.keys() == {"0.step", "0.exp_avg", "0.exp_avg_sq"}
    again = training(tmp_path)
    again.resume()
    for name, value in again.second.tensors().items():
        assert torch.equal(value, state[name])


def test_a_method_without_an_adversary_has_one_step(tmp_path):
    run = training(tmp_path, Alone)
    run.fit()
    assert len(own_parameters(run.method)) == 2
    assert run.method.other.weight.item() == 1
    assert "adversary" not in read_log(tmp_path / "log.jsonl")[0]
    assert "adversary" not in newest_checkpoint(tmp_path / "checkpoints").parts


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_cases(tmp_path):
    run = training(tmp_path)
    run.method.scale = float("nan")
    with pytest.raises(DataError, match=r"step 0: .*; the batch held a, b"):
        run.fit()
    assert run.method.other.weight.item() == 1


def test_own_parameters_leave_out_the_adversary():
    method = Duel(None, None, Context(classes=2, dimensions=2, iterations=1))
    assert [id(parameter) for parameter in own_parameters(method)] == [id(method.own.weight)]


def test_processes_exchange_only_the_gradients_of_the_first_step():
    method = Duel(None, None, Context(classes=2, dimensions=2, iterations=1))
    SecondStep(method, make_fabric(torch.device("cpu"), torch.float32))
    assert method._ddp_params_and_buffers_to_ignore == ["other.weight"]
