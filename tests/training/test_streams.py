import threading

import numpy as np
import pytest
import torch

from fewscan.augment.settings import augmentation
from fewscan.data.sampling import Patches
from fewscan.training.streams import BatchMaker, read_ahead


def test_read_ahead_yields_every_step_in_order():
    assert list(read_ahead(lambda step: step * step, 2, 6)) == [(2, 4), (3, 9), (4, 16), (5, 25)]
    assert list(read_ahead(lambda step: step, 3, 3)) == []


def test_the_next_step_is_read_while_this_one_is_used():
    begun = threading.Event()

    def read(step):
        if step == 1:
            begun.set()
        return step

    steps = read_ahead(read, 0, 3)
    next(steps)
    assert begun.wait(10)


def test_a_failure_while_reading_arrives_at_its_step():
    def read(step):
        if step == 1:
            raise OSError("scan went away")
        return step

    steps = read_ahead(read, 0, 3)
    assert next(steps) == (0, 0)
    with pytest.raises(OSError, match="scan went away"):
        next(steps)


def _patches(count, *, labels):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, 1, 8, 8, 8)).astype(np.float32)
    truth = (images[:, 0] > 0).astype(np.uint8) if labels else None
    return Patches(images, truth, np.zeros((count, 1), np.float32), tuple(f"c{k}" for k in range(count)))


def _maker(**changes):
    settings = {
        "device": torch.device("cpu"), "memory_format": torch.channels_last_3d, "seed": 0, "rank": 0,
    }  # fmt: skip
    return BatchMaker(augmentation("standard"), **(settings | changes))


def test_a_batch_is_a_pure_function_of_seed_rank_and_step():
    first = _maker().make(3, _patches(2, labels=True), _patches(1, labels=False))
    again = _maker().make(3, _patches(2, labels=True), _patches(1, labels=False))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.unlabelled, again.unlabelled)
    others = [_maker(rank=1).make(3, _patches(2, labels=True), None), _maker().make(4, _patches(2, labels=True), None)]
    assert not any(torch.equal(first.images, other.images) for other in others)


def test_shapes_types_and_layout():
    batch = _maker().make(0, _patches(3, labels=True), _patches(1, labels=False))
    assert batch.images.shape == (3, 1, 8, 8, 8)
    assert batch.labels.dtype == torch.int64
    assert batch.unlabelled_cases == ("c0",)
    assert batch.images.is_contiguous(memory_format=torch.channels_last_3d)


def test_no_unlabelled_stream_gives_an_empty_share():
    batch = _maker().make(0, _patches(3, labels=True), None)
    assert batch.unlabelled.shape == (0, 1, 8, 8, 8)
    assert batch.unlabelled_cases == ()


def test_no_labelled_stream_gives_an_empty_share():
    batch = _maker().make(0, None, _patches(2, labels=False))
    assert batch.images.shape == (0, 1, 8, 8, 8)
    assert batch.labels.shape == (0, 8, 8, 8)
    assert batch.labels.dtype == torch.int64
    assert batch.unlabelled.shape == (2, 1, 8, 8, 8)
    assert (batch.cases, batch.unlabelled_cases) == ((), ("c0", "c1"))
    assert batch.inside is None


def test_the_unlabelled_share_does_not_depend_on_the_labelled_one():
    alone = _maker().make(2, None, _patches(2, labels=False))
    together = _maker().make(2, _patches(3, labels=True), _patches(2, labels=False))
    assert torch.equal(alone.unlabelled, together.unlabelled)


def test_a_batch_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="labelled patches, unlabelled ones, or both"):
        _maker().make(0, None, None)
    with pytest.raises(ValueError, match="must carry labels"):
        _maker().make(0, _patches(1, labels=False), None)


def _whole(count, *, labels):
    inside = np.zeros((count, 1, 8, 8, 8), np.uint8)
    inside[:, :, 1:7] = 1
    return _patches(count, labels=labels)._replace(inside=inside)


def test_the_inside_of_whole_scans_comes_with_both_shares():
    plain = {"memory_format": torch.contiguous_format}
    maker = BatchMaker(augmentation("none"), device=torch.device("cpu"), seed=0, rank=0, **plain)
    batch = maker.make(0, _whole(2, labels=True), _whole(3, labels=False))
    assert batch.inside.shape == (2, 1, 8, 8, 8)
    assert batch.unlabelled_inside.shape == (3, 1, 8, 8, 8)
    assert batch.inside[0, 0, :, 0, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    assert maker.make(0, None, _whole(3, labels=False)).inside.shape == (0, 1, 8, 8, 8)
    assert maker.make(0, _whole(2, labels=True), None).unlabelled_inside.shape == (0, 1, 8, 8, 8)


def test_soft_masks_move_with_their_images_and_stay_soft():
    """With a mask made of the image itself, both are the same after any flip."""
    images = np.random.default_rng(1).uniform(0.1, 0.9, size=(4, 1, 8, 8)).astype(np.float32)
    masks = np.concatenate([1 - images, images], axis=1)
    background = np.zeros((4, 1), np.float32)
    unlabelled = Patches(images, None, background, ("a", "b", "c", "d"), None, masks)
    made = BatchMaker(
        augmentation("flips"), device=torch.device("cpu"), memory_format=torch.contiguous_format, seed=0, rank=0
    ).make(3, None, unlabelled)
    assert torch.equal(made.unlabelled_masks[:, 1], made.unlabelled[:, 0])
    assert not torch.equal(made.unlabelled[:, 0], torch.from_numpy(images[:, 0]))
    assert made.labels.shape == (0, 8, 8)


def test_without_soft_masks_there_are_none():
    images, background = np.zeros((1, 1, 8, 8), np.float32), np.zeros((1, 1), np.float32)
    labelled = Patches(images, np.zeros((1, 8, 8), np.uint8), background, ("a",))
    maker = BatchMaker(
        augmentation("none"), device=torch.device("cpu"), memory_format=torch.contiguous_format, seed=0, rank=0
    )
    assert maker.make(0, labelled, None).unlabelled_masks is None
    assert maker.make(0, labelled, Patches(images, None, background, ("b",))).unlabelled_masks is None
