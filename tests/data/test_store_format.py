import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.case import Case, Part
from fewscan.data.plan import Plan
from fewscan.data.store_format import (
    CASE_FOLDER,
    CaseEntry,
    StoreIndex,
    case_folder,
    content_digest,
    image_key,
    image_settings,
    label_key,
    label_settings,
    plan_digest,
    save_array,
    stamp,
)
from fewscan.errors import DataError, UsageError

STORE = Path("store")


def make_plan(**changes):
    classes = [{"name": "background", "values": [0], "output": 0}, {"name": "organ", "values": [1, 2], "output": 1}]
    data = {"name": "set", "dimensions": 3, "image_dimensions": 3, "channels": ["MRI"], "patch_size": [16, 16, 16]}
    return Plan.parse({**data, "classes": classes, **changes}, source="test")


@pytest.mark.parametrize(
    "case_id", ["../../etc/passwd", "/etc", "..", "", "a/b\\c", "CON", "Müller 01", "x" * 300, "a\0b"]
)
def test_case_folders_stay_in_the_store(case_id):
    folder = case_folder(STORE, case_id)
    assert folder.parent == STORE / "cases"
    assert CASE_FOLDER.fullmatch(folder.name)
    assert len(folder.name) < 60
    assert folder.name.isascii()


def test_names_differ_on_disks_that_ignore_case():
    names = [case_folder(STORE, case_id).name.lower() for case_id in ("Case_1", "case_1", "CASE_1", "case 1", "case/1")]
    assert len(set(names)) == len(names)


@given(st.text(), st.text())
@settings(max_examples=50, deadline=None)
def test_names_are_unique(first, second):
    same = case_folder(STORE, first).name.lower() == case_folder(STORE, second).name.lower()
    assert same == (first == second)


def test_keys_follow_content_and_settings_only(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"scan")
    (tmp_path / "b.nii").write_bytes(b"scan")
    (tmp_path / "c.nii").write_bytes(b"other")
    plan = make_plan()

    def key(name, plan=plan):
        return image_key(Case(id=name, images=(tmp_path / name,)), plan)

    assert len(key("a.nii")) == 12
    assert key("a.nii") == key("b.nii")
    assert key("a.nii") != key("c.nii")
    assert key("a.nii") == key("a.nii", make_plan(patch_size=[32, 32, 32]))
    assert key("a.nii") != key("a.nii", make_plan(preparation={"normalisation": "minmax"}))
    label = tmp_path / "b.nii"
    assert label_key(label, plan, image="1") != label_key(label, plan, image="2")
    assert label_key(label, plan, image="1") != label_key(tmp_path / "c.nii", plan, image="1")


def test_settings_behind_the_arrays():
    plan = make_plan()
    renamed = make_plan(
        classes=[{"name": "a", "values": [0], "output": 0}, {"name": "b", "values": [2, 1], "output": 9}]
    )
    other = make_plan(classes=[{"name": "a", "values": [0], "output": 0}, {"name": "b", "values": [1], "output": 9}])
    assert label_settings(renamed) == label_settings(plan)
    assert label_settings(other) != label_settings(plan)
    assert image_settings(other) == image_settings(plan)


def test_folder_digest_covers_names_and_contents(tmp_path):
    series = tmp_path / "series"
    series.mkdir()
    (series / "1.dcm").write_bytes(b"one")
    first = content_digest(series)
    (series / "2.dcm").write_bytes(b"two")
    second = content_digest(series)
    (series / "2.dcm").rename(series / "3.dcm")
    assert len({first, second, content_digest(series)}) == 3


def test_voxels_beside_their_header_count(tmp_path):
    header, voxels = tmp_path / "a.mhd", tmp_path / "a.raw"
    header.write_text("ElementDataFile = a.raw")
    voxels.write_bytes(b"one")
    before = content_digest(header), stamp([header])
    voxels.write_bytes(b"other")
    after = content_digest(header), stamp([header])
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_stamp_notices_a_touched_file(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(b"scan")
    os.utime(path, ns=(1, 1))
    before = stamp([path])
    assert stamp([path]) == before
    os.utime(path, ns=(1, 2))
    assert stamp([path]) != before


def test_save_array_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.npy"
    save_array(path, np.arange(3))
    with pytest.raises(ValueError, match="Object arrays"):
        save_array(path, np.array([object()]))
    assert np.load(path).tolist() == [0, 1, 2]
    assert [item.name for item in tmp_path.iterdir()] == ["a.npy"]


def test_index_round_trip(tmp_path):
    entry = CaseEntry(group="patient", part=Part.TEST, image_key="0", label_key=None, image_stamp="s")
    index = StoreIndex(name="set", complete=True, image_settings="i", label_settings="l", plan="p", cases={"é": entry})
    index.save(tmp_path)
    assert StoreIndex.load(tmp_path) == index


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, DataError, "not a prepared store"),
        ("{", DataError, "damaged"),
        ("[]", DataError, "another version"),
        ('{"format_version": 99}', DataError, "store format 99, needed 1"),
        ('{"format_version": 1}', UsageError, "cases"),
    ],
)
def test_index_errors(tmp_path, content, error, message):
    if content is not None:
        (tmp_path / "store.json").write_text(content)
    with pytest.raises(error, match=message):
        StoreIndex.load(tmp_path)


def test_the_orientation_decides_over_images_and_through_their_keys_over_labels():
    without, turned, other = (image_settings(make_plan(orientation=code)) for code in (None, "LPS", "PIR"))
    assert len({without, turned, other}) == 3
    # as it was before plans had an orientation, so that stores made then are not prepared again
    assert without.startswith("9cad8a73c8d2")
    assert plan_digest(make_plan()).startswith("b57565117ad3")
