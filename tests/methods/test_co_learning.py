"""Eqs. 1 to 18, computed again by other means."""

import math

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.methods import co_learning
from fewscan.networks.registry import NetworkSpec

NAME = "co_learning"
QUIET = {"strong_students": False, "teacher_mode": "eval"}
WIDER = {"name": "unet", "options": {"filters": [4, 16]}}


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


def test_the_teacher_follows_both_students(method):
    made = method(NAME, preset="paper", alpha=0.02, beta=0.06)
    weights = [next(network.parameters()) for network in (made.first, made.second, made.teacher.network)]
    torch.testing.assert_close(weights[2], 0.25 * weights[0] + 0.75 * weights[1])  # starts as their weighted average
    with torch.no_grad():
        for weight, value in zip(weights, (1.0, 5.0, 10.0), strict=True):
            weight.fill_(value)
    made.after_step(10_000)
    # 0.92 * 10 + 0.02 * 1 + 0.06 * 5
    torch.testing.assert_close(weights[2], torch.full_like(weights[2], 9.52))
    made.after_step(0)  # warm-up: alpha + beta is 1
    torch.testing.assert_close(weights[2], torch.full_like(weights[2], 4.0))


def test_students_differ_in_structure(method):
    made = method(NAME, preset="paper")
    assert (made.first.options.upsampling, made.first.options.residual) == ("linear", False)
    assert (made.second.options.upsampling, made.second.options.residual) == ("nearest", True)
    assert made.teacher.network.options == made.first.options


def test_they_start_alike_where_wanted(method):
    for same in (True, False):
        made = method(NAME, preset="paper", same_start=same)
        pairs = zip(made.first.parameters(), made.second.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == same


@pytest.mark.parametrize("values", [{"teacher": "averaged"}, {"teacher": "per_student", "same_start": True}])
def test_networks_of_other_shapes_are_refused_at_once(values, method):
    with pytest.raises(UsageError, match=r"decoder\.levels\.0.* is \(4, 12, .* in one and \(4, 20, ") as caught:
        method(NAME, preset="paper", second=WIDER, **values)
    assert "per_student" in caught.value.mend


def test_each_student_may_have_its_own_teacher(method, batch):
    given = batch()
    made = method(NAME, preset="paper", **QUIET, second=WIDER, teacher="per_student", alpha=0.03, beta=0.01).eval()
    each = [probabilities(network, given.unlabelled) for network in (made.first, made.second)]
    found = made.teacher.probabilities(given.unlabelled)
    torch.testing.assert_close(found, 0.75 * each[0] + 0.25 * each[1])  # they start as their students
    before = [next(network.parameters()).clone() for network in (made.first, made.second)]
    with torch.no_grad():
        for network in (made.first, made.second):
            next(network.parameters()).add_(1.0)
    made.after_step(10_000)
    for teacher, start in zip(made.teacher.teachers, before, strict=True):
        torch.testing.assert_close(next(teacher.network.parameters()), start + 0.04)
    assert made.predictor() is made.teacher.teachers[0].network


def test_predicts_with_the_network_asked_for_and_says_what_builds_it(method, small_network):
    spec = small_network["segmentation"]
    made = {kind: method(NAME, predict_with=kind) for kind in ("teacher", "first", "second")}
    assert made["teacher"].predictor() is made["teacher"].teacher.network
    assert made["first"].predictor() is made["first"].first
    assert made["second"].predictor() is made["second"].second
    assert made["first"].predictor_spec(spec) == made["teacher"].predictor_spec(spec) == spec
    residual = NetworkSpec(name="unet", options={**spec.options, "upsampling": "nearest", "residual": True})
    assert made["second"].predictor_spec(spec) == residual


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
    for network in (made.first, made.second, made.teacher.network):
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
