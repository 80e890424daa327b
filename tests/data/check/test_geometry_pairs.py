from dataclasses import replace

import numpy as np
import pytest

from fewscan.data.check.geometry_pairs import check_pair
from fewscan.data.check.problem import Source
from fewscan.data.geometry import Geometry
from fewscan.data.grid_advice import flipped_axes

SOURCE = Source(case_id="one", file="label.nii.gz")
GRID = Geometry.identity((11, 12, 13), (1.0, 1.0, 2.0))


def turned(degrees: float) -> tuple[float, ...]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0)


def test_equal_grids(codes):
    assert codes(check_pair(GRID, GRID, SOURCE)) == []


def test_fault_14_shape_mismatch(codes):
    problems = check_pair(GRID, replace(GRID, size=(11, 12, 14)), SOURCE)
    assert codes(problems) == ["error label-shape"]
    assert "11 x 12 x 14 voxels on an image of 11 x 12 x 13" in problems[0].message


def test_fault_15_spacing_mismatch(codes):
    problems = check_pair(GRID, replace(GRID, spacing_mm=(1.1, 1.0, 2.0)), SOURCE)
    assert codes(problems) == ["error label-geometry"]
    # the far corner moves by 10 steps of 0.1 mm, one voxel of 1 mm
    assert "corners are 1 voxels apart" in problems[0].message
    assert "spacing (1.1 1 2, image 1 1 2 mm)" in problems[0].message


@pytest.mark.parametrize(
    ("shift_mm", "expected"),
    [(0.01, ["error label-geometry"]), (0.0005, ["warning label-geometry"]), (0.00005, [])],
)
def test_fault_15_origin_mismatch_above_and_under_a_thousandth_of_a_voxel(codes, shift_mm, expected):
    problems = check_pair(GRID, replace(GRID, origin_mm=(shift_mm, 0.0, 0.0)), SOURCE)
    assert codes(problems) == expected


def test_fault_15_voxels_count_along_their_own_axis(codes):
    # 0.0018 mm are 0.0009 voxels of 2 mm: preparation accepts them, so they are no error
    problems = check_pair(GRID, replace(GRID, origin_mm=(0.0, 0.0, 0.0018)), SOURCE)
    assert codes(problems) == ["warning label-geometry"]


def test_fault_15_direction_mismatch(codes):
    problems = check_pair(GRID, replace(GRID, direction=turned(5)), SOURCE, what="channel")
    assert codes(problems) == ["error channel-geometry"]
    assert "direction" in problems[0].message


def test_fault_16_flipped_axis_over_the_same_region(codes):
    # voxel i of the flipped grid lies where voxel 10 - i of the other one lies
    flipped = replace(GRID, origin_mm=(10.0, 0.0, 0.0), direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    problems = check_pair(GRID, flipped, SOURCE)
    assert flipped_axes(GRID, flipped) == (0,)
    assert codes(problems) == ["error label-flipped"]
    assert "along x" in problems[0].message
    assert "same region" in problems[0].message
    assert "SimpleITK.Resample" in problems[0].mend


def test_fault_16_flipped_axes_over_different_regions(codes):
    flipped = replace(GRID, direction=(-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    problems = check_pair(GRID, flipped, SOURCE)
    assert codes(problems) == ["error label-flipped"]
    assert "along x, y" in problems[0].message
    assert "different regions" in problems[0].message


def test_fault_20_oblique_grids_that_agree_are_no_problem(codes):
    oblique = replace(GRID, direction=turned(33))
    assert codes(check_pair(oblique, oblique, SOURCE)) == []


def test_two_dimensions(codes):
    flat = Geometry.identity((8, 9))
    assert codes(check_pair(flat, flat, SOURCE)) == []
    assert codes(check_pair(flat, replace(flat, origin_mm=(0.0, 3.0)), SOURCE)) == ["error label-geometry"]
    assert codes(check_pair(flat, Geometry.identity((8, 9, 1)), SOURCE)) == ["error label-shape"]
