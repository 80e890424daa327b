"""Masks on disk: what comes back, and that nothing half-written or foreign is taken for a mask."""

import numpy as np
import pytest
import torch

from fewscan.errors import DataError
from fewscan.recipes.mask_quality import MaskRecord
from fewscan.recipes.mask_store import MaskStore, finish_store, has_shard, shard_path, write_shard

IDS = [["a", "b"], ["c"]]
RECORD = MaskRecord(
    entropy=0.25, disagreement=0.5, disagreements=(0.2, 0.8), segmentation_vox=(3, 4), registration_vox=(2, 0)
)


def _mask(seed, size=(5, 4), classes=3):
    return torch.rand((classes, *size), generator=torch.Generator().manual_seed(seed)).softmax(0)


def _write(folder, *, round_number=2, shards=IDS, finish=True):
    masks = {case_id: _mask(k) for k, case_id in enumerate(case_id for ids in shards for case_id in ids)}
    for number, ids in enumerate(shards):
        chosen = {case_id: masks[case_id] for case_id in ids}
        write_shard(
            shard_path(folder, number), chosen, dict.fromkeys(ids, RECORD), round_number=round_number, seconds=1.5
        )
    if finish:
        finish_store(folder, shards, {"round": round_number, "views": ["identity"]})
    return masks


def test_masks_and_records_come_back(tmp_path):
    masks = _write(tmp_path)
    store = MaskStore(tmp_path)
    assert store.ids == ("a", "b", "c")
    assert store.round_number == 2
    assert store.records == dict.fromkeys("abc", RECORD)
    for case_id, mask in masks.items():
        found = store.mask(case_id)
        assert found.dtype == np.float32
        assert np.abs(found - mask.numpy()).max() < 1e-3  # half precision
        assert np.allclose(found.sum(0), 1, atol=1e-6)
        assert (found >= 0).all()


def test_the_seconds_of_a_round_are_those_of_all_its_files(tmp_path):
    _write(tmp_path)  # two files of 1.5 s, whichever process wrote them
    assert MaskStore(tmp_path).details["seconds"] == 3.0
    finish_store(tmp_path, IDS, {"round": 2}, ranks=2)
    assert MaskStore(tmp_path).details["seconds"] == 1.5


@pytest.mark.parametrize(("start", "size"), [((1, 0), (3, 2)), ((-1, 2), (4, 4)), ((0, 0), (5, 4))])
def test_a_box_of_a_mask_is_that_of_the_whole_one(start, size, tmp_path):
    _write(tmp_path)
    store = MaskStore(tmp_path)
    # far more background around it than any of the boxes reaches over
    padded = np.pad(store.mask("b"), ((0, 0), (9, 9), (9, 9)))
    padded[0] += np.pad(np.zeros((5, 4), np.float32), 9, constant_values=1)
    place = tuple(slice(9 + s, 9 + s + n) for s, n in zip(start, size, strict=True))
    assert np.array_equal(store.cut("b", start, size), padded[(slice(None), *place)])


def test_probabilities_stay_probabilities_where_rounding_adds_up_to_more_than_one(tmp_path):
    # 0.3001 and 0.6999 round to 0.3 and 0.7 in half precision, whose sum is a little over 1
    mask = torch.tensor([0.0, 0.30005, 0.69995]).reshape(3, 1, 1)
    write_shard(shard_path(tmp_path, 0), {"a": mask}, {"a": RECORD}, round_number=1, seconds=0.5)
    finish_store(tmp_path, [["a"]], {"round": 1})
    found = MaskStore(tmp_path).mask("a")
    assert found[0] >= 0
    assert found.sum() == pytest.approx(1, abs=1e-3)


def test_without_its_index_a_round_is_not_finished(tmp_path):
    _write(tmp_path, finish=False)
    assert not MaskStore.is_finished(tmp_path)
    with pytest.raises(DataError, match="no finished pseudo-masks"):
        MaskStore(tmp_path)


def test_a_file_is_whole_or_absent(tmp_path, monkeypatch):
    def failing(*args, **options):
        raise OSError("no space left")

    monkeypatch.setattr("fewscan.tensor_file.save_file", failing)
    with pytest.raises(OSError, match="no space"):
        write_shard(shard_path(tmp_path, 0), {"a": _mask(0)}, {"a": RECORD}, round_number=1, seconds=0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "round", "scans"])
def test_damage_is_found(damage, tmp_path):
    _write(tmp_path)
    path = shard_path(tmp_path, 0)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-8])
    elif damage == "changed":
        path.write_bytes(content[:-8] + bytes(8))
    elif damage == "gone":
        path.unlink()
    elif damage == "round":
        write_shard(path, dict.fromkeys("ab", _mask(0)), dict.fromkeys("ab", RECORD), round_number=1, seconds=0.5)
    else:
        write_shard(path, {"a": _mask(0)}, {"a": RECORD}, round_number=2, seconds=0.5)
    assert not has_shard(path, ["a", "b"], round_number=2)
    with pytest.raises(DataError, match="masks-0000"):
        MaskStore(tmp_path)


def test_an_unknown_scan(tmp_path):
    _write(tmp_path)
    with pytest.raises(DataError, match="no mask of z"):
        MaskStore(tmp_path).mask("z")
    with pytest.raises(DataError, match="has no mask of z"):
        MaskStore(tmp_path).cut("z", (0, 0), (2, 2))
