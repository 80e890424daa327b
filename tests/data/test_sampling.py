from collections import Counter

import numpy as np
import pytest

from fewscan.data.boxes import cut
from fewscan.data.sampling import PatchStream


class FakeCase:
    """A case whose voxel values are their own flat index, so that a patch shows where it came from."""

    def __init__(self, case_id="a", size=(6, 5, 4), foreground=None, background=-1.0, readable=True):
        self.id, self.size, self.background, self.readable = case_id, size, (background,), readable
        self._foreground = foreground or {}

    def image(self):
        return np.arange(np.prod(self.size), dtype=np.float32).reshape(1, *self.size)

    def label(self):
        if not self.readable:
            raise AssertionError("a label was opened")
        return np.ones(self.size, np.uint8)

    def foreground(self):
        return self._foreground


def _stream(cases, **changes):
    settings = {"patch_size": (4, 4, 4), "count": 2, "seed": 0, "name": "labelled", "with_labels": True}
    return PatchStream(cases, **(settings | changes))


def test_a_step_is_a_pure_function_of_the_seed():
    cases = [FakeCase(str(k)) for k in range(3)]
    first, second = _stream(cases), _stream(cases[::-1])
    second.at(11)  # what was asked before does not matter
    assert np.array_equal(first.at(5).images, second.at(5).images)
    assert not np.array_equal(first.at(5).images, _stream(cases, seed=1).at(5).images)


def test_every_case_comes_once_before_any_comes_twice():
    stream = _stream([FakeCase(str(k)) for k in range(5)])
    ids = [stream.case_at(position).id for position in range(20)]
    for epoch in range(4):
        assert sorted(ids[5 * epoch : 5 * epoch + 5]) == ["0", "1", "2", "3", "4"]
    assert ids[:5] != ids[5:10]


def test_processes_share_an_epoch_between_them():
    stream = _stream([FakeCase(str(k)) for k in range(4)])
    ids = stream.at(0, rank=0, world_size=2).cases + stream.at(0, rank=1, world_size=2).cases
    assert sorted(ids) == ["0", "1", "2", "3"]


def test_unlabelled_stream_opens_no_label():
    patches = _stream([FakeCase(readable=False)], with_labels=False, foreground_fraction=1.0).at(0)
    assert patches.labels is None


def test_foreground_patches_contain_their_voxel():
    voxel = np.array([[5, 4, 3]], np.int32)
    stream = _stream([FakeCase(foreground={1: voxel})], patch_size=(2, 2, 2), foreground_fraction=1.0)
    # the value of voxel (5, 4, 3) in a 6x5x4 scan is 5*20 + 4*4 + 3 = 119
    for step in range(5):
        assert (stream.at(step).images == 119).any(axis=(1, 2, 3, 4)).all()


def test_classes_are_drawn_evenly_whatever_their_size():
    many = np.zeros((1000, 3), np.int32)
    one = np.array([[5, 4, 3]], np.int32)
    stream = _stream([FakeCase(foreground={1: many, 2: one})], patch_size=(1, 1, 1), foreground_fraction=1.0)
    values = Counter(float(v) for step in range(200) for v in stream.at(step).images.ravel())
    assert set(values) == {0.0, 119.0}
    assert 140 < values[119.0] < 260


def test_small_scan_is_padded_with_its_background_and_label_zero():
    patches = _stream([FakeCase(size=(2, 2, 2), background=-3.5)]).at(0)
    assert (patches.images == -3.5).sum() == 2 * (64 - 8)
    assert patches.labels.sum() == 2 * 8
    assert patches.background.tolist() == [[-3.5], [-3.5]]


@pytest.mark.parametrize(("axis", "size"), [(0, (1, 5, 4)), (1, (6, 1, 4)), (2, (6, 5, 1))])
def test_slice_wise_patches_are_two_dimensional(axis, size):
    patches = _stream([FakeCase(size=size)], patch_size=(4, 4), slice_axis=axis).at(0)
    assert patches.images.shape == (2, 1, 4, 4)
    assert patches.labels.shape == (2, 4, 4)


def _whole(cases, **changes):
    return _stream(cases, **({"patch_size": (8, 7, 6), "whole_scans": True} | changes))


def test_whole_scans_are_centred_on_one_grid():
    patches = _whole([FakeCase("a"), FakeCase("b", size=(3, 7, 6), background=-9.0)]).at(0)
    assert patches.images.shape == (2, 1, 8, 7, 6)
    by_id = dict(zip(patches.cases, patches.images, strict=True))
    # 6 of 8, 5 of 7 and 4 of 6: one before, one behind
    assert np.array_equal(by_id["a"][0, 1:7, 1:6, 1:5], FakeCase().image()[0])
    # 3 of 8: two before, three behind
    assert np.array_equal(by_id["b"][0, 2:5], FakeCase(size=(3, 7, 6)).image()[0])
    assert (by_id["b"][0, [0, 1, 5, 6, 7]] == -9).all()


def test_the_inside_of_whole_scans_is_where_they_have_data():
    patches = _whole([FakeCase(background=-9.0)], count=1).at(0)
    assert patches.inside.shape == (1, 1, 8, 7, 6)
    assert np.array_equal(patches.inside[0] == 1, patches.images[0] != -9)
    assert np.array_equal(patches.inside[0, 0], patches.labels[0])
    assert _stream([FakeCase()]).at(0).inside is None


def test_no_scan_comes_twice_in_a_batch_of_whole_ones():
    stream = _whole([FakeCase(str(k)) for k in range(5)], count=3)
    steps = [stream.at(step).cases for step in range(40)]
    assert all(len(set(ids)) == 3 for ids in steps)
    # what an epoch leaves out is drawn anew, so that all come about equally often: 24 times each
    counts = Counter(case for ids in steps for case in ids)
    assert min(counts.values()) > 12


def test_fewer_whole_scans_than_asked_for():
    patches = _whole([FakeCase("a"), FakeCase("b")], count=4).at(3)
    assert sorted(patches.cases) == ["a", "b"]


def test_whole_scans_of_two_processes_are_different():
    stream = _whole([FakeCase(str(k)) for k in range(4)], count=2)
    ids = stream.at(0, rank=0, world_size=2).cases + stream.at(0, rank=1, world_size=2).cases
    assert sorted(ids) == ["0", "1", "2", "3"]


def test_soft_masks_are_cut_out_with_their_image_and_padded_with_background():
    def soft(case_id, start, size):
        image = FakeCase(case_id, size=(6, 3, 4)).image()[0] / 72  # below 1, and different everywhere
        return cut(np.stack([1 - image, image]), start, size, np.float32([1, 0]))

    stream = _stream(
        [FakeCase(size=(6, 3, 4), readable=False)], with_labels=False, soft_masks=soft, name="unlabelled", count=3
    )
    patches = stream.at(4)
    assert patches.labels is None
    assert patches.masks.shape == (3, 2, 4, 4, 4)
    assert patches.masks.dtype == np.float32
    for image, mask in zip(patches.images[:, 0], patches.masks, strict=True):
        outside = image == -1
        assert outside.any()
        assert np.array_equal(mask[1], np.where(outside, 0, image / 72))
        assert np.allclose(mask.sum(0), 1)
    assert _stream([FakeCase()]).at(0).masks is None
