"""How the total is divided, and what each stage is told."""

import pytest

from fewscan.augment.settings import augmentation
from fewscan.errors import UsageError
from fewscan.recipes.joint_settings import parameters_of, stage_lengths, stage_settings
from fewscan.training.settings import resolve_settings


def _settings(preset="recommended", **overrides):
    return resolve_settings(method="joint", preset=preset, config={}, overrides=overrides)


def test_the_paper_preset_is_paper_1():
    settings = _settings("paper")
    lengths = stage_lengths(settings, rounds=7)
    assert lengths[0, "segmentation"] == 500
    assert lengths[0, "registration"] == 200 * 120
    assert {lengths[k, "segmentation"] for k in range(1, 8)} == {100 * 120}
    assert {lengths[k, "registration"] for k in range(1, 8)} == {50 * 120}
    rates = {
        (kind, k): stage_settings(settings, kind, round_number=k, steps=1).optimiser.learning_rate
        for kind in ("segmentation", "registration")
        for k in (0, 1)
    }
    assert rates == {
        ("segmentation", 0): 1e-4,
        ("segmentation", 1): pytest.approx(1e-5),
        ("registration", 0): 1e-3,
        ("registration", 1): pytest.approx(1e-4),
    }
    hyper = parameters_of(settings)
    assert (hyper.views, hyper.atlases, hyper.mode, hyper.rounds) == (5, 5, "average", 7)
    assert settings.augmentation == augmentation("none")
    assert settings.network.name == "residual_unet"


@pytest.mark.parametrize(("iterations", "rounds"), [(1000, 4), (10, 4), (6000, 4), (777, 0), (37, 7)])
def test_lengths_add_up_and_no_stage_is_empty(iterations, rounds):
    lengths = stage_lengths(_settings(iterations=iterations), rounds=rounds) if iterations >= 2 * rounds + 2 else {}
    assert sum(lengths.values()) in (0, iterations)
    assert all(steps >= 1 for steps in lengths.values())
    assert list(lengths) == [(k, kind) for k in range(rounds + 1) for kind in ("segmentation", "registration")]


def test_lengths_are_in_proportion():
    settings = _settings(
        iterations=10_000,
        **{
            "hyper.first_segmentation": 3,
            "hyper.first_registration": 5,
            "hyper.later_segmentation": 2,
            "hyper.later_registration": 1,
        },
    )
    lengths = stage_lengths(settings, rounds=4)  # 3 + 5 + 4 * 3 = 20 parts of 500 steps
    assert lengths[0, "segmentation"] == 1500
    assert lengths[0, "registration"] == 2500
    assert lengths[3, "segmentation"] == 1000
    assert lengths[4, "registration"] == 500


def test_true_labels_teach_the_registration_of_round_0_only_if_asked():
    for preset, first in (("paper", 0.0), ("recommended", 5.0)):
        weights = [
            stage_settings(_settings(preset), "registration", round_number=k, steps=1).hyper["label_weight"]
            for k in (0, 1)
        ]
        assert weights == [first, 5.0 if preset == "recommended" else 1.0]


def test_fewer_steps_than_stages():
    with pytest.raises(UsageError, match="9 iterations cannot be divided among 10 stages"):
        stage_lengths(_settings(iterations=9), rounds=4)


def test_round_0_is_supervised_training():
    settings = _settings("paper", seed=7, **{"hyper.dice_weight": 0.5})
    stage = stage_settings(settings, "segmentation", round_number=0, steps=50)
    assert (stage.method, stage.iterations, stage.seed) == ("supervised", 50, 7)
    assert stage.hyper == {"cross_entropy_weight": 0.0, "dice_weight": 0.5, "squared_dice": True}
    assert stage.augmentation == augmentation("none")
    later = stage_settings(settings, "segmentation", round_number=1, steps=50)
    assert later.method == "pseudo_supervised"
    new = {"pseudo_weight", "pseudo_cross_entropy_weight", "strong_student", "mix_box"}
    assert set(later.hyper) == {*stage.hyper, *new}
    assert later.seed != stage.seed


def test_round_0_with_a_teacher_is_that_method_as_recommended_with_the_weights_of_the_recipe():
    settings = _settings(**{"hyper.first_method": "mean_teacher", "hyper.dice_weight": 0.5, "hyper.mix_box": 0.1})
    stage = stage_settings(settings, "segmentation", round_number=0, steps=50)
    alone = resolve_settings(method="mean_teacher", config={}, overrides={"hyper.dice_weight": 0.5})
    assert (stage.method, stage.hyper) == ("mean_teacher", alone.hyper)


def test_registration_has_its_own_settings_and_the_augmentation_of_the_run():
    changed = {"hyper.registration.loss.label_weight": 3.0, "hyper.registration.batch.unlabelled": 6}
    settings = _settings(patch_size=[16, 16], **changed)
    stage = stage_settings(settings, "registration", round_number=2, steps=5)
    assert stage.method == "registration"
    assert stage.hyper["label_weight"] == 3.0
    assert stage.batch.unlabelled == 6
    assert stage.network.name == "mrregnet"
    assert stage.network.options["output_stride"] == 2
    assert stage.augmentation == augmentation("standard")
    assert stage.patch_size is None


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("hyper.round", 3, "'rounds'"),
        ("hyper.registration.learning_rat", 3, "'learning_rate'"),
        ("hyper.registration.loss.label_wight", 3, "'label_weight'"),
        ("hyper.registration.batch.labeled", 3, "'labelled'"),
        ("hyper.mode", "both", "mode"),
        ("hyper.later_rate", 0, "later_rate"),
    ],
)
def test_wrong_settings_are_told_with_the_nearest_key(key, value, hint):
    with pytest.raises(UsageError, match=hint):
        _settings(**{key: value})
