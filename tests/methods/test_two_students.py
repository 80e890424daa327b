"""Paper 3, section 2.1: the two students of co-learning, and their teacher."""

import pytest
import torch

from fewscan.errors import UsageError
from fewscan.methods.base import Context
from fewscan.methods.co_learning import CoLearning
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.ensemble import ensemble_spec
from fewscan.networks.registry import NetworkSpec

NAME = "co_learning"
WIDER = {"name": "unet", "options": {"filters": [4, 16]}}


def probabilities(network, images):
    with torch.no_grad():
        return torch.softmax(network(images), dim=1)


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
    for teacher, residual in (("averaged", False), ("per_student", True)):
        made = method(NAME, preset="paper", teacher=teacher)
        assert (made.first.options.upsampling, made.first.options.residual) == ("linear", False)
        assert (made.second.options.upsampling, made.second.options.residual) == ("nearest", residual)
    assert method(NAME, preset="paper").teacher.network.options == made.first.options


def test_the_second_is_the_runs_network_but_for_what_it_says(method):
    made = method(NAME, preset="paper", second={"name": "unet", "options": {"upsampling": "nearest"}})
    assert made.second.options == made.first.options.model_copy(update={"upsampling": "nearest"})


def test_they_start_alike_where_wanted(method):
    for same in (True, False):
        made = method(NAME, preset="paper", teacher="per_student", same_start=same)
        pairs = zip(made.first.parameters(), made.second.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == same


RESIDUAL = {"name": "unet", "options": {"upsampling": "nearest", "residual": True}}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"same_start": False}, "start from different weights"),
        ({"second": RESIDUAL}, "differ in residual, upsampling"),
        ({"second": {"name": "unet", "options": {}}}, "would be the same network 'unet'"),
    ],
)
def test_students_whose_average_is_no_network_are_refused_at_once(values, text, method):
    with pytest.raises(UsageError, match=text) as caught:
        method(NAME, preset="paper", **values)
    assert "per_student" in caught.value.mend


@pytest.mark.parametrize(
    ("teacher", "network", "options"),
    [
        ("averaged", "vnet", {}),
        ("averaged", "residual_unet", {"filters": [4, 8]}),
        ("averaged", "monai:SegResNet", {}),
        ("per_student", "residual_unet", {"filters": [4, 8]}),
        ("per_student", "monai:SegResNet", {}),
    ],
)
def test_networks_without_a_partner_are_refused_instead_of_two_students_that_are_one(teacher, network, options):
    """Transposed up-sampling has none, nor has a network of MONAI."""
    hyper = CoLearning.hyper_parameters.parse({"same_start": True, "teacher": teacher}, source="test")
    context = Context(classes=2, dimensions=2, iterations=10)
    build = NetworkBuilder(NetworkSpec(name=network, options=options), patch_size=(32, 32), channels=1, classes=2)
    with pytest.raises(UsageError, match="would be the same network") as caught:
        CoLearning(hyper, build, context)
    # an option that only our own networks have
    assert ("upsampling=linear" in caught.value.mend) == (not network.startswith("monai:"))


@pytest.mark.parametrize("values", [{"teacher": "averaged"}, {"teacher": "per_student", "same_start": True}])
def test_networks_of_other_shapes_are_refused_at_once(values, method):
    with pytest.raises(UsageError, match=r"decoder\.levels\.0.* is \(4, 12, .* in one and \(4, 20, ") as caught:
        method(NAME, preset="paper", second=WIDER, **values)
    assert "per_student" in caught.value.mend


def test_each_student_may_have_its_own_teacher(method, batch):
    given = batch()
    made = method(
        NAME, preset="paper", second=WIDER, teacher="per_student", same_start=False, alpha=0.03, beta=0.01
    ).eval()
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
    images = given.unlabelled
    torch.testing.assert_close(probabilities(made.predictor(), images), made.teacher.probabilities(images))


def test_predicts_with_the_network_asked_for_and_says_what_builds_it(method, small_network):
    spec = small_network["segmentation"]
    kinds = ("teacher", "first", "second")
    made = {kind: method(NAME, predict_with=kind, teacher="averaged", same_start=True) for kind in kinds}
    assert made["teacher"].predictor() is made["teacher"].teacher.network
    assert made["first"].predictor() is made["first"].first
    assert made["second"].predictor() is made["second"].second
    assert made["first"].predictor_spec(spec) == made["teacher"].predictor_spec(spec) == spec
    nearest = NetworkSpec(name="unet", options={**spec.options, "upsampling": "nearest"})
    residual = NetworkSpec(name="unet", options={**nearest.options, "residual": True})
    assert made["second"].predictor_spec(spec) == nearest
    both = method(NAME, teacher="per_student", alpha=0.03, beta=0.01).predictor_spec(spec)
    assert both == ensemble_spec([spec, residual], [0.03, 0.01])


def test_students_predict_alone_and_as_the_mean_of_both(method, small_network, batch):
    made, images = method(NAME).eval(), batch().unlabelled
    found = made.further_predictors(small_network["segmentation"])
    each = {name: probabilities(network, images) for name, (network, _) in found.items()}
    for name, student in (("first", made.first), ("second", made.second)):
        torch.testing.assert_close(each[name], probabilities(student, images))
    torch.testing.assert_close(each["students"], (each["first"] + each["second"]) / 2)
