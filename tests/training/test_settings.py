import pytest

from fewscan.augment.settings import augmentation
from fewscan.errors import UsageError
from fewscan.training.settings import (
    TrainSettings,
    changed_on_resume,
    merge,
    nest,
    parse_assignments,
    resolve_settings,
)


def test_defaults_resolve():
    settings = resolve_settings(config={}, overrides={})
    assert settings.method == "supervised"
    assert settings.hyper["dice_weight"] == 1.0


def test_strength_preset_config_set():
    paper = resolve_settings(preset="paper", config={}, overrides={})
    assert paper.optimiser.name == "sgd"
    by_file = resolve_settings(preset="paper", config={"optimiser": {"learning_rate": 0.5}}, overrides={})
    assert by_file.optimiser.learning_rate == 0.5
    assert by_file.optimiser.name == "sgd"
    by_set = resolve_settings(
        preset="paper",
        config={"optimiser": {"learning_rate": 0.5}},
        overrides={"optimiser.learning_rate": 0.25, "hyper.dice_weight": 2},
    )
    assert by_set.optimiser.learning_rate == 0.25
    assert by_set.hyper["dice_weight"] == 2.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"iteration": 3}, "unknown key 'iteration': did you mean 'iterations'"),
        ({"optimiser.learning_rat": 3}, "optimiser.learning_rat': did you mean 'learning_rate'"),
        ({"hyper.dice_wait": 3}, "dice_wait': did you mean 'dice_weight'"),
        ({"method": "supervized"}, "unknown method 'supervized': did you mean 'supervised'"),
        ({"iterations": "many"}, "iterations: .*many"),
        ({"preset": "papper"}, "no preset 'papper': did you mean 'paper'"),
        ({"method": 5}, "unknown method '5'"),
        ({"patch_size": [16, 0]}, "patch_size.1: .*greater than 0"),
        ({"optimiser.clip_gradient_norm": 0}, "clip_gradient_norm: .*greater than 0"),
    ],
)
def test_mistakes_are_named(overrides, message):
    with pytest.raises(UsageError, match=message):
        resolve_settings(config={}, overrides=overrides)


def test_all_mistakes_are_listed_at_once():
    with pytest.raises(UsageError, match=r"(?s)iteration'.*sead'"):
        resolve_settings(config={"iteration": 1, "sead": 2}, overrides={})


def test_yaml_round_trip(tmp_path):
    settings = resolve_settings(config={}, overrides={"patch_size": [32, 32, 32]})
    settings.write(tmp_path / "settings.yaml")
    assert TrainSettings.read(tmp_path / "settings.yaml") == settings


def test_augmentation_by_preset_name():
    assert resolve_settings(config={}, overrides={"augmentation": "none"}) != resolve_settings(config={}, overrides={})


def test_one_value_of_an_augmentation_keeps_the_others():
    flipped = resolve_settings(config={}, overrides={"augmentation.flip_axes": [0]}).augmentation
    assert flipped == augmentation("standard").model_copy(update={"flip_axes": (0,)})
    by_file = resolve_settings(config={"augmentation": "flips"}, overrides={"augmentation.elastic_cells": 6})
    assert by_file.augmentation == augmentation("flips").model_copy(update={"elastic_cells": 6})
    paper = resolve_settings(preset="paper", config={}, overrides={"augmentation.noise.probability": 0.5}).augmentation
    assert (paper.flip_axes, paper.noise.probability, paper.rotation.probability) == (None, 0.5, 0)
    assert resolve_settings(preset="paper", config={"augmentation": "none"}, overrides={}).augmentation == (
        augmentation("none")
    )


def test_options_do_not_pass_to_another_network():
    vnet = resolve_settings(preset="paper", config={}, overrides={"network.name": "vnet"}).network
    assert vnet.options == {}
    same = resolve_settings(preset="paper", config={}, overrides={"network.options.dropout": 0.1}).network
    assert same.options == {"filters": [16, 32, 64, 128, 256], "dropout": 0.1}


def test_one_option_of_a_network_among_the_hyper_parameters_keeps_the_others():
    def transformer(**overrides):
        given = {f"hyper.transformer.{key}": value for key, value in overrides.items()}
        return resolve_settings(method="cross_teaching", config={}, overrides=given).hyper["transformer"]

    assert transformer(**{"options.use_checkpoint": True}) == {
        "name": "monai:SwinUNETR",
        "options": {"feature_size": 24, "window_size": 4, "use_checkpoint": True},
    }
    assert transformer(name="vnet") == {"name": "vnet", "options": {}}


def test_one_value_of_a_nested_hyper_parameter_keeps_the_others():
    settings = resolve_settings(method="joint", config={}, overrides={"hyper.registration.batch.labelled": 1})
    assert settings.hyper["registration"]["batch"] == {"labelled": 1, "unlabelled": 4}


@pytest.mark.parametrize("method", ["registration", "multi_atlas"])
def test_registration_networks_learn_without_flips(method):
    """So that what is written down, compared and passed on to test-time views is what was done."""
    settings = resolve_settings(method=method, config={}, overrides={"augmentation": "flips"})
    assert settings.augmentation == augmentation("none")
    kept = resolve_settings(method="joint", config={}, overrides={"augmentation": "flips"})
    assert kept.augmentation == augmentation("flips")


def test_a_key_and_a_key_below_it_exclude_each_other():
    with pytest.raises(UsageError, match=r"network\.options\.dropout: 'network' is set to 'vnet' at the same time"):
        resolve_settings(config={}, overrides={"network": "vnet", "network.options.dropout": 0.1})


def test_nest_and_merge():
    assert nest({"a.b": 1, "a.c": 2, "d": 3}) == {"a": {"b": 1, "c": 2}, "d": 3}
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 5}}) == {"a": {"b": 5, "c": 2}}


def test_assignments_are_yaml():
    assert parse_assignments(["a=1", "b.c=[1, 2]", "d=text", "e=null"]) == {
        "a": 1,
        "b.c": [1, 2],
        "d": "text",
        "e": None,
    }


@pytest.mark.parametrize("text", ["iterations", "=5", "a=[1"])
def test_broken_assignment(text):
    with pytest.raises(UsageError, match="--set"):
        parse_assignments([text])


def test_only_harmless_changes_are_safe_on_resume():
    old = resolve_settings(config={}, overrides={})
    harmless = resolve_settings(config={}, overrides={"log_every": 3, "checkpoint_every": 7})
    harmful = resolve_settings(config={}, overrides={"log_every": 3, "iterations": 7, "seed": 2})
    assert changed_on_resume(old, harmless) == []
    assert changed_on_resume(old, harmful) == ["iterations", "seed"]
