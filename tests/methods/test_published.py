"""What presets ``paper`` share, against what was published."""

import pytest

from fewscan.methods.published import LEFT_ATRIUM, SSL4MIS
from fewscan.methods.registry import method_class
from fewscan.training.settings import resolve_settings

# iterations, schedule, labelled + unlabelled patches, weights of cross-entropy and Dice, steps until the ramp is full
SHEET = {
    "adversarial": (30000, "poly", (2, 2), (0.5, 0.5), 30000),
    "bcp": (17000, "step_sixths", (4, 4), (0.5, 0.5), None),
    "co_learning": (6000, "step", (2, 2), (0.0, 1.0), None),
    "cross_pseudo_supervision": (30000, "poly", (2, 2), (0.5, 0.5), 30000),
    "cross_teaching": (30000, "poly", (8, 8), (0.5, 0.5), 30000),
    "dtc": (6000, "step", (2, 2), (0.0, 1.0), 6000),
    "entropy_minimisation": (30000, "poly", (2, 2), (0.5, 0.5), 30000),
    "fixmatch": (30000, "poly", (2, 2), (0.5, 0.5), None),
    "interpolation_consistency": (30000, "poly", (2, 2), (0.5, 0.5), 30000),
    "mc_net": (15000, "constant", (2, 2), (0.0, 0.5), 6000),
    "sassnet": (6000, "step", (2, 2), (0.0, 1.0), 6000),
    "ss_net": (15000, "step_sixths", (2, 2), (0.0, 1.0), 6000),
    "urpc": (30000, "poly", (2, 2), (0.5, 0.5), 30000),
}


@pytest.mark.parametrize("name", SHEET)
def test_published_settings(name):
    found = resolve_settings(method=name, preset="paper", config={}, overrides={})
    hyper = method_class(name).hyper_parameters.parse(found.hyper, source="test")
    full = None if hyper.ramp == "none" else hyper.ramp_length * found.iterations
    batch, weights = (found.batch.labelled, found.batch.unlabelled), (hyper.cross_entropy_weight, hyper.dice_weight)
    assert (found.iterations, found.optimiser.schedule, batch, weights, full) == SHEET[name]
    rule = found.optimiser
    assert (rule.name, rule.learning_rate, rule.momentum, rule.weight_decay) == ("sgd", 0.01, 0.9, 1e-4)
    # patches anywhere, gradients as they are
    assert (rule.clip_gradient_norm, found.foreground_fraction) == (None, 0.0)


# weights of the terms on unlabelled patches, and what else a publication states as a number
WEIGHTS = {
    "adversarial": {"adversarial_weight": 0.1},
    "bcp": {"unlabelled_weight": 0.5},
    "co_learning": {"unlabelled_weight": 1.0, "mix_weight": 1.0, "box": 0.5},
    "cross_pseudo_supervision": {"unlabelled_weight": 0.1},
    "cross_teaching": {"unlabelled_weight": 0.1},
    "entropy_minimisation": {"entropy_weight": 0.1},
    "fixmatch": {"unlabelled_weight": 1.0, "threshold": 0.95},
    "interpolation_consistency": {"consistency_weight": 0.1, "mixing_shape": 0.2},
    "mc_net": {"consistency_weight": 1.0},
    "ss_net": {"consistency_weight": 1.0, "contrast_weight": 0.1},
    "urpc": {"consistency_weight": 0.1, "scale_dropout": (0.1, 0.2, 0.3, 0.5)},
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_published_weights(name):
    found = resolve_settings(method=name, preset="paper", config={}, overrides={})
    hyper = method_class(name).hyper_parameters.parse(found.hyper, source="test")
    assert {key: getattr(hyper, key) for key in WEIGHTS[name]} == WEIGHTS[name]


def test_networks_of_the_two_families():
    assert LEFT_ATRIUM["network"]["name"] == "vnet"
    assert SSL4MIS["network"]["name"] == "unet"
