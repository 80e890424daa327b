import numpy as np
import pytest
import torch

from fewscan.data.plan import LabelClass, Plan
from fewscan.inference.model_file import ModelSpec
from fewscan.networks.registry import NetworkSpec
from fewscan.registration.predictor import RegistrationPredictor
from fewscan.registration.validation import validate_pairs


class Case:
    """A square of one class on a grid of its own, as a prepared case."""

    background = (0.0,)

    def __init__(self, row, *, size=(12, 10), value=1):
        self._label = np.zeros(size, np.uint8)
        self._label[row : row + 4, 3:7] = value

    def image(self):
        return self._label[None].astype(np.float32) + 0.01 * np.arange(self._label.size, dtype=np.float32).reshape(
            1, *self._label.shape
        )

    def label(self):
        return self._label


class Shift(torch.nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def displacement(self, moving, fixed):
        field = torch.zeros(1, 2, *moving.shape[2:])
        field[:, 0] = self.by
        return field


def validated(cases, network, *, classes=2, patch=(12, 10)):
    plan = Plan(
        name="squares",
        dimensions=2,
        image_dimensions=2,
        channels=("c",),
        classes=tuple(LabelClass(name=f"class {k}", values=(k,), output=k) for k in range(classes)),
        patch_size=patch,
    )
    spec = ModelSpec(plan=plan, network=NetworkSpec(name="mrregnet"), method="registration")
    return validate_pairs(RegistrationPredictor(network=network, spec=spec, device=torch.device("cpu")), cases)


def test_dice_by_hand():
    # squares four rows high, two rows apart: 2 * 2 / 8 as they lie, and in both directions
    found = validated([Case(3), Case(5)], Shift(0.0))
    assert found.dice == {"class 1": pytest.approx(0.5)}
    assert found.decisive == ("mean_dice", pytest.approx(0.5))
    # shifted by two the wrong way in one direction (no overlap) and the right way in the other
    assert validated([Case(3), Case(5)], Shift(-2.0)).dice == {"class 1": pytest.approx(0.5)}
    assert validated([Case(5), Case(3), Case(1), Case(7)], Shift(2.0)).dice == {
        "class 1": pytest.approx((1 + 1 + 0 + 1) / 4)
    }


def test_scans_of_different_sizes_meet_at_their_centres():
    # 12 rows on a grid of 16 start two rows later than 16 rows do
    found = validated([Case(3), Case(5, size=(16, 10))], Shift(0.0))
    assert found.dice == {"class 1": pytest.approx(1.0)}


def test_what_lands_in_the_padding_of_the_fixed_scan_is_nowhere():
    """Rows 10 and 11 of a square in rows 8 to 11 lie beside a fixed scan of 8 rows: 2 of its 4 rows are to be found."""
    fixed = Case(6, size=(8, 10))  # rows 6 and 7 of 8, which are rows 8 and 9 of the grid of 12
    # one way both see the same two rows, 2 * 2 / 4; the other way the fixed scan has four, 2 * 2 / 6
    found = validated([Case(8), fixed], Shift(0.0))
    assert found.dice == {"class 1": pytest.approx((1 + 2 / 3) / 2)}


def test_quality_of_the_field_goes_into_the_log():
    found = validated([Case(3), Case(3)], Shift(0.0))
    assert found.more == {
        "similarity": pytest.approx(1, abs=1e-4), "folds": 0.0, "sd_log_jacobian": pytest.approx(0, abs=1e-6),
    }  # fmt: skip


class Fold(torch.nn.Module):
    def displacement(self, moving, fixed):
        field = torch.zeros(1, 2, *moving.shape[2:])
        field[:, 1] = -2.0 * torch.arange(moving.shape[3])  # determinant 1 - 2 everywhere
        return field


def test_folds_are_counted():
    assert validated([Case(3), Case(3)], Fold()).more["folds"] == 1.0


def test_without_any_class_the_similarity_decides():
    name, value = validated([Case(3), Case(5)], Shift(0.0), classes=1).decisive
    assert name == "similarity"
    assert -1 < value < 1


def test_cases_without_foreground_have_no_dice():
    found = validated([Case(3, value=0), Case(5, value=0)], Shift(0.0))
    assert found.dice == {}
    assert found.decisive[0] == "similarity"
