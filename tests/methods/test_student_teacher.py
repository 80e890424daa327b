import pytest
import torch

every_one = pytest.mark.parametrize("name", ["bcp", "interpolation_consistency"])


@every_one
def test_the_teacher_starts_as_the_student_and_follows_it(name, method):
    made = method(name, ema_decay=0.9, **({"pretrain": 0.0} if name == "bcp" else {}))
    student, teacher = next(made.student.parameters()), next(made.teacher.network.parameters())
    assert torch.equal(student, teacher)
    with torch.no_grad():
        student.fill_(2.0)
        made.after_step(0)  # the first step copies
        assert torch.equal(teacher, torch.full_like(teacher, 2.0))
        student.fill_(3.0)
        made.after_step(999)
    torch.testing.assert_close(teacher, torch.full_like(teacher, 2.1))


@every_one
def test_predicts_with_the_network_asked_for(name, method):
    student, teacher = method(name, predict_with="student"), method(name, predict_with="teacher")
    assert student.predictor() is student.student
    assert teacher.predictor() is teacher.teacher.network
