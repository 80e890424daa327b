import pytest

from fewscan.augment.settings import Augmentation, Effect, augmentation
from fewscan.errors import UsageError


def test_default_is_the_preset_none():
    assert augmentation("none") == Augmentation()


def test_presets_differ():
    assert augmentation("flips").flip_axes is None
    assert augmentation("standard").rotation.probability > 0
    # what standard does must keep labels of left and right true
    assert augmentation("standard").flip_axes == ()
    assert augmentation("standard").turn_planes == ()


def test_unmirrored_leaves_the_rest():
    assert augmentation("flips").unmirrored() == augmentation("none")
    assert augmentation("standard").model_copy(update={"flip_axes": (0,)}).unmirrored() == augmentation("standard")


def test_unknown_preset_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'standard'"):
        augmentation("standart")


def test_settings_survive_yaml(tmp_path):
    augmentation("flips").write(tmp_path / "a.yaml")
    assert Augmentation.read(tmp_path / "a.yaml") == augmentation("flips")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"gama": {}}, "did you mean 'gamma'"),
        ({"gamma": {"probability": 1.5, "low": 1, "high": 1}}, "less than or equal to 1"),
        ({"gamma": {"probability": 1, "low": 2, "high": 1}}, "low must not exceed high"),
        ({"scaling": {"probability": 1, "low": 0, "high": 1}}, "scaling must stay within 0.1 to 10.0"),
        ({"elastic": {"probability": 1, "low": 0, "high": 0.5}}, "elastic must stay within 0.0 to 0.4"),
        ({"flip_axes": [3]}, "axes are 0, 1 and 2"),
        ({"turn_planes": [[0, -1]]}, "axes are 0, 1 and 2"),
        ({"turn_planes": [[1, 1]]}, "two different axes"),
    ],
)
def test_wrong_settings_are_explained(data, message):
    with pytest.raises(UsageError, match=message):
        Augmentation.parse(data, source="--set")


def test_effect_keeps_its_range():
    assert Effect(probability=0.5, low=-1, high=1).low == -1
