"""Eqs. 1 and 2, computed again by other means."""

import pytest
import torch

from fewscan.methods.mixing import box_mask
from fewscan.methods.supervised import supervised_loss

NAME = "fixmatch"


@pytest.mark.parametrize("threshold", [0.0, 0.4])
def test_only_voxels_that_are_sure_teach(threshold, method, batch):
    made = method(NAME, preset="paper", strong_student=False, threshold=threshold).eval()
    given = batch(labelled=1, unlabelled=3)
    terms = made.loss(given, 0)
    with torch.no_grad():
        best = torch.softmax(made.network(given.unlabelled), dim=1).amax(dim=1)
    sure = best >= threshold
    assert sure.all() if threshold == 0 else 0.1 < sure.float().mean() < 0.9
    # without a harder view the cross-entropy against the likeliest class is that of its own probability
    torch.testing.assert_close(terms["pseudo"], -(best.log() * sure).mean())
    torch.testing.assert_close(
        terms["supervised"], supervised_loss(made.network(given.images), given.labels, made.hyper)
    )


def test_nothing_is_taught_by_a_network_that_is_sure_of_nothing(method, batch):
    made = method(NAME, preset="paper")
    torch.nn.init.zeros_(made.network.head.weight)
    term = made.loss(batch(), 0)["pseudo"]
    term.backward()
    assert term.item() == 0
    assert made.network.head.weight.grad.abs().max() == 0


def test_pseudo_labels_and_mask_move_with_the_box(method, batch):
    made, given = method(NAME, mix_box=0.5, strong_student=False, threshold=0.4).eval(), batch()
    with torch.no_grad():
        p = torch.softmax(made.network(given.unlabelled), dim=1)
    torch.manual_seed(3)
    inside = box_mask(given.unlabelled.shape[2:], side=0.5)
    torch.manual_seed(3)
    found = made.loss(given, 0)["pseudo"]
    mixed = [torch.where(inside, x, x.flip(0)) for x in (given.unlabelled, p)]  # of two patches, the other one
    likeliest = torch.nn.functional.cross_entropy(made.network(mixed[0]), mixed[1].argmax(dim=1), reduction="none")
    torch.testing.assert_close(found, (likeliest * (mixed[1].amax(dim=1) >= 0.4)).mean())


def test_the_student_sees_a_harder_view_and_the_pseudo_labels_do_not(method, batch):
    made, given = method(NAME, preset="paper", threshold=0.0), batch()
    seen = []
    made.network.register_forward_pre_hook(lambda network, images: seen.append((images[0], network.training)))
    made.loss(given, 0)
    (weak, in_training_then), (images, in_training) = seen
    assert torch.equal(weak, given.unlabelled)
    assert not in_training_then
    assert torch.equal(images[:2], given.images)
    assert not torch.equal(images[2:], given.unlabelled)
    assert in_training


def test_weight_follows_the_ramp(method):
    assert method(NAME, preset="paper").weights(0) == {"pseudo": 1.0}
    grown = method(NAME, iterations=100)
    assert [grown.weights(step)["pseudo"] for step in (0, 30)] == [pytest.approx(0.0067, abs=1e-4), 1.0]
