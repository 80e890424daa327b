"""Eqs. 3 and 4, and that training recovers deformations that are known."""

import pytest
import torch

from fewscan.data.batch import Batch
from fewscan.displacement import warp
from fewscan.errors import UsageError
from fewscan.methods.registry import method_class
from fewscan.networks.registry import NetworkSpec
from fewscan.registration.objective import inverse_error, pair_terms
from fewscan.registration.pairing import draw_pairs, make_pairs
from fewscan.training.optimisers import build_optimiser, set_learning_rate
from fewscan.training.settings import OptimiserSettings, resolve_settings


def test_terms_are_those_of_the_drawn_pairs(method, batch):
    made, given = method("registration").eval(), batch(labelled=2, unlabelled=3)
    torch.manual_seed(3)
    terms = made.loss(given, 0)
    torch.manual_seed(3)
    pairs = make_pairs(given, *draw_pairs(2, 3), classes=3)
    expected = pair_terms(made.network(pairs.moving, pairs.fixed), pairs, made.hyper.objective)
    assert terms.keys() == expected.keys() == {"similarity", "labels", "smoothness"}
    for name, value in terms.items():
        torch.testing.assert_close(value, expected[name])


def test_pairs_are_drawn_anew_at_each_step(method, batch):
    made, given = method("registration").eval(), batch(labelled=0, unlabelled=5)
    values = set()
    for step in range(8):
        torch.manual_seed(step)
        values.add(made.loss(given, step)["similarity"].item())
    assert len(values) > 1


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "expected"), [(2, 2, True), (3, 0, True), (1, 3, False), (0, 2, False)]
)
def test_labels_count_where_both_scans_have_them(method, batch, labelled, unlabelled, expected):
    terms = method("registration").loss(batch(labelled=labelled, unlabelled=unlabelled), 0)
    assert ("labels" in terms) == expected


def test_no_gradient_from_padding(method, batch):
    """What is in the padding changes the network's input, but not what its field is judged by."""
    made, given = method("registration"), batch(labelled=2, unlabelled=0)
    none = [torch.zeros(len(images), *images.shape[1:]) for images in (given.images, given.unlabelled)]
    terms = made.loss(given._replace(inside=none[0], unlabelled_inside=none[1]), 0)
    assert terms["similarity"].item() == pytest.approx(1)  # nothing valid correlates 0


def test_both_ways_with_inverse_consistency(method, batch):
    made, given = method("registration", inverse_consistency=0.5), batch(labelled=2, unlabelled=1)
    with torch.no_grad():
        for head in made.network.heads:
            head.bias.fill_(1.0)
    shown = []
    made.network.register_forward_pre_hook(lambda _, pair: shown.append(pair))
    terms = made.loss(given, 0)
    moving, fixed = shown[0]
    assert len(moving) == 6
    assert torch.equal(moving[:3], fixed[3:])
    assert torch.equal(moving[3:], fixed[:3])
    there, back = made.network(moving, fixed)[-1].displacement_vox.chunk(2)
    torch.testing.assert_close(terms["inverse_consistency"], inverse_error(there, back))
    assert terms["inverse_consistency"] > 1
    assert made.weights(0)["inverse_consistency"] == 0.5
    assert "inverse_consistency" not in method("registration").weights(0)


def test_weights_are_those_of_eq_3(method):
    made = method("registration", label_weight=2.0, smoothness_weight=0.5, similarity_weight=3.0)
    assert made.weights(7) == {"similarity": 3.0, "labels": 2.0, "smoothness": 0.5}


def test_one_lambda_per_level(method):
    assert method("registration", lambdas=(4.0, 2.0)).hyper.objective.lambdas == (4.0, 2.0)
    with pytest.raises(UsageError, match=r"3 entries, but the network has 2 levels"):
        method("registration", lambdas=(4.0, 2.0, 1.0))


def test_windows_have_odd_sides():
    with pytest.raises(UsageError, match=r"window: .*odd"):
        method_class("registration").hyper_parameters.parse({"window": 8}, source="test")


@pytest.mark.parametrize("preset", ["paper", "recommended"])
def test_presets_resolve_to_the_registration_network(preset):
    settings = resolve_settings(method="registration", preset=preset, config={}, overrides={})
    assert settings.network.name == "mrregnet"
    assert settings.optimiser.learning_rate == 1e-3
    if preset == "paper":  # Adam at a constant rate, whole resolution, scans as they are, nearest neighbours
        assert (settings.optimiser.weight_decay, settings.optimiser.schedule) == (0, "constant")
        assert settings.augmentation.rotation.probability == 0
        assert settings.hyper["resize"] == "nearest"


def enlarged(coarse, size):
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


def smooth_field(generator, size, amplitude):
    """Return a smooth displacement that is zero at the border, at most ``amplitude`` voxels along each axis."""
    coarse = torch.zeros(1, 2, 4, 4)
    coarse[..., 1:-1, 1:-1] = 2 * torch.rand(1, 2, 2, 2, generator=generator) - 1
    return amplitude * enlarged(coarse, size)


def test_known_deformations_are_recovered(method):
    """Scans are one pattern under random smooth deformations; without labels, held-out ones are found."""
    size, generator = (32, 32), torch.Generator().manual_seed(0)
    pattern = enlarged(torch.rand(1, 1, 12, 12, generator=generator), size)
    pattern = (pattern - pattern.mean()) / pattern.std()
    fields = torch.cat([smooth_field(generator, size, 4.0) for _ in range(20)])
    # scan(p) = pattern(p + u(p)): the field from the pattern to a scan is u itself
    scans = warp(pattern.expand(20, -1, -1, -1), fields)
    known, held_out = scans[:16], scans[16:]
    network = NetworkSpec(name="mrregnet", options={"filters": [12, 12, 12]})
    made = method("registration", dimensions=2, classes=2, network=network, smoothness_weight=0.1)
    cycle = OptimiserSettings(learning_rate=3e-3)
    optimiser = build_optimiser(made.parameters(), cycle)
    nothing = pattern[:0]
    for step in range(180):
        torch.manual_seed(step)
        set_learning_rate(optimiser, cycle, step, 180)
        chosen = torch.randperm(16)[:7]
        shown = torch.cat([pattern, known[chosen]])
        batch = Batch(nothing, torch.zeros(0, *size).long(), shown, (), tuple(map(str, range(8))))
        terms, weights = made(batch, step), made.weights(step)
        loss = sum(weights[name] * value for name, value in terms.items())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    moving = pattern.expand(4, -1, -1, -1)
    with torch.no_grad():
        found = made.network.displacement(moving, held_out)
    truth = fields[16:]
    assert (found - truth).norm(dim=1).mean() < 0.6 * truth.norm(dim=1).mean()
    assert (warp(moving, found) - held_out).square().mean() < 0.25 * (moving - held_out).square().mean()
