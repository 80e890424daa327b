"""Settings of the augmentation and its presets.

Probabilities and ranges of the intensity effects start from nnU-Net (Isensee et al. 2021, supplementary note 4). The
spatial effects are stronger: with 1 to 20 labelled scans the variety of shapes and poses is what is missing most.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from fewscan.errors import UsageError
from fewscan.settings import Settings, nearest_key


class Effect(Settings):
    """How often one effect is applied, and the range its strength is drawn from.

    Attributes
    ----------
    probability : float
        That a sample of the batch gets the effect.
    low, high : float
        Ends of the range of the strength, in the unit that the effect's own documentation gives.
    """

    probability: float = Field(ge=0, le=1)
    low: float
    high: float

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low > self.high:
            msg = f"low must not exceed high, got {self.low} and {self.high}"
            raise ValueError(msg)
        return self


# Strengths outside these bounds have no meaning. Control points that move by less than 0.40 of their distance cannot
# fold the grid (Choi & Lee 2000, "Injectivity conditions of 2D and 3D uniform cubic B-spline functions").
_BOUNDS = {
    "rotation": (-180.0, 180.0),
    "scaling": (0.1, 10.0),
    "elastic": (0.0, 0.4),
    "noise": (0.0, 10.0),
    "blur": (0.05, 10.0),
    "brightness": (-10.0, 10.0),
    "contrast": (0.0, 10.0),
    "low_resolution": (0.05, 1.0),
    "gamma": (0.1, 10.0),
}


class Augmentation(Settings):
    """Every probability and range of the augmentation; the default changes nothing.

    Attributes
    ----------
    flip_axes : tuple of int or None
        Spatial axes that are mirrored, each in half of the samples; None means every axis, empty none. Registration
        networks learn without flips and turns.
    turn_planes : tuple of pairs of int or None
        Planes that are turned by 0, 90, 180 or 270 degrees, equally often; None means every plane whose two sides are
        equal, empty none.
    rotation : Effect
        Degrees, drawn for every plane of axes; positive turns like ``torch.rot90``.
    scaling : Effect
        Factor by which things grow, drawn evenly on the logarithmic scale.
    elastic : Effect
        Largest move of a control point, in units of the distance between control points; at most 0.4.
    elastic_cells : int
        Cells of the control grid along each axis of the patch: fewer make broader waves.
    label_interpolation : "nearest" or "linear"
        For hard labels; linear takes the class of the largest interpolated indicator, which gives smoother edges.
    noise : Effect
        Standard deviation of Gaussian noise, in standard deviations of the channel.
    blur : Effect
        Standard deviation of a Gaussian filter, in voxels.
    brightness : Effect
        Shift, in standard deviations of the channel.
    contrast : Effect
        Factor about the channel's mean.
    low_resolution : Effect
        Share of the voxels that is kept along each axis before sampling up again.
    gamma : Effect
        Exponent on intensities scaled to [0, 1], drawn evenly on the logarithmic scale.
    """

    flip_axes: tuple[int, ...] | None = ()
    turn_planes: tuple[tuple[int, int], ...] | None = ()
    rotation: Effect = Effect(probability=0, low=-20, high=20)
    scaling: Effect = Effect(probability=0, low=0.75, high=1.33)
    elastic: Effect = Effect(probability=0, low=0.1, high=0.35)
    elastic_cells: int = Field(default=4, ge=1, le=32)
    label_interpolation: Literal["nearest", "linear"] = "nearest"
    noise: Effect = Effect(probability=0, low=0, high=0.25)
    blur: Effect = Effect(probability=0, low=0.5, high=1)
    brightness: Effect = Effect(probability=0, low=-0.3, high=0.3)
    contrast: Effect = Effect(probability=0, low=0.75, high=1.25)
    low_resolution: Effect = Effect(probability=0, low=0.5, high=1)
    gamma: Effect = Effect(probability=0, low=0.7, high=1.5)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, (low, high) in _BOUNDS.items():
            effect: Effect = getattr(self, name)
            if effect.low < low or effect.high > high:
                msg = f"{name} must stay within {low} to {high}, got {effect.low} to {effect.high}"
                raise ValueError(msg)
        planes = self.turn_planes or ()
        if any(
            axis not in range(3) for axis in (*(self.flip_axes or ()), *(axis for plane in planes for axis in plane))
        ):
            msg = f"axes are 0, 1 and 2, got flip_axes {self.flip_axes} and turn_planes {self.turn_planes}"
            raise ValueError(msg)
        if any(first == second for first, second in planes):
            msg = f"a plane needs two different axes, got turn_planes {self.turn_planes}"
            raise ValueError(msg)
        return self

    def unmirrored(self) -> Self:
        """Return the same without flips and 90-degree turns."""
        return self.model_copy(update={"flip_axes": (), "turn_planes": ()})


# Flips and turns are left out of `standard`: a flip makes labels wrong that tell left from right, and blurs the
# difference of classes that lie in a fixed order (anterior and posterior hippocampus). All else in it keeps every
# label true for any data set. Who knows that mirror images are as likely as the scans adds `flip_axes`.
PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "flips": Augmentation(flip_axes=None, turn_planes=None),
    "standard": Augmentation(
        rotation=Effect(probability=0.5, low=-20, high=20),
        scaling=Effect(probability=0.5, low=0.75, high=1.33),
        elastic=Effect(probability=0.5, low=0.1, high=0.35),
        noise=Effect(probability=0.1, low=0, high=0.25),
        blur=Effect(probability=0.2, low=0.5, high=1),
        brightness=Effect(probability=0.15, low=-0.3, high=0.3),
        contrast=Effect(probability=0.15, low=0.75, high=1.25),
        low_resolution=Effect(probability=0.15, low=0.5, high=1),
        gamma=Effect(probability=0.3, low=0.7, high=1.5),
    ),
}


def augmentation(preset: str) -> Augmentation:
    """Return the settings of a preset: "none", "flips" (flips and 90-degree turns, paper 3) or "standard".

    Raises
    ------
    UsageError
        If there is no such preset; the nearest one is named.
    """
    if preset not in PRESETS:
        msg = f"unknown augmentation preset {preset!r}"
        raise UsageError(msg, mend=nearest_key(preset, list(PRESETS)))
    return PRESETS[preset]
