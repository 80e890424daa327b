"""Scans of one data set in different orientations: trained on, predicted and registered as if they all had one."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_geometry, read_image, write_image
from fewscan.data.orientation import orientation_of
from fewscan.data.prepared import PreparedStore
from fewscan.inference.predict import predict
from fewscan.training.data import TrainingData
from fewscan.training.run import train

# axial slices of 5 mm
GRID = Geometry((20, 18, 8), (1.0, 1.0, 5.0), (-64.0, 12.5, 7.0), Geometry.identity((20, 18, 8)).direction)
TURNED = {"scan1": "PIR", "scan3": "LAS", "scan4": "SRA", "scan5": "PIR"}


def turn_file(path, code, target=None):
    """Write a scan as SimpleITK turns it."""
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), code), str(target or path))


def in_lps(path):
    """Return the voxels of a file, read and turned by SimpleITK."""
    image = sitk.ReadImage(str(path))
    turned = sitk.DICOMOrient(image, "LPS") if image.GetNumberOfComponentsPerPixel() == 1 else turned_field(image)
    return sitk.GetArrayFromImage(turned)


def turned_field(field):
    """Turn a field component by component: they are along the axes of the world, whatever those of the array."""
    parts = [sitk.VectorIndexSelectionCast(field, k) for k in range(3)]
    return sitk.Compose([sitk.DICOMOrient(part, "LPS") for part in parts])


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    """Eight scans of a ball that is brighter on the left and below; the same with four of the first six turned."""
    plain = tmp_path_factory.mktemp("plain") / "set"
    for number in range(8):
        rng = np.random.default_rng(number)
        index = np.indices(GRID.size, np.float32)
        middle = np.array(GRID.size) / 2 + rng.uniform(-2, 2, 3) * (1, 1, 0.3)
        apart_mm = (index - middle.reshape(3, 1, 1, 1)) * np.reshape(GRID.spacing_mm, (3, 1, 1, 1))
        label = (np.square(apart_mm).sum(axis=0) < 8**2).astype(np.uint8)
        image = 100 + 100 * label * (1 + index[0] / 20) + 5 * index[2] + rng.normal(0, 10, GRID.size)
        write_image(plain / "images" / f"scan{number}.mha", image.astype(np.float32), GRID)
        if number != 5:
            write_image(plain / "labels" / f"scan{number}.mha", label, GRID)
    mixed = tmp_path_factory.mktemp("mixed") / "set"
    shutil.copytree(plain, mixed)
    for name, code in TURNED.items():
        for path in mixed.glob(f"*/{name}.mha"):
            turn_file(path, code)
            assert orientation_of(read_geometry(path)) == code
    return plain, mixed


@pytest.fixture(scope="module")
def trained(cohorts, tmp_path_factory, fast):
    """Runs by cohort and dimensions, each trained once."""
    runs = {}

    def run_of(which, dimensions):
        if (which, dimensions) not in runs:
            settings = fast | {"patch_size": [16, 16, 8][:dimensions], "iterations": 4}
            runs[which, dimensions] = train(
                cohorts[which], tmp_path_factory.mktemp("runs") / "run", method="supervised", labelled=3,
                planning={"dimensions": dimensions}, settings=settings, device="cpu", quiet=True,
            )  # fmt: skip
        return runs[which, dimensions]

    return run_of


@pytest.mark.parametrize("dimensions", [3, 2])
def test_a_mixed_cohort_is_trained_on_like_one_orientation(dimensions, trained, assert_same_weights):
    plain, mixed = (trained(which, dimensions) for which in (0, 1))
    assert mixed.plan == plain.plan
    assert mixed.plan.orientation == "LPS"
    assert mixed.plan.preparation.spacing_mm is None  # all scans have the same, which header order would not show
    assert mixed.plan.median_spacing_mm == (1.0, 1.0, 5.0)
    assert mixed.plan.slice_axis == (2 if dimensions == 2 else None)
    assert_same_weights(plain, mixed)


@pytest.mark.parametrize("dimensions", [3, 2])
@pytest.mark.parametrize("code", ["PIR", "LAS", "SAL"])
def test_a_turned_copy_gets_the_same_labels_on_its_own_grid(code, dimensions, cohorts, trained, tmp_path):
    scan = cohorts[0] / "images" / "scan6.mha"
    (tmp_path / "scans").mkdir()
    shutil.copy(scan, tmp_path / "scans" / "own.mha")
    turn_file(scan, code, tmp_path / "scans" / "turned.mha")
    predict(
        trained(1, dimensions).folder, tmp_path / "scans", tmp_path / "out", device="cpu", confidence=True, views=2,
        largest_component=True,
    )  # fmt: skip
    for suffix in ("", "_confidence"):
        own, turned = (tmp_path / "out" / f"{name}{suffix}.mha" for name in ("own", "turned"))
        assert read_geometry(turned) == read_geometry(tmp_path / "scans" / "turned.mha")
        assert read_geometry(own) == GRID
        assert len(np.unique(in_lps(own))) > 1
        np.testing.assert_array_equal(in_lps(turned), in_lps(own))


def test_scans_as_given_are_looked_at_in_one_orientation(cohorts):
    ids = ["scan0", "scan1", "scan3", "scan4"]
    found = [list(TrainingData(place, quiet=True).first_channels(ids)) for place in cohorts]
    for plain, mixed in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, mixed)


def test_a_store_follows_the_orientation_of_its_plan(cohorts, tmp_path):
    from fewscan.data.layouts import load_dataset
    from fewscan.data.store import forecast_bytes, prepare_store

    dataset = load_dataset(cohorts[1])
    data = TrainingData(cohorts[1], quiet=True)
    split = data.split(labelled=3, validation=None, test=None, seed=0)
    plan = data.plan(split, None, None)
    store = prepare_store(dataset, plan, tmp_path / "store")
    keys = {path.name for path in (tmp_path / "store" / "cases").rglob("*")}
    assert {store.case(case_id).image().shape for case_id in store.ids} == {(1, 20, 18, 8)}
    assert len({forecast_bytes(case, plan, label=False) for case in dataset}) == 1
    other = plan.model_copy(update={"orientation": "PIR"})
    store = prepare_store(dataset, other, tmp_path / "store")
    assert {store.case(case_id).image().shape for case_id in store.ids} == {(1, 18, 8, 20)}
    arrays = {path.name for path in (tmp_path / "store" / "cases").rglob("*.npy")}
    assert arrays.isdisjoint(keys)
    case = PreparedStore(tmp_path / "store").case("scan1")
    np.testing.assert_array_equal(
        case.label(),
        read_image(cohorts[1] / "labels" / "scan1.mha").array,  # PIR in its file, and all non-zero
    )
