from pathlib import Path

import pytest

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.check.case_check import CaseFindings
from fewscan.data.check.dataset_level import check_findings, check_listing
from fewscan.data.geometry import Geometry
from fewscan.data.orientation import turn_to


def case(name, part=None, group=None, label=None):
    return Case(id=name, images=(Path(f"/d/{name}.nii.gz"),), label=label, group=group, part=part)


def dataset(*cases, labels=None):
    return Dataset(name="d", root=Path("/d"), cases=cases, labels=labels or {})


def labelled(name, voxels, part=None):
    return CaseFindings(case=case(name, part, label=Path(f"/d/{name}_seg.nii.gz")), label_voxels=voxels)


def classes(*findings, labels):
    found = check_findings(dataset(*[item.case for item in findings], labels=labels), findings)
    return found


BLOB = {"background": 0, "liver": 1, "tumour": 2}


def test_fault_05_class_lacking_in_one_case_is_noted_and_counted(codes):
    found = classes(labelled("a", {0: 9, 1: 3, 2: 1}), labelled("b", {0: 9, 1: 3}), labels=BLOB)
    assert codes(found) == ["note class-absent-in-some"]
    assert "'tumour' (value 2) is absent from 1 of 2 labelled cases: b" in found[0].message


def test_fault_06_class_absent_from_all_labelled_cases(codes):
    found = classes(labelled("a", {0: 9, 1: 3}), labelled("b", {0: 9, 1: 3}), labels=BLOB)
    assert codes(found) == ["error class-absent"]
    assert "'tumour' (value 2) is in none of 2 label maps" in found[0].message


def test_fault_06_class_present_in_test_labels_only(codes):
    found = classes(labelled("a", {0: 9, 1: 3}), labelled("t", {0: 9, 2: 3}, Part.TEST), labels=BLOB)
    assert codes(found) == ["error class-absent"]


def test_declared_ignore_value_may_be_absent():
    assert classes(labelled("a", {0: 9, 1: 3}), labels={"background": 0, "liver": 1, "ignore": 2}) == []


def test_fault_07_values_are_not_consecutive(codes):
    found = classes(labelled("a", {0: 9, 2: 3, 7: 1}), labels={})
    assert codes(found) == ["note labels-not-consecutive"]
    assert "0, 2, 7" in found[0].message


def test_fault_11_label_above_255(codes):
    found = classes(labelled("a", {0: 9, 1: 3, 300: 1}), labels={})
    assert codes(found) == ["note labels-not-consecutive", "note labels-above-255"]
    assert "uint16" in found[1].message


def test_no_labels_at_all(codes):
    cases = dataset(case("a"), case("b"))
    assert codes(check_findings(cases, [CaseFindings(case=item) for item in cases])) == ["warning no-labels"]


def test_labels_that_cannot_be_read_are_not_reported_again():
    assert classes(labelled("a", None), labels=BLOB) == []


def test_mixed_dimensions(codes):
    findings = [
        CaseFindings(case=case("a"), geometry=Geometry.identity((8, 8)), label_voxels={0: 1}),
        CaseFindings(case=case("b"), geometry=Geometry.identity((8, 8, 8)), label_voxels={0: 1}),
    ]
    found = check_findings(dataset(*[item.case for item in findings]), findings)
    assert codes(found) == ["error mixed-dimensions"]
    assert "2-D: a; 3-D: b" in found[0].message


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (None, Part.TEST, "error content-leak"),
        (Part.LABELLED, Part.VALIDATION, "error content-leak"),
        (Part.VALIDATION, Part.TEST, "error content-leak"),
        (None, None, "warning same-content"),
        (Part.LABELLED, Part.UNLABELLED, "warning same-content"),
        (Part.TEST, Part.TEST, "warning same-content"),
    ],
)
def test_fault_33_same_content_under_two_ids(codes, first, second, expected):
    findings = [
        CaseFindings(case=case("a", first), digests=("abc",), label_voxels={0: 1}),
        CaseFindings(case=case("b", second), digests=("abc",)),
        CaseFindings(case=case("c"), digests=("def",)),
        CaseFindings(case=case("d"), digests=("",)),
        CaseFindings(case=case("e"), digests=("",), label_voxels={0: 1}),
    ]
    found = check_findings(dataset(*[item.case for item in findings]), findings)
    assert codes(found) == [expected]
    assert "a" in found[0].message
    assert "b" in found[0].message


def test_same_channels_of_one_case(codes):
    item = Case(id="a", images=(Path("/d/a0.nii"), Path("/d/a1.nii")))
    found = check_findings(dataset(item), [CaseFindings(case=item, digests=("x", "x"), label_voxels={0: 1})])
    assert codes(found) == ["warning same-channels"]
    assert "a0.nii, a1.nii" in found[0].message


def test_fault_33_same_patient_in_two_parts(codes):
    leak = dataset(case("a", None, "p1"), case("b", Part.TEST, "p1"), case("c", None, "p2"))
    found = check_listing(leak)
    assert codes(found) == ["error patient-leak"]
    assert "patient 'p1' is in more than one part: a (training), b (test)" in found[0].message


def test_fault_33_same_patient_labelled_and_unlabelled_is_no_leak():
    both = dataset(case("a", Part.LABELLED, "p1"), case("b", Part.UNLABELLED, "p1"))
    assert check_listing(both) == []


def test_one_label_file_for_two_cases(codes):
    found = check_listing(dataset(case("a", label=Path("/d/l.nii")), case("b", label=Path("/d/l.nii"))))
    assert codes(found) == ["error label-listed-twice"]


def test_image_listed_as_label(codes):
    found = check_listing(dataset(case("a", label=Path("/d/b.nii.gz")), case("b")))
    assert codes(found) == ["error label-is-image"]


def test_mixed_orientations(codes):
    grid = Geometry.identity((8, 9, 10))
    found = [CaseFindings(case=case(name), geometry=grid, label_voxels={0: 1, 1: 1}) for name in "ab"]
    assert check_findings(dataset(*[item.case for item in found]), found) == []
    turned = turn_to(grid, "PIR").geometry(grid)
    found.insert(0, CaseFindings(case=case("c"), geometry=turned, label_voxels={0: 1, 1: 1}))
    problems = check_findings(dataset(*[item.case for item in found]), found)
    assert codes(problems) == ["warning mixed-orientations"]
    assert "(LPS: a, b; PIR: c); preparation brings all scans to the commonest" in problems[0].message


def test_flat_images_have_no_orientation_to_mix():
    flat = Geometry((8, 9), (1.0, 1.0), (0.0, 0.0), (0.0, 1.0, 1.0, 0.0))
    found = [
        CaseFindings(case=case(name), geometry=grid, label_voxels={0: 1, 1: 1})
        for name, grid in (("a", flat), ("b", Geometry.identity((8, 9))))
    ]
    assert check_findings(dataset(*[item.case for item in found]), found) == []
