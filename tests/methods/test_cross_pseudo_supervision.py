"""Both terms of eq. 1, computed again by other means, for CPS and for cross teaching."""

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.losses.dice import soft_dice
from fewscan.methods.base import Context
from fewscan.methods.cross_teaching import CrossTeaching
from fewscan.methods.registry import method_class
from fewscan.methods.supervised import supervised_loss
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.monai_adapter import MonaiNetwork
from fewscan.networks.registry import NetworkSpec

CPS, TEACHING = "cross_pseudo_supervision", "cross_teaching"
SMALL = NetworkSpec(name="unet", options={"filters": [4, 8]})


def cross_entropy(logits, other):
    return torch.nn.functional.cross_entropy(logits, other.argmax(dim=1))


def dice(logits, other):
    return soft_dice(torch.softmax(logits, dim=1), other.argmax(dim=1), squared=True)


@pytest.mark.parametrize(("name", "loss"), [(CPS, cross_entropy), (TEACHING, dice)])
def test_both_terms_of_eq_1(name, loss, method, batch):
    made, given = method(name, preset="paper").eval(), batch(labelled=1, unlabelled=3)
    terms = made.loss(given, 0)
    first, second = made.first(given.unlabelled), made.second(given.unlabelled)
    torch.testing.assert_close(terms["cross"], loss(first, second) + loss(second, first))
    each = [supervised_loss(network(given.images), given.labels, made.hyper) for network in (made.first, made.second)]
    torch.testing.assert_close(terms["supervised"], each[0] + each[1])


def test_labelled_patches_may_count_too(method, batch):
    made, given = method(CPS, preset="paper", on_labelled=True).eval(), batch()
    images = torch.cat([given.images, given.unlabelled])
    first, second = made.first(images), made.second(images)
    expected = cross_entropy(first, second) + cross_entropy(second, first)
    torch.testing.assert_close(made.loss(given, 0)["cross"], expected)


def test_networks_are_alike_but_for_their_weights(method):
    made = method(CPS)
    assert made.first.options == made.second.options
    pairs = list(zip(made.first.parameters(), made.second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_predicts_with_one_or_with_both(method, batch):
    images = batch().unlabelled
    assert (one := method(CPS, predict_with="first")).predictor() is one.first
    made = method(CPS, predict_with="both").eval()
    found, *each = (torch.softmax(network(images), 1) for network in (made.predictor(), made.first, made.second))
    torch.testing.assert_close(found, (each[0] + each[1]) / 2)
    spec = NetworkSpec(name="unet")
    assert made.predictor_spec(spec).name == "ensemble"
    assert one.predictor_spec(spec) == spec


def test_the_alias():
    assert method_class("cps").name == CPS


def teaching(patch, **transformer):
    hyper = CrossTeaching.hyper_parameters.parse({"transformer": transformer} if transformer else {}, source="test")
    build = NetworkBuilder(SMALL, patch_size=patch, channels=1, classes=3)
    return CrossTeaching(hyper, build, Context(classes=3, dimensions=len(patch), iterations=10))


def test_the_second_network_is_a_transformer(batch):
    made = teaching((32, 64), name="monai:SwinUNETR", options={"feature_size": 12}).eval()
    assert isinstance(made.second, MonaiNetwork)
    given = batch(dimensions=2)
    images = [torch.nn.functional.interpolate(x, (32, 64)) for x in (given.images, given.unlabelled)]
    labels = torch.nn.functional.interpolate(given.labels[:, None].float(), (32, 64))[:, 0].long()
    terms = made.loss(given._replace(images=images[0], unlabelled=images[1], labels=labels), 0)
    sum(terms.values()).backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert any(float(p.grad.abs().max()) > 0 for p in made.second.parameters() if p.grad is not None)
    assert made.predictor() is made.first


@pytest.mark.parametrize(("patch", "wanted"), [((32, 40, 32), "[32, 64, 32]"), ((65, 32), "[96, 32]")])
def test_a_patch_that_is_no_multiple_of_32_is_refused_with_the_next_one(patch, wanted):
    with pytest.raises(UsageError, match="must be multiples of 32x32") as caught:
        teaching(patch)
    assert f"patch_size={wanted}" in caught.value.mend


def test_the_transformer_learns_at_a_rate_of_its_own(method):
    made = method(TEACHING)
    assert set(made.rate_factors()) == set(made.second.parameters())
    assert set(made.rate_factors().values()) == {0.1}
    assert set(method(TEACHING, preset="paper").rate_factors().values()) == {1.0}
