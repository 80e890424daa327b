"""Intensities of another scale."""

from pathlib import Path

import pytest

from fewscan.data.case import Case
from fewscan.data.check.case_check import CaseFindings
from fewscan.data.check.image_content import Intensities
from fewscan.data.check.intensity_scale import check_intensity_scale


def findings(*scales: tuple[float | None, ...]) -> list[CaseFindings]:
    """Return findings of cases a, b, c, ... whose channels have these standard deviations."""
    found = []
    for name, channels in zip("abcdefgh", scales, strict=False):
        items = [None if std is None else Intensities(minimum=0.0, mean=1.0, std=std, maximum=9.0) for std in channels]
        case = Case(id=name, images=tuple(Path(f"{name}_{number}.nii.gz") for number in range(len(channels))))
        found.append(CaseFindings(case=case, intensities=tuple(items)))
    return found


def test_cases_of_another_scale_are_named_the_farthest_first() -> None:
    """The median of 1, 2, 3, 90 and 5000 is 3; 90 is 30 times and 5000 some 1700 times as much."""
    (problem,) = check_intensity_scale(["T1"], findings((2.0,), (90.0,), (1.0,), (5000.0,), (3.0,)))
    assert (problem.severity.value, problem.code, problem.case_id) == ("note", "intensity-scale", "")
    assert problem.message == (
        "channel T1: the intensities of 2 of 5 cases are of another scale than the others' (standard deviation 3 in "
        "the median case): d (5000), b (90)"
    )


@pytest.mark.parametrize("last", [60.0, 0.15])
def test_twenty_times_is_not_yet_another_scale(last: float) -> None:
    assert not check_intensity_scale(["T1"], findings((3.0,), (3.0,), (3.0,), (3.0,), (last,)))


def test_smaller_scales_count_as_well() -> None:
    (problem,) = check_intensity_scale(["T1"], findings((3.0,), (3.0,), (3.0,), (3.0,), (0.1,)))
    assert problem.message.endswith("e (0.1)")


def test_channels_are_judged_by_themselves() -> None:
    found = check_intensity_scale(["T1", "T2"], findings(*[(1.0, 100.0)] * 4, (1.0, 1.0)))
    assert [problem.message.split(":")[0] for problem in found] == ["channel T2"]


def test_unreadable_constant_and_few_scans_say_nothing() -> None:
    assert not check_intensity_scale(["T1"], findings((1.0,), (None,), (1.0,), (0.0,), (1.0,), (500.0,)))
