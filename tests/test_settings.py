import pytest
from pydantic import model_validator

from fewscan.errors import UsageError
from fewscan.settings import Settings, nearest_key


class Optimiser(Settings):
    learning_rate: float = 0.01
    momentum: float = 0.9


class Training(Settings):
    iterations: int = 1000
    optimiser: Optimiser = Optimiser()


def test_defaults_and_values():
    settings = Training.parse({"iterations": 5}, source="--set")
    assert settings == Training(iterations=5)


@pytest.mark.parametrize(
    ("data", "key", "nearest"),
    [
        ({"iteration": 5}, "iteration", "iterations"),
        ({"optimiser": {"learningrate": 1}}, r"optimiser\.learningrate", "learning_rate"),
    ],
)
def test_fault_37_unknown_key_names_the_nearest_valid_one(data, key, nearest):
    with pytest.raises(UsageError, match=f"run.yaml: unknown key '{key}': did you mean '{nearest}'"):
        Training.parse(data, source="run.yaml")


def test_fault_37_key_near_to_none_lists_the_valid_ones():
    with pytest.raises(UsageError, match="valid keys: iterations, optimiser"):
        Training.parse({"zzz": 5}, source="run.yaml")


def test_all_problems_are_listed_at_once():
    with pytest.raises(UsageError, match=r"iterations.*got 'many'.*unknown key 'iteration'"):
        Training.parse({"iterations": "many", "iteration": 5}, source="run.yaml")


class Pair(Settings):
    low: int
    high: int

    @model_validator(mode="after")
    def _ordered(self):
        if self.low > self.high:
            msg = f"low {self.low} is above high {self.high}"
            raise ValueError(msg)
        return self


def test_a_rule_about_several_values_speaks_for_itself():
    with pytest.raises(UsageError) as caught:
        Pair.parse({"low": 3, "high": 1}, source="run.yaml")
    assert str(caught.value) == "run.yaml: low 3 is above high 1"
    with pytest.raises(UsageError) as caught:
        Pair.parse({"low": 3}, source="run.yaml")
    assert str(caught.value) == "run.yaml: high: Field required"


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Training().iterations = 3


def test_yaml_round_trip(tmp_path):
    path = tmp_path / "run" / "config.yaml"
    settings = Training(optimiser=Optimiser(momentum=0.5))
    settings.write(path)
    assert Training.read(path) == settings


def test_empty_yaml_gives_the_defaults(tmp_path):
    (tmp_path / "empty.yaml").touch()
    assert Training.read(tmp_path / "empty.yaml") == Training()


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x00", b"!!python/object/apply:os.system ['true']"])
def test_what_is_no_safe_yaml_is_refused(tmp_path, content):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"bad\.yaml: not readable as YAML"):
        Training.read(path)


def test_yaml_that_is_no_mapping_is_refused(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n- 2\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"list\.yaml"):
        Training.read(path)


def test_missing_file(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        Training.read(tmp_path / "gone.yaml")


def test_nearest_key():
    assert nearest_key("lerning_rate", ["learning_rate", "momentum"]) == "did you mean 'learning_rate'?"
    assert nearest_key("zzz", ["b", "a"]) == "valid keys: a, b"
