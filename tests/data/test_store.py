import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import fewscan.data.prepare
from fewscan.data.case import Part
from fewscan.data.fingerprint import take_fingerprint
from fewscan.data.image_io import read_geometry, write_image
from fewscan.data.layouts import load_dataset
from fewscan.data.plan import Plan
from fewscan.data.planning import derive_plan
from fewscan.data.store import (
    PreparedStore,
    forecast_bytes,
    foreground_voxels,
    prepare_store,
)
from fewscan.errors import DataError, UsageError
from fewscan.locking import folder_lock


class Count:
    """Counts the cases that had to be prepared."""

    def __init__(self):
        self.total = None

    @contextmanager
    def __call__(self, description, total):
        self.total = total
        yield self

    def advance(self, n=1, *, note=""):
        pass


def files(store):
    return {path.relative_to(store): path.stat().st_mtime_ns for path in (store / "cases").rglob("*.*")}


def test_prepares_all_cases(dataset, plan, tmp_path):
    store = prepare_store(dataset, plan, tmp_path / "store")
    assert store.ids == tuple(f"case_00{k}" for k in range(6))
    assert store.plan == plan
    assert [store.case(i).has_label for i in store.ids] == [True, True, True, False, False, True]
    assert store.case("case_005").part is Part.TEST
    case = store.case("case_001")
    image, label = case.image(), case.label()
    assert (image.shape, image.dtype, label.shape, label.dtype) == ((1, 8, 7, 6), np.float32, (8, 7, 6), np.uint8)
    assert isinstance(image, np.memmap)
    assert image.mean() == pytest.approx(0, abs=1e-4)
    assert case.background == case.meta.background
    assert case.meta.prepared.size == label.shape
    # the box of the fixture: size // 2 along each axis
    assert label.sum() == 4 * 3 * 3
    assert case.foreground().keys() == {1}
    assert case.foreground()[1].tolist() == np.argwhere(label == 1).tolist()
    assert case.foreground()[1].dtype == np.int32


def test_second_call_does_nothing(dataset, plan, tmp_path):
    count = Count()
    prepare_store(dataset, plan, tmp_path / "store", progress=count)
    before = files(tmp_path / "store")
    assert count.total == 6
    prepare_store(dataset, plan, tmp_path / "store", progress=count)
    assert count.total == 0
    assert files(tmp_path / "store") == before


def test_labels_outside_label_ids_are_never_opened(dataset, plan, tmp_path):
    for case_id in ("case_001", "case_002", "case_005"):
        dataset[case_id].label.write_bytes(b"garbage")
    store = prepare_store(dataset, plan, tmp_path / "store", label_ids=["case_000"])
    assert [i for i in store.ids if store.case(i).has_label] == ["case_000"]
    with pytest.raises(DataError, match="case case_001: no label was prepared"):
        store.case("case_001").label()
    with pytest.raises(DataError, match="no label was prepared"):
        store.case("case_001").foreground()


def test_images_outside_image_ids_are_never_opened(dataset, plan, tmp_path):
    dataset["case_005"].images[0].write_bytes(b"garbage")
    store = prepare_store(dataset, plan, tmp_path / "store", image_ids=["case_000", "case_003"])
    assert store.ids == ("case_000", "case_003")


def test_a_changed_image_is_prepared_again(dataset, plan, tmp_path):
    place = tmp_path / "store"
    old = np.array(prepare_store(dataset, plan, place).case("case_000").image())
    stale = {path for path in files(place) if "case_000" in str(path)}
    path = dataset["case_000"].images[0]
    shutil.copy(dataset["case_001"].images[0], path)
    count = Count()
    store = prepare_store(dataset, plan, place, progress=count)
    assert count.total == 1
    assert not np.array_equal(store.case("case_000").image(), old)
    assert stale.isdisjoint(files(place))
    assert len([p for p in files(place) if "case_000" in str(p)]) == 4


def test_a_changed_label_leaves_the_image_alone(dataset, plan, tmp_path):
    place = tmp_path / "store"
    prepare_store(dataset, plan, place)
    before = files(place)
    write_image(dataset["case_000"].label, np.ones((8, 7, 6), np.uint8), read_geometry(dataset["case_000"].images[0]))
    store = prepare_store(dataset, plan, place)
    assert store.case("case_000").label().all()
    changed = {path.name.split(".")[0] for path in files(place).keys() - before.keys()}
    assert changed == {"label", "foreground"}


def test_changed_settings_make_new_arrays_and_delete_the_old(dataset, plan, tmp_path):
    place = tmp_path / "store"
    prepare_store(dataset, plan, place)
    before = files(place)
    other = plan.model_copy(update={"preparation": plan.preparation.model_copy(update={"normalisation": "minmax"})})
    store = prepare_store(dataset, other, place)
    assert store.case("case_000").image().max() == 1
    assert before.keys().isdisjoint(files(place))
    assert len(before) == len(files(place))


def test_interrupted_preparation_goes_on(dataset, plan, tmp_path, monkeypatch):
    place, count = tmp_path / "store", Count()
    original = fewscan.data.prepare.prepare_image

    def stop_at_third(paths, plan, *, case_id):
        if case_id == "case_002":
            raise KeyboardInterrupt
        return original(paths, plan, case_id=case_id)

    monkeypatch.setattr(fewscan.data.prepare, "prepare_image", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        prepare_store(dataset, plan, place)
    with pytest.raises(DataError, match="preparation was interrupted"):
        PreparedStore(place)
    # what a kill may leave behind beside finished files: a torn temporary, and an array without its meta data
    folder = next((place / "cases").glob("case_000*"))
    (folder / ".image.0.npy.tmp").write_bytes(b"torn")
    next((place / "cases").glob("case_001*/image.*.json")).unlink()
    monkeypatch.undo()
    store = prepare_store(dataset, plan, place, progress=count)
    assert count.total == 5  # all but case_000
    assert len(store) == 6
    assert not (folder / ".image.0.npy.tmp").exists()


def test_a_failing_case_does_not_stop_the_others(dataset, plan, tmp_path):
    place, count = tmp_path / "store", Count()
    whole = {case_id: dataset[case_id].images[0].read_bytes() for case_id in ("case_001", "case_003")}
    for case_id in whole:
        dataset[case_id].images[0].write_bytes(whole[case_id][:100])
    dataset["case_004"].images[0].rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"(?s)3 of 6 cases failed.*case_001.*case_003.*case_004"):
        prepare_store(dataset, plan, place)
    for case_id, content in whole.items():
        dataset[case_id].images[0].write_bytes(content)
    (tmp_path / "away").rename(dataset["case_004"].images[0])
    prepare_store(dataset, plan, place, progress=count)
    assert count.total == 3


def test_a_failed_update_leaves_the_store_as_it_was(dataset, plan, tmp_path):
    place = tmp_path / "store"
    prepare_store(dataset, plan, place)
    dataset["case_001"].images[0].write_bytes(b"garbage")
    with pytest.raises(DataError, match="case_001"):
        prepare_store(dataset, plan, place)
    assert PreparedStore(place).case("case_001").image().shape == (1, 8, 7, 6)


def test_two_processes_give_the_same_arrays(dataset, plan, tmp_path):
    one = prepare_store(dataset, plan, tmp_path / "one")
    two = prepare_store(dataset, plan, tmp_path / "two", workers=2)
    assert one.ids == two.ids
    assert files(tmp_path / "one").keys() == files(tmp_path / "two").keys()
    for case_id in one.ids:
        assert np.array_equal(one.case(case_id).image(), two.case(case_id).image())


def test_different_splits_share_a_store(dataset, plan, tmp_path):
    place = tmp_path / "store"
    prepare_store(dataset, plan, place, label_ids=["case_000"], image_ids=["case_000", "case_003"])
    store = prepare_store(dataset, plan, place, label_ids=["case_001"], image_ids=["case_000", "case_001"])
    assert store.ids == ("case_000", "case_001", "case_003")
    assert store.case("case_000").label().sum() == 36
    # a label that was touched since is not trusted, nor opened
    os.utime(dataset["case_000"].label, ns=(1, 1))
    store = prepare_store(dataset, plan, place, label_ids=["case_001"], image_ids=["case_000", "case_001"])
    assert not store.case("case_000").has_label
    # a case that left the data set leaves the store
    smaller = replace(dataset, cases=tuple(case for case in dataset if case.id != "case_003"))
    store = prepare_store(smaller, plan, place, label_ids=[], image_ids=["case_001"])
    assert store.ids == ("case_000", "case_001")
    assert not list((place / "cases").glob("case_003*"))


def test_full_disk_is_refused_before_anything_is_written(dataset, plan, tmp_path, monkeypatch):
    # 6 cases of 8 * 7 * 6 = 336 voxels: 4 bytes each, and for 4 labels 1 byte + 16 bytes of foreground index per voxel
    assert sum(forecast_bytes(case, plan, label=case.label is not None) for case in dataset) == 336 * (6 * 4 + 4 * 17)
    free = shutil.disk_usage(tmp_path)._replace(free=336 * (6 * 4 + 4 * 17) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(DataError, match=r"needs up to 0\.00 GB, the disk has 0\.00 GB left"):
        prepare_store(dataset, plan, tmp_path / "store")
    assert not (tmp_path / "store" / "cases").exists()
    monkeypatch.undo()
    prepare_store(dataset, plan, tmp_path / "store")


def test_forecast_counts_resampled_voxels(dataset, plan):
    finer = plan.model_copy(update={"preparation": plan.preparation.model_copy(update={"spacing_mm": (0.5, 1, None)})})
    assert forecast_bytes(dataset.cases[0], finer, label=False) == 2 * forecast_bytes(
        dataset.cases[0], plan, label=False
    )


def test_store_in_use_is_refused(dataset, plan, tmp_path):
    with folder_lock(tmp_path / "store", purpose="preparation"), pytest.raises(UsageError, match="in use by process"):
        prepare_store(dataset, plan, tmp_path / "store")


def test_foreign_folder_is_refused(dataset, plan, tmp_path):
    place = tmp_path / "thesis"
    place.mkdir()
    (place / "chapter1.tex").write_text("precious")
    with pytest.raises(UsageError, match=r"holds other things \(chapter1\.tex\)"):
        prepare_store(dataset, plan, place)
    assert [path.name for path in place.iterdir()] == ["chapter1.tex"]


def test_edited_plan_is_neither_overwritten_nor_ignored(dataset, plan, tmp_path):
    place = tmp_path / "store"
    prepare_store(dataset, plan, place)
    path = place / "plan.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("zscore", "minmax"))
    with pytest.raises(DataError, match="was edited since"):
        PreparedStore(place)
    with pytest.raises(UsageError, match="edited by hand"):
        prepare_store(dataset, plan, place)
    assert prepare_store(dataset, Plan.read(path), place).plan.preparation.normalisation == "minmax"


def test_edited_patch_needs_no_preparation(dataset, plan, tmp_path):
    prepare_store(dataset, plan, tmp_path / "store")
    plan.model_copy(update={"patch_size": (24, 24, 24)}).write(tmp_path / "store" / "plan.yaml")
    assert PreparedStore(tmp_path / "store").plan.patch_size == (24, 24, 24)


@pytest.mark.parametrize("damage", ["{", '{"format_version": 0}'])
def test_store_of_another_version_is_made_anew(dataset, plan, tmp_path, damage):
    prepare_store(dataset, plan, tmp_path / "store")
    (tmp_path / "store" / "store.json").write_text(damage)
    assert len(prepare_store(dataset, plan, tmp_path / "store")) == 6


def test_no_case_is_refused(dataset, plan, tmp_path):
    with pytest.raises(UsageError, match="no case to prepare"):
        prepare_store(dataset, plan, tmp_path / "store", image_ids=[])


def test_foreground_is_limited_per_class():
    label = np.zeros((60, 30, 30), np.uint8)
    label[:20], label[59, 29, 29] = 3, 7  # 18 000 voxels and one
    rows = foreground_voxels(label)
    assert np.unique(rows[:, 0], return_counts=True)[1].tolist() == [10_000, 1]
    assert (label[tuple(rows[:, 1:].T)] == rows[:, 0]).all()
    assert len(np.unique(rows, axis=0)) == 10_001
    assert np.array_equal(rows, foreground_voxels(label))
    assert foreground_voxels(np.zeros((2, 2), np.uint8)).shape == (0, 3)


def test_opening_needs_no_image_library(dataset, plan, tmp_path):
    prepare_store(dataset, plan, tmp_path / "store")
    code = f"""
import sys
sys.modules["SimpleITK"] = sys.modules["nibabel"] = None
from pathlib import Path
from fewscan.data.store import PreparedStore
case = PreparedStore(Path({str(tmp_path / "store")!r})).case("case_000")
print(case.image().shape, int(case.label().sum()), len(case.foreground()[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(1, 8, 7, 6) 36 36\n", done.stderr


@pytest.mark.parametrize("damage", ["missing", "torn", "pickle", "shape"])
def test_damaged_arrays_are_refused(dataset, plan, tmp_path, damage):
    store = prepare_store(dataset, plan, tmp_path / "store")
    path = next((tmp_path / "store" / "cases").glob("case_000*/image.*.npy"))
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "pickle":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    else:
        np.save(path, np.zeros((1, 2, 3, 4), np.float32))
    with pytest.raises(DataError, match=r"case case_000: .*(missing or damaged|holds float32 \(1, 2, 3, 4\))"):
        store.case("case_000").image()


def test_damaged_meta_data_is_refused(dataset, plan, tmp_path):
    store = prepare_store(dataset, plan, tmp_path / "store")
    next((tmp_path / "store" / "cases").glob("case_000*/image.*.json")).write_text(json.dumps({"case_id": "case_000"}))
    with pytest.raises(DataError, match="missing or damaged"):
        _ = store.case("case_000").meta


def test_unknown_case_is_refused(dataset, plan, tmp_path):
    with pytest.raises(UsageError, match="has no case 'case_999'"):
        prepare_store(dataset, plan, tmp_path / "store").case("case_999")


def test_ids_that_differ_by_case_or_point_elsewhere(dataset, plan, tmp_path):
    ids = ("Scan", "scan", "../../outside")
    odd = replace(dataset, cases=tuple(replace(c, id=i) for c, i in zip(dataset.cases[:3], ids, strict=True)))
    store = prepare_store(odd, plan, tmp_path / "store")
    assert store.ids == tuple(sorted(ids))
    folders = [path.name for path in (tmp_path / "store" / "cases").iterdir()]
    assert len({name.lower() for name in folders}) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"store", dataset.root.name}


@pytest.mark.real
def test_real_scans(real_data, tmp_path):
    dataset = load_dataset(real_data / "hippocampus" / "Dataset004_Hippocampus")
    ids = [case.id for case in dataset if case.part is not Part.TEST]
    plan = derive_plan(dataset, take_fingerprint(dataset, ids))
    assert plan.patch_size == (40, 56, 40)
    store = prepare_store(dataset, plan, tmp_path / "store", image_ids=ids[:8], label_ids=ids[:4])
    assert len(store) == 8
    for case_id in ids[:4]:
        case = store.case(case_id)
        assert case.foreground().keys() == {1, 2}
        assert np.isfinite(case.image()).all()
