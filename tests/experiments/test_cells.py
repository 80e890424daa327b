import json

import pytest

from fewscan.augment.settings import augmentation
from fewscan.data.layouts import load_dataset
from fewscan.errors import DataError, UsageError
from fewscan.experiments.cells import choose_test, find_cell, list_cells


@pytest.fixture
def cells_of(make_study, data):
    return lambda **changes: list_cells(make_study(data, **changes), load_dataset(data))


def _rows(cells):
    return [(cell.row.method, cell.row.labelled.name, cell.seed) for cell in cells]


def test_every_combination_once_and_seed_by_seed(cells):
    assert _rows(cells) == [
        (method, labelled, seed)
        for seed in (0, 1)
        for method, labelled in [
            ("supervised", "n1"), ("other", "n1"), ("supervised", "n3"), ("other", "n3"), ("supervised", "all"),
        ]
    ]  # fmt: skip
    assert len({cell.name for cell in cells}) == 10


def test_methods_of_one_seed_share_their_scans(cells):
    by_row = {(cell.row.method, cell.row.labelled.name, cell.seed): cell for cell in cells}
    few, other = by_row["supervised", "n1", 0], by_row["other", "n1", 0]
    assert few.split == other.split
    assert few.settings.hyper["dice_weight"] == 1.0
    assert other.settings.hyper["dice_weight"] == 0.5
    # the smaller subset lies within the larger, and all other training scans are unlabelled
    assert set(few.split.labelled) < set(by_row["supervised", "n3", 0].split.labelled)
    assert len(few.split.unlabelled) == 5
    assert few.split.test == tuple(f"test{k}" for k in range(6))


def test_all_labels_are_trained_once_per_seed_however_they_are_written(cells_of):
    # 6 scans: the count 6, the fraction 1.0, "all" and the list of all ids are the same training
    every = [f"scan{k}" for k in range(6)]
    cells = cells_of(methods=["supervised"], labelled=[6, 1.0, "all", every])
    assert _rows(cells) == [("supervised", "all", 0), ("supervised", "all", 1)]
    assert cells[0].row.labelled.title == "all (6)"


def test_a_fraction_is_a_count(cells_of):
    # half of 6 scans; 3 is then the same amount
    cells = cells_of(methods=["supervised"], labelled=[0.5, 3], seeds=[0], upper_bound=False)
    assert _rows(cells) == [("supervised", "n3", 0)]


def test_a_method_may_be_run_with_some_amounts_alone(cells_of):
    methods = ["supervised", {"method": "mean_teacher", "labelled": [3]}]
    cells = cells_of(methods=methods, labelled=[1, 3], seeds=[0], upper_bound=False)
    assert _rows(cells) == [("supervised", "n1", 0), ("supervised", "n3", 0), ("mean_teacher", "n3", 0)]
    everywhere = cells_of(methods=["supervised", "mean_teacher"], labelled=[1, 3], seeds=[0], upper_bound=False)
    assert cells[-1].name == everywhere[-1].name


def test_named_scans(cells_of):
    cells = cells_of(methods=["supervised"], labelled=[["scan4", "scan2"]], seeds=[5, 6], upper_bound=False)
    assert [cell.split.labelled for cell in cells] == [("scan4", "scan2")] * 2
    assert cells[0].row.labelled.name.startswith("chosen2-")
    assert cells[0].row == cells[1].row


def test_presets_make_rows_and_an_entry_can_have_its_own(cells_of):
    methods = ["supervised", {"method": "supervised", "name": "only", "preset": "paper"}]
    cells = cells_of(methods=methods, presets=["recommended", "paper"], labelled=[1], seeds=[0], upper_bound=False)
    assert [(cell.row.method, cell.row.preset) for cell in cells] == [
        ("supervised", "recommended"), ("supervised", "paper"), ("only", "paper"),
    ]  # fmt: skip
    assert cells[1].settings.optimiser.name == "sgd"


def test_an_entry_changes_one_value_of_the_common_augmentation(cells_of):
    entry = {"method": "supervised", "settings": {"augmentation.flip_axes": [0]}}
    cells = cells_of(methods=[entry], settings={"augmentation": "none"}, seeds=[0], labelled=[1], upper_bound=False)
    assert cells[0].settings.augmentation == augmentation("none").model_copy(update={"flip_axes": (0,)})


def test_common_settings_are_stronger_than_presets_and_weaker_than_an_entry(cells_of):
    cells = cells_of(
        methods=["supervised", {"method": "supervised", "name": "long", "settings": {"iterations": 7}}],
        presets=["paper"],
        settings={"iterations": 5, "optimiser.name": "adamw"},
        seeds=[0],
        labelled=[1],
        upper_bound=False,
    )
    assert [cell.settings.iterations for cell in cells] == [5, 7]
    assert {cell.settings.optimiser.name for cell in cells} == {"adamw"}


@pytest.mark.parametrize(
    "changes",
    [{"settings": {"iterations": 7}}, {"validation": 1}, {"planning": {"dimensions": 2}}, {"test": ["scan0"]}],
)
def test_a_changed_study_has_other_cells(cells_of, changes):
    assert not {cell.name for cell in cells_of()} & {cell.name for cell in cells_of(**changes)}


@pytest.mark.parametrize(("checkpoint", "same"), [("last", True), ("best", False)])
def test_the_steps_between_validations_decide_which_checkpoint_is_best(checkpoint, same, cells_of):
    often, rarely = (
        {cell.name for cell in cells_of(checkpoint=checkpoint, validation=1, settings={"validate_every": every})}
        for every in (10, 500)
    )
    assert (often == rarely) is same


def test_a_wider_study_keeps_its_cells(cells_of):
    before = {cell.name for cell in cells_of()}
    after = {cell.name for cell in cells_of(labelled=[1, 2, 3], seeds=[0, 1, 2], settings={"log_every": 3})}
    assert before < after


def test_test_cases_are_the_same_for_every_seed(cells_of, data):
    for case in range(6):
        (data / f"imagesTs/test{case}_0000.nii.gz").unlink()
        (data / f"labelsTs/test{case}.nii.gz").unlink()
    cells = cells_of(test=2, seeds=[0, 1, 2, 3], labelled=[1])
    assert len({cell.split.test for cell in cells}) == 1
    assert all(not set(cell.split.test) & {*cell.split.labelled, *cell.split.unlabelled} for cell in cells)


def test_test_case_without_label_is_neither_scored_nor_trained_on(cells_of, data):
    (data / "labelsTs/test0.nii.gz").unlink()
    split = cells_of()[0].split
    assert "test0" not in {*split.test, *split.labelled, *split.unlabelled}
    assert len(split.test) == 5


def test_a_study_needs_test_cases_with_labels(make_study, data):
    for case in range(6):
        (data / f"labelsTs/test{case}.nii.gz").unlink()
    with pytest.raises(DataError, match="no test case has a label"):
        choose_test(make_study(data), load_dataset(data))
    for case in range(6):
        (data / f"imagesTs/test{case}_0000.nii.gz").unlink()
    with pytest.raises(UsageError, match="no test part"):
        choose_test(make_study(data), load_dataset(data))


def test_unknown_names_are_told(cells_of, cells):
    with pytest.raises(UsageError, match="did you mean 'supervised'"):
        cells_of(methods=["supervised", "supervized"])
    with pytest.raises(UsageError, match="unknown key 'iteration': did you mean 'iterations'"):
        cells_of(settings={"iteration": 5})
    assert find_cell(cells, cells[3].name) is cells[3]
    with pytest.raises(UsageError, match=f"did you mean {cells[3].name!r}"):
        find_cell(cells, cells[3].name + "x")


def test_a_plan_file_is_part_of_the_cell(cells_of, tmp_path):
    plan = {
        "name": "x",
        "dimensions": 3,
        "image_dimensions": 3,
        "channels": ["MRI"],
        "classes": [{"name": "b", "values": [0], "output": 0}, {"name": "f", "values": [1], "output": 1}],
        "patch_size": [16, 16, 16],
    }
    path = tmp_path / "plan.yaml"
    path.write_text(json.dumps(plan))
    before = cells_of(plan=str(path))[0].name
    path.write_text(json.dumps(plan | {"patch_size": [32, 16, 16]}))
    assert cells_of(plan=str(path))[0].name != before


def test_a_study_has_no_place_for_registration(cells_of):
    with pytest.raises(UsageError, match="method registration is for registration, and a study compares segmentations"):
        cells_of(methods=["supervised", "registration"], settings={})


JOINT = [
    {"method": "joint", "name": "combined", "predictor": "combined"},
    "supervised",
    "joint",
    {"method": "joint", "name": "short", "predictor": "combined", "settings": {"iterations": 20}},
]


def test_cells_of_another_predictor_share_the_training(cells_of):
    cells = {(cell.row.method, cell.seed): cell for cell in cells_of(methods=JOINT, labelled=[2], upper_bound=False)}
    assert len({cell.name for cell in cells.values()}) == 8
    for seed in (0, 1):
        joint, combined, short = (cells[name, seed] for name in ("joint", "combined", "short"))
        assert joint.trained_in == ""
        assert combined.trained_in == joint.name
        assert short.trained_in == ""  # nobody else trains with its settings
        assert (joint.predictor, combined.predictor, short.predictor) == ("", "combined", "combined")
    order = [name for name, seed in cells if seed == 0]
    assert order.index("joint") < order.index("combined")


def test_the_own_predictor_by_name_is_the_own_predictor(cells_of):
    named = [{"method": "joint", "predictor": "joint"}, "supervised"]
    plain = ["joint", "supervised"]
    first, second = (cells_of(methods=methods, labelled=[2], upper_bound=False) for methods in (named, plain))
    assert [cell.name for cell in first] == [cell.name for cell in second]


def test_an_unknown_predictor_is_told(cells_of):
    with pytest.raises(UsageError, match="no predictor 'combined'"):
        cells_of(methods=["supervised", {"method": "supervised", "name": "x", "predictor": "combined"}])
