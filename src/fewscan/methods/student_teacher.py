"""A student that is trained, and its teacher: the moving average of its weights, which is never trained itself.

(1)  theta_T <- d theta_T + (1 - d) theta_S,  d = min(1 - 1 / (t + 1), decay)

over the steps t since the teacher began, so that the first of them copies the student.
"""

from typing import Literal

from pydantic import Field
from torch import nn

from fewscan.methods.base import HyperParameters, Method
from fewscan.methods.teacher import Teacher, TeacherMode
from fewscan.networks.builder import NetworkBuilder


class StudentTeacherParameters(HyperParameters):
    """Of eq. 1; the defaults are the published values."""

    ema_decay: float = Field(0.99, ge=0, lt=1, description="share of its old weights a teacher keeps; public code")
    teacher_mode: TeacherMode = Field("train", description="train: with dropout and batch statistics; public code")
    predict_with: Literal["student", "teacher"] = Field("student", description="network that is kept; public code")


class StudentTeacher(Method):
    """Base of methods with one of each; their hyper-parameters are `StudentTeacherParameters` and more."""

    def networks(self, build: NetworkBuilder) -> None:
        """Build the student; the teacher starts as its copy."""
        self.student = build()
        self.teacher = Teacher(self.student, decay=self.hyper.ema_decay, mode=self.hyper.teacher_mode)

    def after_step(self, step: int) -> None:
        """Move the teacher, eq. 1."""
        self.teacher.update([self.student], step)

    def predictor(self) -> nn.Module:
        """Return the student or the teacher."""
        return self.student if self.hyper.predict_with == "student" else self.teacher.network
