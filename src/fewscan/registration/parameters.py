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

    similarity: Literal["gncc", "lncc"] = Field("gncc", description="eq. 2, or over windows (VoxelMorph)")
    window: int = Field(9, ge=3, description="side of the windows of lncc in voxels, odd; VoxelMorph")
    lambdas: tuple[float, ...] | None = Field(
        None, description="coarse to fine; 8 (2-D, paper 1) or 2 (3-D, public code) times each level's down-sampling"
    )
    smooth_on: Literal["residual", "composed"] = Field("residual", description="d_i (public code) or D_i (eq. 3)")
    resize: Literal["smooth", "nearest"] = Field("smooth", description="scans at each level; public code: nearest")
    similarity_weight: float = Field(1.0, ge=0, description="eq. 3")
    label_weight: float = Field(1.0, ge=0, description="eq. 3")
    smoothness_weight: float = Field(1.0, ge=0, description="eq. 3; multiplies every lambda")
    inverse_consistency: float = Field(0.0, ge=0, description="w, eq. 4; above 0 pairs are learned both ways")

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
