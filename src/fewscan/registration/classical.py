"""Registration without a trained model, by SimpleITK: affine, affine + B-spline, affine + diffeomorphic demons.

``affine``
    See `fewscan.registration.affine`, also for the two metrics.
``bspline``
    The affine map, then a cubic B-spline displacement whose control points grow denser from level to level (Rueckert et
    al., IEEE TMI 1999), by the same metric.
``demons``
    The affine map, then diffeomorphic demons (Vercauteren et al., NeuroImage 2009) coarse to fine, on intensities that
    are matched to the fixed scan's histogram: for scans of one contrast. Its fields hardly ever fold.

All three look at the first channel of the prepared scans: cropped to non-zero voxels and normalised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fewscan.data.itk import last_line, simpleitk
from fewscan.data.itk_image import affine_transform, from_itk, to_itk
from fewscan.data.plan import LabelClass, Plan
from fewscan.data.prepare import PreparedScan
from fewscan.errors import DataError, UsageError
from fewscan.registration.affine import (
    Effort,
    affine_alignment,
    disagreement,
    execute,
    pyramid,
    registration_method,
)
from fewscan.registration.align import resample_through, start_matrix
from fewscan.registration.physical import displacement_in_voxels
from fewscan.registration.registrar import Match, Matrix

Classical = Literal["affine", "bspline", "demons"]
CLASSICAL: tuple[str, ...] = get_args(Classical)

CONTROL_POINT_VOX = 8
"""Distance of the B-spline's control points at its finest level."""

DEMONS_ITERATIONS = {4: 60, 2: 60, 1: 40}
"""By shrink factor."""

DEMONS_SMOOTHING_VOX = 1.0
"""Standard deviation of the Gaussian that keeps the demons' field smooth; ITK's own default.

The best of 1.0, 1.5 and 2.0 on pairs of training scans (``benchmarks/classical_defaults.py``): Dice .798, .789, .775 of
12 hippocampi, without folds; fields grow rougher with it.
"""


@dataclass(frozen=True)
class ClassicalRegistrar:
    """One of the classical methods; a `fewscan.registration.registrar.Registrar`.

    Attributes
    ----------
    method : "affine", "bspline" or "demons"
    plan : Plan
        See `classical_plan`.
    align : "centre" or "none"
        From where the affine registration starts.
    effort : Effort
        Metric, seed and threads.
    """

    method: str
    plan: Plan
    align: str = "centre"
    effort: Effort = field(default_factory=Effort)

    def __post_init__(self) -> None:
        if self.method not in CLASSICAL:
            raise UsageError(
                f"--classical {self.method}: unknown method of registration", mend=f"use {', '.join(CLASSICAL)}"
            )

    def match(self, moving: PreparedScan, fixed: PreparedScan) -> Match:
        """Register one pair."""
        target = fixed.meta.prepared
        start = start_matrix(moving.meta.prepared, target, align=self.align)
        matrix = affine_alignment(moving, fixed, start=start, effort=self.effort)
        n = target.dimensions
        displacement = np.zeros((n, *target.size), np.float32)
        if self.method == "bspline":
            displacement = bspline_displacement(moving, fixed, matrix, effort=self.effort)
        elif self.method == "demons":
            displacement = demons_displacement(moving, fixed, matrix, threads=self.effort.threads)
        return Match(displacement, matrix @ target.affine(), start)


def classical_plan(*, dimensions: int, channels: int) -> Plan:
    """Return a plan by which scans are prepared where no model brings one: cropped, normalised, own spacing."""
    names = tuple(f"image {k}" for k in range(channels))
    # a plan has classes; these are of no consequence here
    classes = tuple(LabelClass(name=str(value), values=(value,), output=value) for value in (0, 1))
    return Plan.model_validate(
        {
            "name": "classical registration",
            "dimensions": dimensions,
            "image_dimensions": dimensions,
            "channels": names,
            "classes": classes,
            "patch_size": (1,) * dimensions,
        }
    )


def bspline_displacement(
    moving: PreparedScan, fixed: PreparedScan, matrix: Matrix, *, effort: Effort
) -> npt.NDArray[np.float32]:
    """Return the B-spline displacement that comes before ``matrix``, in voxels of the fixed prepared grid."""
    sitk = simpleitk()
    target = fixed.meta.prepared
    levels = pyramid(target.size)
    coarsest = CONTROL_POINT_VOX * levels[0]
    mesh = [max(1, round(n / coarsest)) for n in target.size]
    spline = sitk.BSplineTransformInitializer(to_itk(fixed.image[0], target), mesh, order=3)
    method = registration_method(target, effort)
    method.SetOptimizerAsLBFGS2(numberOfIterations=60, solutionAccuracy=1e-4, deltaConvergenceTolerance=1e-5)
    method.SetMovingInitialTransform(affine_transform(matrix))
    method.SetInitialTransformAsBSpline(spline, inPlace=True, scaleFactors=[levels[0] // factor for factor in levels])
    images = execute(method, moving, fixed)
    affine = affine_transform(matrix)
    bent = sitk.CompositeTransform([affine, spline])
    if disagreement(*images, bent, effort) >= disagreement(*images, affine, effort):
        return np.zeros((target.dimensions, *target.size), np.float32)
    filter_ = sitk.TransformToDisplacementFieldFilter()
    filter_.SetReferenceImage(to_itk(fixed.image[0], target))
    return displacement_in_voxels(np.asarray(from_itk(filter_.Execute(spline)), np.float32), target)


def demons_displacement(
    moving: PreparedScan, fixed: PreparedScan, matrix: Matrix, *, threads: int
) -> npt.NDArray[np.float32]:
    """Return the demons' displacement that comes before ``matrix``, in voxels of the fixed prepared grid."""
    sitk = simpleitk()
    target = fixed.meta.prepared
    still = to_itk(fixed.image[0], target)
    # beyond the moving scan its border goes on: an edge there would draw the field to it
    moved = to_itk(resample_through(moving, target, matrix, extend=True)[0], target)
    try:
        moved = sitk.HistogramMatching(moved, still, 256, 16, True)
        found: Any = None
        for factor in pyramid(target.size):
            small_still, small_moved = shrink(still, factor), shrink(moved, factor)
            demons = sitk.DiffeomorphicDemonsRegistrationFilter()
            demons.SetNumberOfThreads(threads)
            demons.SetNumberOfIterations(DEMONS_ITERATIONS[factor])
            demons.SetSmoothDisplacementField(True)
            demons.SetStandardDeviations(DEMONS_SMOOTHING_VOX)
            if found is None:
                found = demons.Execute(small_still, small_moved)
            else:
                first = sitk.Resample(
                    found, small_still, sitk.Transform(), sitk.sitkLinear, 0.0, found.GetPixelID(), True
                )
                found = demons.Execute(small_still, small_moved, first)
    except RuntimeError as error:
        raise DataError(
            f"{moving.meta.case_id} to {fixed.meta.case_id}: demons failed: {last_line(error)}",
            mend="look at both scans; --classical bspline asks less of their intensities",
        ) from None
    return displacement_in_voxels(np.asarray(from_itk(found), np.float32), target)


def shrink(image: Any, factor: int) -> Any:
    """Return the image smoothed and at a coarser grid with the same physical extent."""
    sitk = simpleitk()
    if factor == 1:
        return image
    size: Sequence[int] = image.GetSize()
    sigma = [0.5 * factor * step for step in image.GetSpacing()]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigma), [min(factor, n) for n in size])
