"""The plan: what preparation and training derive from the data, as readable YAML that a person may edit."""

import math
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, SerializerFunctionWrapHandler, model_serializer, model_validator

from fewscan.data.orientation import is_orientation
from fewscan.settings import Settings


class LabelClass(Settings):
    """One class that the network tells apart.

    Attributes
    ----------
    name : str
        For tables and pictures.
    values : tuple of int
        The label values in the files that belong to this class (several are joined).
    output : int
        The value written into predictions.
    """

    name: str
    values: tuple[int, ...]
    output: int


class Preparation(Settings):
    """How a scan becomes an array; part of the key of every prepared array.

    Attributes
    ----------
    spacing_mm : tuple of (float or None), or None
        Resample to this spacing; None keeps each scan's own, as does None for one axis (between slices, say).
    crop : "nonzero" or "none"
        Crop to the bounding box of the voxels that are non-zero in any channel (paper 2).
    clip_percentiles : pair of float or None
        Clip each channel at these percentiles of the cropped box (paper 2: upper 99.9).
    normalisation : "zscore", "minmax" or "none"
        Zero mean and unit variance (paper 2), or [0, 1] (paper 1, ACDC).
    over : "nonzero" or "all"
        Which voxels give mean and variance; CT uses all, because zero is water there and no emptiness.
    """

    spacing_mm: tuple[float | None, ...] | None = None
    crop: Literal["nonzero", "none"] = "nonzero"
    clip_percentiles: tuple[float, float] | None = (0.0, 99.9)
    normalisation: Literal["zscore", "minmax", "none"] = "zscore"
    over: Literal["nonzero", "all"] = "nonzero"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.clip_percentiles is not None:
            low, high = self.clip_percentiles
            if not 0 <= low < high <= 100:
                msg = f"clip_percentiles must be 0 <= low < high <= 100, got {self.clip_percentiles}"
                raise ValueError(msg)
        if any(value is not None and not 0 < value < math.inf for value in self.spacing_mm or ()):
            msg = f"spacing_mm must be positive and finite, got {self.spacing_mm}"
            raise ValueError(msg)
        return self


class Plan(Settings):
    """Everything training and prediction must know about the data.

    Attributes
    ----------
    name : str
        The data set's name.
    dimensions : 2 or 3
        Of the network and its patches.
    image_dimensions : 2 or 3
        Of the prepared arrays; 3 with ``dimensions`` 2 means slice-wise training.
    orientation : str or None
        Every scan is brought to this order and sense of axes first, by swapping and flipping them: three letters, for
        each array axis the direction that it runs towards, such as "LPS" (see `fewscan.data.orientation`). Whatever
        counts axes here (spacing, slice axis, patch) counts these. None takes images as they lie, as in 2-D.
    slice_axis : int or None
        The array axis that counts the slices when slice-wise; None otherwise.
    channels : tuple of str
        Names of the input channels.
    classes : tuple of LabelClass
        Index in this tuple is the class index of the network, kept in one byte; the first is the background, and the
        only one where no label is known, for methods that need none.
    preparation : Preparation
        How scans become arrays.
    patch_size : tuple of int
        Training patch and prediction window, one entry per network dimension.
    case_count : int
        Cases the fingerprint was taken from.
    median_size : tuple of int
        Of the prepared scans, in voxels.
    median_spacing_mm : tuple of float
        Of the original scans.
    """

    name: str
    dimensions: Literal[2, 3]
    image_dimensions: Literal[2, 3]
    orientation: str | None = None
    slice_axis: Literal[0, 1, 2] | None = None
    channels: tuple[str, ...] = Field(min_length=1)
    classes: tuple[LabelClass, ...] = Field(min_length=1, max_length=256)
    preparation: Preparation = Preparation()
    patch_size: tuple[PositiveInt, ...]
    case_count: int = 0
    median_size: tuple[int, ...] = ()
    median_spacing_mm: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.patch_size) != self.dimensions:
            msg = f"patch_size needs {self.dimensions} entries, got {self.patch_size}"
            raise ValueError(msg)
        slice_wise = self.dimensions == 2 and self.image_dimensions == 3
        if self.dimensions > self.image_dimensions:
            msg = "3-D networks need 3-D images"
            raise ValueError(msg)
        if slice_wise != (self.slice_axis is not None):
            msg = "slice_axis belongs to 2-D networks on 3-D images, and only to them"
            raise ValueError(msg)
        if self.orientation is not None:
            if not is_orientation(self.orientation):
                msg = 'orientation must be three letters, one each of L or R, A or P, S or I, such as "LPS"'
                raise ValueError(f"{msg}; got {self.orientation!r}")
            if self.image_dimensions != 3:
                msg = "orientation belongs to 3-D images"
                raise ValueError(msg)
        spacing = self.preparation.spacing_mm
        if spacing is not None and len(spacing) != self.image_dimensions:
            msg = f"preparation.spacing_mm needs {self.image_dimensions} entries, got {spacing}"
            raise ValueError(msg)
        values = [value for item in self.classes for value in item.values]
        if len(values) != len(set(values)):
            msg = f"a label value belongs to two classes: {values}"
            raise ValueError(msg)
        return self

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an orientation of None: such a plan is written, and its digests are, as before there was one."""
        data: dict[str, Any] = handler(self)
        if data.get("orientation") is None:
            data.pop("orientation", None)
        return data

    @property
    def class_count(self) -> int:
        """Number of classes, background included."""
        return len(self.classes)
