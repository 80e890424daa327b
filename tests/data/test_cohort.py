import json

import numpy as np
import pytest

from fewscan.data.case import Part
from fewscan.data.cohort import make_cohort, make_patient
from fewscan.data.cohort_anatomy import CLASS_NAMES, load_anatomy
from fewscan.data.cohort_deformation import identity_grid
from fewscan.data.image_io import read_image
from fewscan.errors import UsageError

SMALL = {2: (40, 48), 3: (24, 28, 24)}


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_patient_has_all_classes_on_one_grid(dimensions):
    patient = make_patient(7, dimensions=dimensions, size=SMALL[dimensions])
    size = patient.geometry.size
    assert len(size) == dimensions
    assert patient.image.shape == patient.label.shape == size
    assert patient.displacement_vox.shape == (dimensions, *size)
    assert (patient.image.dtype, patient.label.dtype, patient.displacement_vox.dtype) == ("float32", "uint8", "float32")
    counts = np.bincount(patient.label.ravel())
    assert len(counts) == len(CLASS_NAMES)
    assert counts.min() >= 20
    assert not patient.image[patient.label == 0].all()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_displacement_says_where_in_the_template_each_voxel_comes_from(dimensions):
    patient = make_patient(11, dimensions=dimensions, size=SMALL[dimensions])
    grid = patient.geometry
    spacing = grid.spacing_mm[0]
    # patient(x) = template(x + u(x)): look the label up in the template at x + u(x), in mm
    position = identity_grid(grid.size) + patient.displacement_vox
    points_mm = np.reshape(grid.origin_mm, (-1,) + (1,) * dimensions) + spacing * position
    tissues, _ = load_anatomy(dimensions, spacing_mm=spacing).sample(points_mm)
    shares = np.concatenate([1 - tissues[1:].sum(axis=0, keepdims=True), tissues[1:]])
    agreement = (shares.argmax(axis=0) == patient.label).mean()
    assert agreement > 0.999  # float32 rounding may turn a draw
    # and the undeformed template has other labels
    tissues, _ = load_anatomy(dimensions, spacing_mm=spacing).sample(points_mm - spacing * patient.displacement_vox)
    shares = np.concatenate([1 - tissues[1:].sum(axis=0, keepdims=True), tissues[1:]])
    assert (shares.argmax(axis=0) == patient.label).mean() < 0.95


def test_equal_seeds_make_equal_patients_and_others_differ():
    first, again, other = (make_patient(seed, size=SMALL[2]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.label, again.label)
    assert (first.label != other.label).mean() > 0.05


def test_one_number_is_the_size_of_all_axes():
    assert make_patient(0, dimensions=2, size=20).image.shape == (20, 20)


@pytest.mark.parametrize(
    ("dimensions", "size", "message"),
    [
        (4, None, "2 or 3 dimensions, not 4"),
        (2, (32, 32, 32), "does not suit 2 dimensions"),
        (3, 15, "each at least 16"),
    ],
)
def test_impossible_sizes_are_refused(dimensions, size, message):
    with pytest.raises(UsageError, match=message):
        make_patient(0, dimensions=dimensions, size=size)


def test_a_cohort_is_an_nnunet_data_set_with_few_labels(tmp_path):
    seen = []
    dataset = make_cohort(
        tmp_path / "c", cases=3, labelled=1, test=2, size=SMALL[2], progress=lambda case, n: seen.append((case, n))
    )
    assert dataset.layout == "nnunet"
    assert dataset.channel_names == ("virtual T1",)
    assert dict(dataset.labels) == {name: k for k, name in enumerate(CLASS_NAMES)}
    assert [case.id for case in dataset] == ["patient_001", "patient_002", "patient_003", "test_001", "test_002"]
    assert [case.label is not None for case in dataset] == [True, False, False, True, True]
    assert [case.part is Part.TEST for case in dataset] == [False, False, False, True, True]
    assert seen == [(case.id, 5) for case in dataset]
    assert not (tmp_path / "c" / "deformations").exists()
    assert json.loads((tmp_path / "c" / "dataset.json").read_text(encoding="utf-8"))["numTraining"] == 3


@pytest.mark.parametrize("dimensions", [2, 3])
def test_files_hold_the_patient(tmp_path, dimensions):
    dataset = make_cohort(
        tmp_path, cases=1, labelled=1, dimensions=dimensions, size=SMALL[dimensions], seed=4, with_deformations=True
    )
    case = dataset["patient_001"]
    image, label = read_image(case.images[0]), read_image(case.label)
    displacement = np.load(tmp_path / "deformations" / "patient_001.npy", allow_pickle=False)
    assert image.array.shape == label.array.shape == displacement.shape[1:] == SMALL[dimensions]
    assert image.geometry.size == SMALL[dimensions]
    assert image.geometry.origin_mm == pytest.approx(label.geometry.origin_mm)
    assert (image.array.dtype, label.array.dtype, displacement.dtype) == ("int16", "uint8", "float32")
    assert set(np.unique(label.array)) <= set(range(len(CLASS_NAMES)))
    # the front of the head comes first along the second axis: the deep structures lie before the middle of the brain
    brain, deep = (np.argwhere(mask).mean(axis=0)[1] for mask in (label.array > 0, label.array == 3))
    assert deep < brain


def test_patient_k_is_the_same_in_every_cohort(tmp_path):
    small = make_cohort(tmp_path / "a", cases=2, labelled=1, test=1, size=SMALL[2], seed=3)
    large = make_cohort(tmp_path / "b", cases=4, labelled=4, test=2, size=SMALL[2], seed=3)
    for case_id in ("patient_002", "test_001"):
        first, second = (read_image(d[case_id].images[0]).array for d in (small, large))
        np.testing.assert_array_equal(first, second)
    other = make_cohort(tmp_path / "c", cases=2, labelled=1, size=SMALL[2], seed=4)
    first, second = (read_image(d["patient_002"].images[0]).array for d in (small, other))
    assert (first != second).any()


@pytest.mark.parametrize(("cases", "labelled", "test"), [(0, 0, 1), (3, 4, 0), (3, -1, 0), (3, 1, -1)])
def test_impossible_numbers_are_refused(tmp_path, cases, labelled, test):
    with pytest.raises(UsageError, match="impossible"):
        make_cohort(tmp_path / "c", cases=cases, labelled=labelled, test=test)
    assert not (tmp_path / "c").exists()


def test_nothing_is_written_among_other_files(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UsageError, match="exists and is not an empty folder"):
            make_cohort(out, cases=1, labelled=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
