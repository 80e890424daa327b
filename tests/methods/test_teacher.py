import pytest
import torch
from torch import nn

from fewscan.methods.teacher import Teacher
from fewscan.networks.registry import NetworkSpec, build_network


def network(name="vnet", dropout=0.5):
    options = {"filters": [4, 8], "dropout": dropout} | ({"convolutions": [1, 1]} if name == "vnet" else {})
    return build_network(NetworkSpec(name=name, options=options), dimensions=2, channels=1, classes=3)


def test_mode_survives_the_train_call_of_the_loop():
    class Method(nn.Module):
        def __init__(self, mode):
            super().__init__()
            self.student = network()
            self.teacher = Teacher(self.student, decay=0.9, mode=mode)

    for mode in ("train", "eval"):
        method = Method(mode).eval().train()
        assert method.student.training
        assert {module.training for module in method.teacher.modules()} == {mode == "train"}
        # predicting with the teacher in between, as validation does
        method.teacher.network.eval()
        method.train()
        assert method.teacher.network.training == (mode == "train")


def test_dropout_only_in_train_mode():
    images = torch.randn(1, 1, 16, 16)
    for mode in ("train", "eval"):
        teacher = Teacher(network(dropout=0.5), decay=0.9, mode=mode).train()
        same = torch.equal(teacher.probabilities(images), teacher.probabilities(images))
        assert same == (mode == "eval")


def test_evaluated_teacher_is_the_average_by_hand_though_it_saw_other_images():
    """Its running statistics follow the student, not its own noisy inputs."""
    student = network()
    teacher = Teacher(student, decay=0.75, mode="train").train()
    start = {name: value.clone() for name, value in student.state_dict().items()}
    student.train()
    student(5 + 3 * torch.randn(4, 1, 16, 16))  # moves the student's running statistics
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.1)
    teacher.probabilities(100 * torch.randn(4, 1, 16, 16))
    teacher.update([student], step=99)
    expected = network().eval()
    blended = {
        name: 0.75 * start[name] + 0.25 * value if value.is_floating_point() else value
        for name, value in student.state_dict().items()
    }
    expected.load_state_dict(blended)
    images = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(teacher.network.eval()(images), expected(images))


def test_the_average_of_two_students_measures_its_own_running_statistics():
    """Activations of an average of weights vary less than those of either: an average of statistics would not fit."""
    layers = [nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1)) for _ in range(2)]
    for layer, weight in zip(layers, (2.0, -1.0), strict=True):
        nn.init.constant_(layer[0].weight, weight)
    teacher = Teacher(*layers, decay=0.5, mode="train").train()
    images = torch.randn(8, 1, 16, 16)
    for step in range(100):
        for layer in layers:
            layer.train()(images)
        teacher.probabilities(images)
        teacher.update(layers, step)
    # the mean weight is 0.5, so the variance a quarter of the images'; the mean of the students' is 2.5 times theirs
    assert teacher.network[1].running_var.item() == pytest.approx(0.25 * images.var().item(), rel=1e-3)


def test_probabilities_are_float32_under_autocast_and_have_no_graph():
    teacher = Teacher(network("unet"), decay=0.9, mode="eval")
    with torch.autocast("cpu", torch.bfloat16):
        p = teacher.probabilities(torch.randn(2, 1, 16, 16))
    assert p.dtype == torch.float32
    assert not p.requires_grad
    torch.testing.assert_close(p.sum(dim=1), torch.ones(2, 16, 16))
