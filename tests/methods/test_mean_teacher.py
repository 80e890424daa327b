"""Eqs. 1 and 2, computed again by other means."""

import math

import pytest
import torch

from fewscan.data.batch import Batch
from fewscan.methods.supervised import supervised_loss

PLAIN = {"noise": 0.0, "strong_student": False, "teacher_mode": "eval"}


def both(network, images):
    with torch.no_grad():
        return torch.softmax(network(images), dim=1)


def moved(method):
    """Return the method with a student that has left its teacher."""
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return method


@pytest.mark.parametrize("name", ["mean_teacher", "uncertainty_aware_mean_teacher"])
def test_teacher_starts_as_the_student(method, name):
    made = method(name)
    images = torch.randn(1, 1, 16, 16, 16)
    made.eval()
    torch.testing.assert_close(both(made.teacher.network, images), both(made.student, images))


def test_both_terms_of_eq_1(method, batch):
    made = moved(method("mean_teacher", preset="paper", **PLAIN)).eval()
    given = batch(labelled=1, unlabelled=3)
    terms = made.loss(given, 0)
    student, teacher = both(made.student, given.unlabelled), both(made.teacher.network, given.unlabelled)
    # three classes: the squared norm over the classes, averaged over voxels, divided by C
    expected = (student - teacher).square().sum(dim=1).mean() / 3
    torch.testing.assert_close(terms["consistency"].detach(), expected)
    supervised = supervised_loss(made.student(given.images), given.labels, made.hyper)
    torch.testing.assert_close(terms["supervised"], supervised)


def test_the_teacher_sees_noise_and_the_student_does_not(method, batch):
    made = method("mean_teacher", preset="paper").eval()
    seen = {}
    made.student.register_forward_pre_hook(lambda _, given: seen.update(student=given[0]))
    made.teacher.network.register_forward_pre_hook(lambda _, given: seen.update(teacher=given[0]))
    given = batch()
    made.loss(given, 0)
    assert torch.equal(seen["student"], torch.cat([given.images, given.unlabelled]))
    noise = seen["teacher"] - given.unlabelled
    assert 0.15 < noise.abs().max() <= 0.2 + 1e-6


def test_a_strong_student_sees_the_harder_view(method, batch):
    made = method("mean_teacher", preset="recommended", mix_box=None).eval()
    seen = {}
    made.student.register_forward_pre_hook(lambda _, given: seen.update(student=given[0]))
    made.teacher.network.register_forward_pre_hook(lambda _, given: seen.update(teacher=given[0]))
    given = batch(unlabelled=6)
    made.loss(given, 0)
    assert torch.equal(seen["student"][:2], given.images)
    assert not torch.equal(seen["student"][2:], given.unlabelled)
    assert torch.equal(seen["teacher"], given.unlabelled)


def test_mixed_patches_meet_targets_mixed_alike(method, batch):
    made = moved(method("mean_teacher", preset="paper", **PLAIN, mix_box=0.5)).eval()
    seen = {}
    made.student.register_forward_pre_hook(lambda _, given: seen.update(student=given[0]))
    given = batch(labelled=1, unlabelled=2)
    first, second = given.unlabelled
    terms = made.loss(given, 0)
    mixed = seen["student"][1:]
    from_second = mixed[0] == second  # noise: no voxel of one patch equals that of the other
    assert (~from_second).sum() == 8**3
    assert torch.equal(mixed[0][~from_second], first[~from_second])
    assert torch.equal(mixed[1][from_second], first[from_second])
    student, teacher = both(made.student, mixed), both(made.teacher.network, given.unlabelled)
    target = torch.where(from_second, teacher.flip(0), teacher)
    torch.testing.assert_close(terms["consistency"].detach(), (student - target).square().mean())


@pytest.mark.parametrize("name", ["mean_teacher", "uncertainty_aware_mean_teacher"])
def test_sharpened_targets_by_hand(method, name):
    made = method(name, classes=2, temperature=0.5, consistency="squared")
    # 0.8^2 / (0.8^2 + 0.2^2) = 16/17; the student answers 1/2
    target = torch.tensor([0.8, 0.2]).view(1, 2, 1, 1, 1)
    term = made.consistency(torch.zeros(1, 2, 1, 1, 1), target, 0)
    assert term.item() == pytest.approx((16 / 17 - 0.5) ** 2)


def test_weight_follows_the_ramp(method):
    made = method("mean_teacher", preset="paper", iterations=100)
    # 0.2 exp(-5), 0.2 exp(-5 / 4), 0.2
    expected = [0.2 * math.exp(-5), 0.2 * math.exp(-1.25), 0.2]
    assert [made.weights(step)["consistency"] for step in (0, 50, 100)] == pytest.approx(expected)


def test_teacher_follows_eq_2(method):
    made = method("mean_teacher", preset="paper")
    name, parameter = next(iter(made.student.named_parameters()))
    teacher = dict(made.teacher.network.named_parameters())[name]
    with torch.no_grad():
        parameter.fill_(1.0)
        made.after_step(0)  # a = 0: copies
        assert torch.equal(teacher, torch.ones_like(teacher))
        parameter.fill_(3.0)
        made.after_step(1)  # a = 1 - 1/2: (1 + 3) / 2
        torch.testing.assert_close(teacher, torch.full_like(teacher, 2.0))
        parameter.fill_(4.0)
        made.after_step(10_000)  # a = 0.99: 2 + 0.01 * 2
        torch.testing.assert_close(teacher, torch.full_like(teacher, 2.02))


def test_predicts_with_the_network_asked_for(method):
    student = method("mean_teacher", predict_with="student")
    assert student.predictor() is student.student
    teacher = method("mean_teacher", predict_with="teacher")
    assert teacher.predictor() is teacher.teacher.network


def test_teacher_mode_decides_about_dropout(method, batch):
    """With equal weights and no noise only dropout can make student and teacher differ."""
    given = batch()
    quiet = {"noise": 0.0, "strong_student": False}
    for mode in ("train", "eval"):
        made = method("mean_teacher", preset="paper", **quiet, teacher_mode=mode)
        made.student.eval()
        assert (made.loss(given, 0)["consistency"].item() > 0) == (mode == "train")


def test_without_unlabelled_patches_it_is_supervised(method, batch):
    given = batch(unlabelled=2)
    alone = Batch(given.images, given.labels, given.unlabelled[:0], given.cases, ())
    torch.manual_seed(1)
    terms = method("mean_teacher").loss(alone, 0)
    torch.manual_seed(1)
    reference = method("supervised").loss(alone, 0)
    assert terms.keys() == reference.keys()
    assert torch.equal(terms["supervised"], reference["supervised"])
