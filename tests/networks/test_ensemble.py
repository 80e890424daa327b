"""Networks that answer together."""

import pytest
import torch
from torch import nn

from fewscan.errors import UsageError
from fewscan.networks.ensemble import Ensemble, ensemble_spec
from fewscan.networks.registry import NetworkSpec, build_network

SMALL = NetworkSpec(name="unet", options={"filters": [4, 8]})
DEEPER = NetworkSpec(name="unet", options={"filters": [4, 8, 8, 8]})


class Constant(nn.Module):
    """Answers every voxel with the same logits."""

    def __init__(self, *logits: float, divisors: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)
        self.divisors = divisors

    def forward(self, images):
        return self.logits.view(1, -1, 1, 1).expand(len(images), -1, *images.shape[2:])


def test_probabilities_are_the_weighted_mean():
    """Odds of 3 to 1 and of 1 to 1, three to one: 3/4 * 3/4 + 1/4 * 1/2 = 11/16."""
    network = Ensemble([Constant(torch.tensor(3.0).log(), 0.0), Constant(5.0, 5.0)], [3.0, 1.0])
    found = torch.softmax(network(torch.zeros(2, 1, 4, 4)), dim=1)
    torch.testing.assert_close(found[:, 0], torch.full((2, 4, 4), 11 / 16))


def test_a_sure_member_does_not_overflow():
    network = Ensemble([Constant(1e4, -1e4), Constant(-1e4, 1e4)], [1.0, 1.0])
    found = torch.softmax(network(torch.zeros(1, 1, 2, 2)), dim=1)
    torch.testing.assert_close(found, torch.full((1, 2, 2, 2), 0.5))


def test_sides_must_suit_every_member():
    members = [Constant(0.0, divisors=(4, 2)), Constant(0.0, divisors=(6, 1))]
    assert Ensemble(members, [1, 1]).divisors == (12, 2)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_its_spec_builds_one_that_takes_its_weights(dimensions):
    shape = {"dimensions": dimensions, "channels": 2, "classes": 3}
    members = [build_network(spec, **shape) for spec in (SMALL, DEEPER)]
    network = Ensemble(members, [0.3, 0.1]).eval()
    spec = ensemble_spec([SMALL, DEEPER], [0.3, 0.1])
    again = build_network(NetworkSpec.model_validate(spec.model_dump(mode="json")), **shape).eval()
    again.load_state_dict(network.state_dict())
    images = torch.randn(1, 2, *[16] * dimensions)
    with torch.no_grad():
        assert torch.equal(network(images), again(images))
    assert network.divisors == again.divisors == (8,) * dimensions


@pytest.mark.parametrize(
    "options",
    [
        {"members": [], "weights": []},
        {"members": [SMALL.model_dump()], "weights": [1.0, 2.0]},
        {"members": [SMALL.model_dump()], "weights": [0.0]},
        {"members": [{"name": "unett"}], "weights": [1.0]},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(UsageError):
        build_network(NetworkSpec(name="ensemble", options=options), dimensions=2, channels=1, classes=2)
