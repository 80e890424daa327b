"""Eqs. 1 to 18, computed again by other means."""

import math

import pytest
import torch

from fewscan.methods import co_learning
from fewscan.networks.registry import NetworkSpec

NAME = "co_learning"
QUIET = {"strong_students": False, "teacher_mode": "eval"}


def probabilities(network, images):
    with torch.no_grad():
        return torch.softmax(network(images), dim=1)


def dice(p, labels):
    """Mean over the foreground classes, sums over the whole batch."""
    losses = []
    for c in range(1, p.shape[1]):
        t = (labels == c).float()
        losses.append(1 - (2 * (p[:, c] * t).sum() + 1e-5) / (p[:, c].sum() + t.sum() + 1e-5))
    return torch.stack(losses).mean()


def test_an_averaged_teacher_measures_statistics_also_without_unlabelled_patches(method, batch):
    """All scans labelled, or pre-training: it predicts in the end, with batch normalisation."""
    spec = NetworkSpec(name="vnet", options={"filters": [4, 8], "convolutions": [1, 1], "upsampling": "linear"})
    made = method(NAME, preset="paper", network=spec).train()
    before = {name: value.clone() for name, value in made.teacher.network.named_buffers() if "running" in name}
    made.loss(batch(unlabelled=0), 0)
    after = dict(made.teacher.network.named_buffers())
    assert before
    assert not any(torch.equal(value, after[name]) for name, value in before.items())


@pytest.fixture
def fixed_box(monkeypatch):
    """The first half along the first axis."""

    def box_mask(size, *, side, device="cpu"):
        mask = torch.zeros(tuple(size), dtype=torch.bool)
        mask[: size[0] // 2] = True
        return mask

    monkeypatch.setattr(co_learning, "box_mask", box_mask)
    return box_mask((16, 16, 16), side=0.5)


@pytest.mark.parametrize("step", [4, 5])
def test_all_terms_of_the_paper(step, method, batch, fixed_box):
    made, given = method(NAME, preset="paper", **QUIET).eval(), batch()
    terms = made.loss(given, step)
    networks = made.first, made.second, made.teacher.network
    l1, l2, _ = (probabilities(network, given.images) for network in networks)
    u1, u2, ut = (probabilities(network, given.unlabelled) for network in networks)
    torch.testing.assert_close(terms["supervised"].detach(), dice(l1, given.labels) + dice(l2, given.labels))  # 3
    y1, y2, yt = u1.argmax(1), u2.argmax(1), ut.argmax(1)
    torch.testing.assert_close(terms["cross"].detach(), dice(u1, y2) + dice(u2, y1))  # 4 to 6
    torch.testing.assert_close(terms["teacher"].detach(), dice(u1, yt) + dice(u2, yt))  # 7 to 9
    # 11 to 16: the first labelled patch with the first unlabelled one, the second ones the other way round
    m = (~fixed_box).float()
    mixed_1 = given.images[0] * m + given.unlabelled[0] * (1 - m)
    mixed_2 = given.unlabelled[1] * m + given.images[1] * (1 - m)
    target_1 = (given.labels[0] * m + yt[0] * (1 - m)).long()
    target_2 = (yt[1] * m + given.labels[1] * (1 - m)).long()
    seen = [(mixed_1, target_1), (mixed_2, target_2)]
    expected = 0.0
    for network, (image, target) in zip(networks[:2], seen if step % 2 == 0 else seen[::-1], strict=True):
        wanted = torch.nn.functional.one_hot(target, 3).movedim(-1, 0)
        expected += (probabilities(network, image[None])[0] - wanted).square().mean()  # 17
    torch.testing.assert_close(terms["mix"].detach(), expected)


def test_both_students_may_get_both_mixes(method, batch, fixed_box):
    made, given = method(NAME, preset="paper", **QUIET, mix_to="both").eval(), batch()
    once = method(NAME, preset="paper", **QUIET).eval()
    # the mean of a student's two mixes, each of which it gets alone at every other step
    halves = [once.loss(given, step)["mix"] for step in (0, 1)]
    torch.testing.assert_close(made.loss(given, 0)["mix"], torch.stack(halves).mean())


def test_pretraining_is_on_labelled_patches_alone(method, batch, fixed_box):
    made, given = method(NAME, preset="paper", **QUIET, pretrain=0.3).eval(), batch()
    assert made.loss(given, 3).keys() == {"supervised", "cross", "teacher", "mix"}
    terms = made.loss(given, 2)
    images, labels = given.images.clone(), given.labels.clone()
    for mixed, whole in ((images, given.images), (labels, given.labels)):
        mixed[0][..., fixed_box], mixed[1][..., fixed_box] = whole[1][..., fixed_box], whole[0][..., fixed_box]
    expected = sum(dice(probabilities(network, images), labels) for network in (made.first, made.second))
    assert terms.keys() == {"supervised"}
    torch.testing.assert_close(terms["supervised"].detach(), expected)


def test_students_see_harder_views_than_the_teacher_but_true_labelled_patches(method, batch):
    made, given, seen = method(NAME, strong_students=True).eval(), batch(unlabelled=6), []
    for network in (made.first, made.second, made.teacher.teachers[0]):
        network.register_forward_pre_hook(lambda _, images: seen.append(images[0]))
    made.loss(given, 0)
    teacher, first, second = seen
    assert torch.equal(teacher, given.unlabelled)
    for student in (first, second):
        assert torch.equal(student[:2], given.images)
        assert not torch.equal(student[2:8], given.unlabelled)
    assert not torch.equal(first[2:8], second[2:8])


def test_weights_follow_the_ramp(method):
    paper = method(NAME, preset="paper", unlabelled_weight=2.0, mix_weight=3.0)
    assert paper.weights(0) == {"cross": 2.0, "teacher": 2.0, "mix": 3.0}
    ramped = method(NAME, preset="paper", ramp="sigmoid", ramp_length=0.4, iterations=100)
    assert ramped.weights(20)["mix"] == pytest.approx(math.exp(-1.25))
    assert ramped.weights(40)["cross"] == 1.0


def test_the_ramp_begins_after_pretraining(method):
    """And not before, when no ramped term is there: it would begin with a jump."""
    made = method(NAME, pretrain=0.2, ramp="sigmoid", ramp_length=0.4, unlabelled_weight=0.5, iterations=100)
    expected = [0.5 * math.exp(-5), 0.5 * math.exp(-5), 0.5 * math.exp(-1.25), 0.5]
    assert [made.weights(step)["cross"] for step in (0, 20, 40, 60)] == pytest.approx(expected)
