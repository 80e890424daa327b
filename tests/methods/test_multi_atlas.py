"""It trains as `registration` does, and predicts with the labelled scans it was given."""

import pytest
import torch

from fewscan.methods.registry import method_class
from fewscan.networks.registry import build_network


@pytest.mark.parametrize("labelled", [1, 2])
def test_it_is_trained_exactly_as_a_registration(method, batch, labelled):
    given, results = batch(labelled=labelled, unlabelled=2), []
    for name in ("registration", "multi_atlas"):
        made = method(name)
        torch.manual_seed(2)
        terms = made(given, 0)
        sum(terms.values()).backward()
        results.append([*terms.values(), *(p.grad for p in made.network.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_the_labelled_scans_are_its_atlases(method, batch):
    made, given = method("multi_atlas"), batch()
    assert torch.equal(made.atlases.images, given.images)
    assert torch.equal(made.atlases.labels[:, 0].long(), given.labels)
    found = made.predictor().eval()(given.images[:1])
    # an untrained network stays near the identity, so an image that is an atlas gets that atlas's label
    assert (found.argmax(1) == given.labels[:1]).float().mean() > 0.99


def test_the_predictor_shares_the_trained_network_and_adds_nothing(method):
    made = method("multi_atlas")
    assert {id(p) for p in made.predictor().parameters()} == {id(p) for p in made.parameters()}
    assert made.predictor().state_dict().keys() == made.state_dict().keys()


@pytest.mark.parametrize("name", ["supervised", "mean_teacher", "registration"])
def test_other_methods_take_no_scan(method, name):
    asked = []

    def scans():
        asked.append(1)
        yield

    method(name).remember(scans())
    assert not asked


def test_what_it_writes_down_builds_it_again(method, small_network):
    made = method("multi_atlas", atlases=1, fusion="majority", lambdas=None)
    spec = made.predictor_spec(small_network["registration"])
    built = build_network(spec.model_validate(spec.model_dump(mode="json")), dimensions=3, channels=1, classes=3)
    built.load_state_dict(made.predictor().state_dict())
    assert built.hyper == made.hyper
    assert len(built.atlases) == 2


def test_paper_averages_the_masks_of_five():
    assert method_class("multi_atlas").presets["paper"]["hyper"] == {
        "resize": "nearest",
        "fusion": "average",
        "atlases": 5,
    }
