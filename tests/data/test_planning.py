from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.case import Dataset
from fewscan.data.fingerprint import Fingerprint
from fewscan.data.plan import LabelClass
from fewscan.data.planning import MAX_PATCH_VOXELS, choose_patch, derive_plan
from fewscan.errors import DataError, UsageError

LABELS = {"background": 0, "organ": 1}


def dataset(*, labels=LABELS, channels=("MRI",)):
    return Dataset(name="set", root=Path("set"), cases=(), channel_names=channels, labels=labels)


def fingerprint(*scans, crop_share=None, label_values=()):
    """Scans are pairs of size and spacing."""
    sizes, spacings = zip(*scans, strict=True)
    n = len(sizes[0])
    return Fingerprint(
        case_count=len(scans),
        dimensions=n,
        sizes=sizes,
        spacings_mm=spacings,
        crop_share=crop_share or (1.0,) * n,
        nonzero_share=1.0,
        intensities=((0.0, 1.0, 2.0),),
        label_values=label_values,
    )


SMALL = fingerprint(((35, 50, 35), (1.0, 1.0, 1.0)))
HEART = fingerprint(
    ((216, 256, 9), (1.37, 1.37, 10.0)), ((216, 256, 11), (1.6, 1.6, 5.0)), ((200, 240, 10), (1.5, 1.5, 10.0))
)
FLAT = fingerprint(((300, 200), (0.5, 0.5)))


def test_small_organ():
    plan = derive_plan(dataset(), SMALL)
    assert (plan.dimensions, plan.image_dimensions, plan.slice_axis) == (3, 3, None)
    assert plan.patch_size == (40, 56, 40)
    assert plan.preparation.spacing_mm is None
    assert plan.preparation.clip_percentiles == (0.0, 99.9)
    assert (plan.case_count, plan.median_size, plan.median_spacing_mm) == (1, (35, 50, 35), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("size", "spacing", "patch"),
    [
        ((35, 50, 35), (1, 1, 1), (40, 56, 40)),
        ((64, 65, 63), (1, 1, 1), (64, 80, 64)),
        ((5, 5, 5), (1, 1, 1), (16, 16, 16)),
        ((144, 176, 138), (1, 1, 1), (96, 96, 96)),  # BraTS: a cube, 96 * 96 * 112 would be 1 032 192
        ((216, 256, 10), (1.5, 1.5, 10), (224, 256, 8)),  # thin: 10 slices to the nearest multiple of 8
        ((512, 512, 13), (0.5, 0.5, 5), (240, 256, 16)),  # 13 to 16; the wider sides give way, 983 040 voxels
        ((3, 100, 100), (4, 1, 1), (8, 112, 112)),
        ((512, 300), (1, 1), (256, 256)),
        ((100, 40), (1, 1), (112, 40)),
    ],
)
def test_patch(size, spacing, patch):
    assert choose_patch(size, spacing) == patch


@given(st.lists(st.integers(1, 700), min_size=3, max_size=3), st.lists(st.floats(0.3, 10.0), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_patch_fits_network_memory_and_scan(size, spacing):
    patch = choose_patch(size, spacing)
    assert all(side % 8 == 0 and (side < 64 or side % 16 == 0) and side >= 8 for side in patch)
    assert patch[0] * patch[1] * patch[2] <= MAX_PATCH_VOXELS
    assert all(side <= max(16, n + 15) for side, n in zip(patch, size, strict=True))


def test_spacing_is_kept_within_one_percent():
    close = fingerprint(((64, 64, 64), (1.0, 1.0, 1.0)), ((64, 64, 64), (1.009, 1.0, 0.992)))
    assert derive_plan(dataset(), close).preparation.spacing_mm is None
    apart = fingerprint(((64, 64, 64), (1.0, 1.0, 1.0)), ((64, 64, 64), (1.03, 1.0, 1.0)))
    assert derive_plan(dataset(), apart).preparation.spacing_mm == (1.015, 1.0, 1.0)


def test_heart_in_3d_is_resampled_to_the_median():
    plan = derive_plan(dataset(), HEART)
    assert plan.preparation.spacing_mm == (1.5, 1.5, 10.0)
    # x: 216 * 1.37 / 1.5 = 197.3, 216 * 1.6 / 1.5 = 230.4, 200: median 200; z: 9, 11 * 5 / 10 = 5.5, 10: median 9
    assert plan.median_size == (200, 240, 9)
    assert plan.patch_size[2] == 8


def test_heart_slice_by_slice_keeps_its_slices():
    plan = derive_plan(dataset(), HEART, dimensions=2)
    assert plan.slice_axis == 2
    assert plan.preparation.spacing_mm == (1.5, 1.5, None)
    assert plan.median_size == (200, 240, 10)
    assert plan.patch_size == (208, 240)


def test_slice_axis_of_equal_spacings_is_the_last():
    assert derive_plan(dataset(), SMALL, dimensions=2).slice_axis == 2
    plan = derive_plan(dataset(), SMALL, dimensions=2, slice_axis=1)
    assert (plan.slice_axis, plan.patch_size) == (1, (40, 40))


def test_fault_25_volumes_of_one_slice_are_for_2d_networks():
    thin = fingerprint(((64, 1, 48), (1.0, 1.0, 3.0)))
    with pytest.raises(UsageError, match="single slices, 64 x 1 x 48 voxels") as caught:
        derive_plan(dataset(), thin)
    assert "dimensions 2" in caught.value.mend
    plan = derive_plan(dataset(), thin, dimensions=2)
    assert plan.slice_axis == 1  # not the coarsest, the only one that leaves a picture
    assert len(plan.patch_size) == 2


def test_crop_share_makes_the_patch_smaller():
    assert derive_plan(
        dataset(), fingerprint(((100, 100, 100), (1, 1, 1)), crop_share=(0.5, 0.4, 0.3))
    ).median_size == (50, 40, 30)


def test_wishes():
    plan = derive_plan(
        dataset(), SMALL, spacing_mm=[2.0, 2.0, None], normalisation="minmax", patch_size=[24, 24, 24], join_labels=True
    )
    assert plan.preparation.spacing_mm == (2.0, 2.0, None)
    assert plan.preparation.normalisation == "minmax"
    assert plan.patch_size == (24, 24, 24)
    assert derive_plan(dataset(), HEART, spacing_mm="own").preparation.spacing_mm is None


@pytest.mark.parametrize(
    ("channels", "is_ct"), [(("CT",), True), (("ct scan",), True), (("PET", "low-dose CT"), True), (("ACTH",), False)]
)
def test_ct_is_told_by_its_name(channels, is_ct):
    preparation = derive_plan(dataset(channels=channels), SMALL).preparation
    assert (preparation.over == "all") is is_ct
    assert preparation.clip_percentiles == ((0.5, 99.5) if is_ct else (0.0, 99.9))
    assert preparation.crop == ("none" if is_ct else "nonzero")


def test_classes_of_values_with_gaps():
    plan = derive_plan(dataset(labels={"tumour": 7, "empty": 0, "organ": 2}), SMALL)
    assert [(c.name, c.values, c.output) for c in plan.classes] == [
        ("empty", (0,), 0),
        ("organ", (2,), 2),
        ("tumour", (7,), 7),
    ]


def test_joined_classes():
    plan = derive_plan(dataset(labels={"background": 0, "tumour": 7, "organ": 2}), SMALL, join_labels=True)
    assert [(c.name, c.values, c.output) for c in plan.classes[1:]] == [("foreground", (2, 7), 1)]
    assert derive_plan(dataset(), SMALL, join_labels=True).classes[1].name == "organ"


def test_classes_from_label_files_or_given():
    scans = fingerprint(((32, 32, 32), (1, 1, 1)), label_values=(0, 3, 200))
    assert [c.name for c in derive_plan(dataset(labels={}), scans).classes] == ["background", "label 3", "label 200"]
    given_ = (LabelClass(name="a", values=(0, 3), output=0), LabelClass(name="b", values=(200,), output=1))
    assert derive_plan(dataset(labels={}), scans, classes=given_).classes == given_


def test_no_class_is_known_where_none_is_needed():
    plan = derive_plan(dataset(labels={}), SMALL, needs_labels=False)
    assert [(c.name, c.values, c.output) for c in plan.classes] == [("background", (0,), 0)]
    assert derive_plan(dataset(), SMALL, needs_labels=False) == derive_plan(dataset(), SMALL)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "no foreground label"),
        ({"background": 0}, "no foreground label"),
        ({"organ": 1, "ignore": 2}, "ignore label"),
    ],
)
def test_labels_that_cannot_be_trained(labels, message):
    with pytest.raises(DataError, match=message):
        derive_plan(dataset(labels=labels), SMALL)


@pytest.mark.parametrize(
    ("scans", "wishes", "message"),
    [
        (FLAT, {"dimensions": 3}, "needs 3-D images"),
        (SMALL, {"slice_axis": 1}, "belongs to 2-D training"),
        (SMALL, {"dimensions": 2, "slice_axis": 3}, "slice axis 3 does not exist"),
        (SMALL, {"spacing_mm": (1.0, 1.0)}, "spacing needs 3 entries, got 2"),
        (SMALL, {"spacing_mm": (1.0, 1.0, -1.0)}, "must be positive"),
        (SMALL, {"patch_size": (16, 16)}, "patch_size needs 3 entries"),
        (SMALL, {"normalisation": "z"}, "normalisation"),
    ],
)
def test_contradictions_are_refused(scans, wishes, message):
    with pytest.raises(UsageError, match=message):
        derive_plan(dataset(), scans, **wishes)


def test_two_dimensional_images():
    plan = derive_plan(dataset(), FLAT)
    assert (plan.dimensions, plan.slice_axis, plan.patch_size) == (2, None, (256, 208))


def test_the_orientation_is_that_of_the_fingerprint():
    assert derive_plan(dataset(), SMALL).orientation is None
    assert derive_plan(dataset(), SMALL.model_copy(update={"orientation": "PIR"})).orientation == "PIR"
