"""One fault, one advice: the check, preparation and registration say the same."""

from dataclasses import replace

import numpy as np
import pytest

from fewscan.data.case import Case
from fewscan.data.check import check_path
from fewscan.data.check.geometry_pairs import check_pair
from fewscan.data.check.problem import Source
from fewscan.data.geometry import Geometry
from fewscan.data.grid_advice import flipped_names, grid_advice
from fewscan.data.grids import require_same_grid
from fewscan.data.image_io import write_image
from fewscan.data.layouts import load_dataset
from fewscan.data.orientation import turn_to
from fewscan.data.plan import Plan
from fewscan.data.prepare import prepare_image, prepare_label
from fewscan.errors import DataError
from fewscan.registration.one_pair import load_scan

GRID = Geometry.identity((11, 12, 13), (1.0, 1.0, 2.0))
PLAN = Plan.parse(
    {
        "name": "set",
        "dimensions": 3,
        "image_dimensions": 3,
        "channels": ["MRI"],
        "classes": [{"name": f"c{k}", "values": (k,), "output": k} for k in (0, 1)],
        "preparation": {"clip_percentiles": None, "normalisation": "none"},
        "patch_size": [16, 16, 16],
    },
    source="test",
)
FLIPPED = replace(GRID, direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def test_the_header_comes_first():
    for other in (FLIPPED, replace(GRID, origin_mm=(5.0, 0.0, 0.0)), replace(GRID, spacing_mm=(1.5, 1.0, 2.0))):
        advice = grid_advice(GRID, other)
        assert advice.startswith(
            "look at both in a viewer; if the voxels match, copy the image's header, else resample"
        )
        assert "nearest neighbour" in advice
        assert check_pair(GRID, other, Source())[0].mend == advice
    assert flipped_names(GRID, FLIPPED) == "x"


def test_voxels_in_another_order_are_resampled():
    # voxel i lies where voxel 10 - i of the other grid lies: to copy the header would mirror the label
    same_box = replace(FLIPPED, origin_mm=(10.0, 0.0, 0.0))
    assert grid_advice(GRID, same_box).startswith("resample it onto the image's grid with nearest neighbour")


def test_other_sizes_and_channels():
    assert grid_advice(GRID, replace(GRID, size=(11, 12, 12))).startswith("pair the right files")
    assert "NearestNeighbor" not in grid_advice(GRID, FLIPPED, what="channel")


def test_check_preparation_and_registration_agree(tmp_path):
    rng = np.random.default_rng(0)
    label = np.zeros(GRID.size, np.uint8)
    label[3:6, 3:6, 3:6] = 1
    write_image(tmp_path / "images" / "a.nii.gz", rng.normal(9, 1, GRID.size).astype(np.float32), GRID)
    write_image(tmp_path / "labels" / "a.nii.gz", label, FLIPPED)
    advice = grid_advice(GRID, FLIPPED)
    (problem,) = [problem for problem in check_path(tmp_path).problems if problem.code == "label-flipped"]
    assert problem.mend == advice
    (case,) = load_dataset(tmp_path)
    assert isinstance(case, Case)
    assert case.label is not None
    with pytest.raises(DataError, match="headers run opposite ways along x") as prepared:
        prepare_label(case.label, PLAN, prepare_image(case.images, PLAN, case_id="a").meta)
    assert prepared.value.mend == advice
    with pytest.raises(DataError, match="headers run opposite ways along x") as registered:
        load_scan(case, PLAN, labels=case.label)
    assert registered.value.mend == advice


def test_axes_in_another_order_are_told():
    # the voxels of a label in another order of axes, whole cases of which come out of some annotation programs
    turned = turn_to(GRID, "PIR").geometry(GRID)
    (problem,) = check_pair(GRID, turned, Source())
    assert problem.code == "label-shape"
    assert problem.message.endswith(
        "on an image of 11 x 12 x 13; by the headers its axes run PIR, those of the image LPS"
    )
    assert problem.mend.startswith("resample it onto the image's grid with nearest neighbour")
    cube = Geometry.identity((9, 9, 9))
    sideways = turn_to(cube, "PLS").geometry(cube)
    (problem,) = check_pair(cube, sideways, Source(), what="channel")
    assert "direction" in problem.message
    assert problem.message.endswith("by the headers its axes run PLS, those of the image LPS")
    assert problem.mend.startswith("resample it onto the image's grid (SimpleITK.Resample(channel, image))")
    with pytest.raises(DataError, match="8 voxels apart; by the headers its axes run PLS, those of the image LPS"):
        require_same_grid(sideways, cube, what="label")
    with pytest.raises(DataError, match=r"has size \(12, 13, 11\).*its axes run PIR"):
        require_same_grid(turned, GRID, what="label")
