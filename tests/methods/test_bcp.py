"""Eqs. 1 to 6, computed again by other means."""

import math

import pytest
import torch

from fewscan.methods import bcp


@pytest.fixture
def box(monkeypatch):
    """The first half along the first axis."""

    def box_mask(size, *, side, device="cpu"):
        mask = torch.zeros(tuple(size), dtype=torch.bool)
        mask[: size[0] // 2] = True
        return mask

    monkeypatch.setattr(bcp, "box_mask", box_mask)
    return box_mask((16, 16, 16), side=0.5)


def on_voxels(logits, labels, region):
    """Return the halved sum of cross-entropy and Dice over both classes of the voxels of a region, as a plain list."""
    chosen, truth = logits.movedim(1, -1)[:, region].flatten(0, 1), labels[:, region].flatten()
    p, losses = torch.softmax(chosen, dim=1), []
    for c in range(chosen.shape[1]):
        t = (truth == c).float()
        losses.append(1 - (2 * (p[:, c] * t).sum() + 1e-5) / (p[:, c].sum() + t.sum() + 1e-5))
    return (torch.nn.functional.cross_entropy(chosen, truth) + torch.stack(losses).mean()) / 2


def test_both_terms_of_eq_3(method, batch, box):
    made, given = method("bcp", preset="paper", teacher_mode="eval", largest_component=False).eval(), batch()
    terms = made.loss(given, 5)
    with torch.no_grad():
        q = made.teacher.network(given.unlabelled).argmax(dim=1)
        m = (~box).float()
        mixed = torch.stack(
            [
                given.images[0] * m + given.unlabelled[0] * (1 - m),
                given.unlabelled[1] * m + given.images[1] * (1 - m),
            ]
        )
        first, second = made.student(mixed).split(1)
    y = given.labels
    supervised = on_voxels(first, y[:1], ~box) + on_voxels(second, y[1:], box)
    pseudo = on_voxels(first, q[:1], box) + on_voxels(second, q[1:], ~box)
    torch.testing.assert_close(terms["supervised"].detach(), supervised)
    torch.testing.assert_close(terms["pseudo"].detach(), pseudo)
    assert made.weights(5) == {"pseudo": 0.5}


def test_the_voxels_of_both_mixes_may_have_one_loss(method, batch, box):
    """A single Dice over the voxels with true labels: the shell of one patch and the box of the other."""
    changes = {"teacher_mode": "eval", "largest_component": False, "joint_loss": True}
    made, given = method("bcp", preset="paper", **changes).eval(), batch()
    with torch.no_grad():
        m = (~box).float()
        images, other, labels = given.images, given.unlabelled, given.labels
        first, second = made.student(
            torch.stack([images[0] * m + other[0] * (1 - m), other[1] * m + images[1] * (1 - m)])
        )
        voxels = torch.cat([first[:, ~box], second[:, box]], dim=1)
        truth = torch.cat([labels[0, ~box], labels[1, box]])
    everywhere = torch.ones(1, len(truth), dtype=torch.bool)
    expected = on_voxels(voxels[None, :, None], truth[None, None], everywhere)
    torch.testing.assert_close(made.loss(given, 5)["supervised"].detach(), expected)


def test_pseudo_labels_lose_small_components(method, batch, box, monkeypatch):
    asked = []
    monkeypatch.setattr(
        bcp, "pseudo_labels", lambda p, hyper: asked.append(hyper.largest_component) or torch.ones_like(p)
    )
    method("bcp", preset="paper").loss(batch(), 5)
    assert asked == [True]


def test_pretraining_on_labelled_patches_with_boxes_of_each_other(method, batch, box):
    made, given = method("bcp", preset="paper", pretrain=0.3).eval(), batch()
    terms = made.loss(given, 2)
    assert terms.keys() == {"supervised"}
    images, labels = given.images.clone(), given.labels.clone()
    for mixed, whole in ((images, given.images), (labels, given.labels)):
        mixed[0][..., box], mixed[1][..., box] = whole[1][..., box], whole[0][..., box]
    with torch.no_grad():
        expected = on_voxels(made.student(images), labels, torch.ones_like(box))
    torch.testing.assert_close(terms["supervised"].detach(), expected)
    assert made.loss(given, 3).keys() == {"supervised", "pseudo"}


@pytest.mark.parametrize("step", [500, 999])
def test_the_teacher_is_a_copy_until_pretraining_is_over_and_then_keeps_its_published_share(method, step):
    made = method("bcp", preset="paper", pretrain=0.5, iterations=1000)
    student, teacher = next(made.student.parameters()), next(made.teacher.network.parameters())
    with torch.no_grad():
        student.fill_(2.0)
        made.after_step(499)
        assert torch.equal(teacher, torch.full_like(teacher, 2.0))
        student.fill_(3.0)
        made.after_step(step)  # from the first one on: 0.99 * 2 + 0.01 * 3
    torch.testing.assert_close(teacher, torch.full_like(teacher, 2.01))


def test_the_ramp_begins_after_pretraining(method):
    made = method("bcp", pretrain=0.2, ramp="sigmoid", ramp_length=0.4, unlabelled_weight=0.5, iterations=100)
    expected = [0.5 * math.exp(-5), 0.5 * math.exp(-5), 0.5 * math.exp(-1.25), 0.5]
    assert [made.weights(step)["pseudo"] for step in (0, 20, 40, 60)] == pytest.approx(expected)
