"""The hyper-parameters of registration: needed by its training and, from the model file, for refinement."""

from typing import Literal

from pydantic import Field, field_validator

from fewscan.methods.base import HyperParameters
from fewscan.registration.objective import Objective


def odd_side(value: int) -> int:
    """Return the side of a window that has a middle voxel; ValueError for any other."""
    if value % 2 == 0:
        msg = "the window needs an odd side"
        raise ValueError(msg)
    return value


class RegistrationParameters(HyperParameters):
    """Of eqs. 1 to 4 in `fewscan.methods.registration`."""

    similarity: Literal["gncc", "lncc"] = Field("gncc", description="whole scan (eq. 2), windows; paper 1: gncc")
    window: int = Field(9, ge=3, description="side of the windows of lncc in voxels, odd; VoxelMorph")
    lambdas: tuple[float, ...] | None = Field(
        None, description="coarse to fine, null: 8 (2-D) or 2 (3-D) times the down-sampling; paper 1, public code"
    )
    smooth_on: Literal["residual", "composed"] = Field("residual", description="d_i or D_i of eq. 3; public code: d_i")
    resize: Literal["smooth", "nearest"] = Field("smooth", description="scans at each level; public code: nearest")
    similarity_weight: float = Field(1.0, ge=0, description="of its first term; paper 1, eq. 3")
    label_weight: float = Field(1.0, ge=0, description="of its second term; paper 1, eq. 3")
    smoothness_weight: float = Field(1.0, ge=0, description="multiplies every lambda; paper 1, eq. 3")
    inverse_consistency: float = Field(
        0.0, ge=0, description="w of eq. 4, above 0 pairs are learned both ways; not in paper 1"
    )

    _odd_window = field_validator("window")(odd_side)

    @property
    def objective(self) -> Objective:
        """How pairs are judged."""
        return Objective(
            similarity=self.similarity,
            window=self.window,
            smooth_on=self.smooth_on,
            lambdas=self.lambdas,
            resize=self.resize,
        )
