"""What methods with a ramped unlabelled term have in common."""

from pydantic import Field

from fewscan.methods.base import Context
from fewscan.methods.ramps import RampKind, ramp
from fewscan.methods.supervised import SupervisedParameters


class RampedParameters(SupervisedParameters):
    """Weights of the supervised loss, and how the unlabelled terms grow; methods with other defaults repeat a field."""

    ramp: RampKind = Field("sigmoid", description="r, how the unlabelled terms grow; public code of the field")
    ramp_length: float = Field(1.0, gt=0, description="iterations, or share of the run if <= 1; public code: the run")

    def ramped(self, step: int, context: Context) -> float:
        """Return r(t), how far the unlabelled terms have grown, from 0 to 1."""
        return ramp(self.ramp, step, length=self.ramp_length, iterations=context.iterations)
