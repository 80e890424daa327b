from fewscan.methods.departures import departures, published_values
from fewscan.methods.registry import trainable_class
from fewscan.training.settings import resolve_settings


def hyper(method, preset, **overrides):
    return resolve_settings(method=method, preset=preset, config={}, overrides=overrides).hyper


def test_the_published_preset_departs_in_nothing():
    for name in ("mean_teacher", "supervised", "joint", "uamt"):
        assert departures(trainable_class(name), hyper(name, "paper")) == []


def test_values_of_a_run_stand_beside_the_published_ones():
    changed = {name: (value, published) for name, value, published in departures(
        trainable_class("mean_teacher"), hyper("mean_teacher", "recommended")
    )}  # fmt: skip
    assert changed["consistency"] == ("relative", "squared")
    assert changed["consistency_weight"] == (1.0, 0.2)
    assert "noise_clip" not in changed


def test_one_changed_setting_is_the_only_departure():
    given = hyper("mean_teacher", "paper", **{"hyper.noise": 0.5})
    assert departures(trainable_class("mean_teacher"), given) == [("noise", 0.5, 0.1)]


def test_settings_of_another_version_are_left_out():
    method = trainable_class("mean_teacher")
    assert departures(method, {"noise": 0.1, "of_old": 3}) == []
    assert "of_old" not in published_values(method)
