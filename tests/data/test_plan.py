import pytest

from fewscan.data.plan import LabelClass, Plan, Preparation
from fewscan.errors import UsageError

CLASSES = [{"name": "background", "values": [0], "output": 0}, {"name": "organ", "values": [1, 2], "output": 1}]


def plan(**changes):
    data = {
        "name": "set",
        "dimensions": 3,
        "image_dimensions": 3,
        "channels": ["MRI"],
        "classes": CLASSES,
        "patch_size": [16, 16, 16],
    }
    return Plan.parse(data | changes, source="plan.yaml")


def test_yaml_round_trip(tmp_path):
    item = plan(preparation={"spacing_mm": [1.5, 1.5, None], "clip_percentiles": None, "normalisation": "minmax"})
    item.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == item
    assert item.class_count == 2
    assert item.classes[1] == LabelClass(name="organ", values=(1, 2), output=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": [16, 16]}, "patch_size needs 3 entries"),
        ({"image_dimensions": 2}, "3-D networks need 3-D images"),
        ({"dimensions": 2, "patch_size": [16, 16]}, "slice_axis belongs to 2-D networks on 3-D images"),
        ({"slice_axis": 1}, "slice_axis belongs to 2-D networks on 3-D images"),
        ({"preparation": {"spacing_mm": [1.0, 1.0]}}, "spacing_mm needs 3 entries"),
        ({"preparation": {"spacing_mm": [1.0, 1.0, 0.0]}}, "spacing_mm must be positive"),
        ({"preparation": {"spacing_mm": [1.0, float("nan"), 1.0]}}, "spacing_mm must be positive and finite"),
        ({"preparation": {"spacing_mm": [1.0, float("inf"), 1.0]}}, "spacing_mm must be positive and finite"),
        ({"patch_size": [16, 0, 16]}, r"patch_size\.1: .*greater than 0"),
        ({"dimensions": 2, "patch_size": [16, 16], "slice_axis": 3}, "slice_axis: .*0, 1 or 2"),
        ({"dimensions": 2, "patch_size": [16, 16], "slice_axis": -1}, "slice_axis: .*0, 1 or 2"),
        ({"classes": [{"name": str(k), "values": [k], "output": k} for k in range(257)]}, "at most 256 items"),
        ({"preparation": {"clip_percentiles": [50, 20]}}, "0 <= low < high <= 100"),
        ({"preparation": {"clip_percentile": None}}, "did you mean 'clip_percentiles'"),
        ({"classes": []}, "classes"),
        ({"classes": [*CLASSES, {"name": "x", "values": [2], "output": 2}]}, "belongs to two classes"),
        ({"orientation": "LPL"}, "orientation must be three letters, one each of L or R, A or P, S or I"),
        ({"orientation": "lps"}, "such as \"LPS\"; got 'lps'"),
        (
            {"orientation": "LPS", "dimensions": 2, "image_dimensions": 2, "patch_size": [16, 16]},
            "belongs to 3-D images",
        ),
        ({"patch": [16]}, "did you mean 'patch_size'"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        plan(**changes)


def test_slice_wise_plan():
    assert plan(dimensions=2, patch_size=[16, 16], slice_axis=2).slice_axis == 2


def test_default_is_paper_two():
    item = Preparation()
    assert (item.crop, item.clip_percentiles, item.normalisation, item.over) == (
        "nonzero",
        (0.0, 99.9),
        "zscore",
        "nonzero",
    )


def test_orientation(tmp_path):
    item = plan(orientation="PIR")
    item.write(tmp_path / "plan.yaml")
    assert "orientation: PIR" in (tmp_path / "plan.yaml").read_text()
    assert Plan.read(tmp_path / "plan.yaml") == item


def test_a_plan_without_orientation_is_written_as_before_there_was_one(tmp_path):
    item = plan()
    assert item.orientation is None
    assert "orientation" not in item.model_dump()
    item.write(tmp_path / "plan.yaml")
    assert "orientation" not in (tmp_path / "plan.yaml").read_text()
    assert plan(orientation=None) == item
