"""Affine registration of two prepared scans by SimpleITK.

Similarity is Mattes' mutual information (Mattes et al., IEEE TMI 2003), which sees through differences of contrast, or
the correlation of the intensities. The former rewards an overlap in which much varies, so small pictures without noise,
drawings for instance, are better served by the latter. Either is estimated from seeded voxels; with one thread the
result is the same bit for bit.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.grids import centre_mm
from fewscan.data.intensity import require_content
from fewscan.data.itk import last_line, simpleitk
from fewscan.data.itk_image import affine_matrix, affine_transform, to_itk
from fewscan.data.prepare import PreparedScan
from fewscan.errors import DataError, UsageError
from fewscan.registration.physical import affine_field
from fewscan.registration.registrar import Matrix

METRICS = ("mutual-information", "correlation")

METRIC_SAMPLES = 60_000
"""Voxels that the metric is estimated from at each resolution."""


@dataclass(frozen=True)
class Effort:
    """What SimpleITK's optimisers may use.

    Attributes
    ----------
    metric : "mutual-information" or "correlation"
        What is maximised.
    seed : int
        Of the voxels that are drawn for the metric.
    threads : int
        1 gives the same result bit for bit on every run.
    """

    metric: str = "mutual-information"
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise UsageError(f"--metric {self.metric}: unknown metric", mend=f"use {', '.join(METRICS)}")


def affine_alignment(moving: PreparedScan, fixed: PreparedScan, *, start: Matrix, effort: Effort) -> Matrix:
    """Register two scans by an affine map.

    Parameters
    ----------
    moving, fixed : PreparedScan
        Their first channels are compared.
    start : (n + 1, n + 1) array
        From fixed to moving world.
    effort : Effort
        Seed and threads.

    Returns
    -------
    (n + 1, n + 1) array
        From fixed to moving world.

    Raises
    ------
    DataError
        If the images cannot be compared: one is constant, or they do not overlap.
    """
    target = fixed.meta.prepared
    _require_comparable(moving, fixed, start)
    transform = affine_transform(start)
    # the centre of rotation: steps along the parameters are then nearly independent
    offset = affine_offset(start, centre := centre_mm(target))
    transform.SetCenter(centre.tolist())
    transform.SetTranslation(offset.tolist())
    method = registration_method(target, effort)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-4, numberOfIterations=300, relaxationFactor=0.7, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    images = execute(method, moving, fixed)
    # on scans that agree already, the first steps lead away, and the last ones not always quite back
    better = disagreement(*images, transform, effort) < disagreement(*images, affine_transform(start), effort)
    return affine_matrix(transform) if better else start


def _require_comparable(moving: PreparedScan, fixed: PreparedScan, start: Matrix) -> None:
    """Raise `DataError` for a constant image, or scans that do not overlap from the start."""
    for scan in (moving, fixed):
        require_content(scan.image[:1], case_id=scan.meta.case_id)
    to_moving = start @ fixed.meta.prepared.affine()
    index = affine_field(np.linalg.inv(moving.meta.prepared.affine()) @ to_moving, fixed.meta.prepared.size)
    last = np.reshape(moving.meta.prepared.size, (-1,) + (1,) * (index.ndim - 1)) - 1
    if not ((index >= 0) & (index <= last)).all(axis=0).any():
        raise DataError(
            f"{moving.meta.case_id} to {fixed.meta.case_id}: the scans do not overlap in space",
            mend="use --align centre, which lays centre on centre",
        )


def affine_offset(matrix: Matrix, centre: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return t of ``y = A (x - centre) + centre + t``."""
    return np.asarray((matrix @ np.append(centre, 1.0))[:-1] - centre)


def registration_method(fixed: Geometry, effort: Effort) -> Any:
    """Return SimpleITK's registration with its metric, coarse to fine, seeded; without optimiser and transform."""
    method = _with_metric(int(np.prod(fixed.size)), effort)
    levels = pyramid(fixed.size)
    shares = [min(1.0, METRIC_SAMPLES / np.prod([max(1, n // factor) for n in fixed.size])) for factor in levels]
    method.SetMetricSamplingStrategy(method.RANDOM if min(shares) < 1 else method.NONE)
    # ITK takes the seed 0 for "by the clock"
    method.SetMetricSamplingPercentagePerLevel(shares, seed=effort.seed + 1)
    method.SetShrinkFactorsPerLevel(levels)
    method.SetSmoothingSigmasPerLevel([0.5 * (factor - 1) for factor in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return method


def pyramid(size: tuple[int, ...]) -> list[int]:
    """Return by what factors the images are shrunk, coarse to fine: 4, 2, 1 as far as 8 voxels remain on each axis."""
    return [*itertools.takewhile(lambda f: f > 1, [f for f in (4, 2) if min(size) // f >= 8]), 1]


def execute(method: Any, moving: PreparedScan, fixed: PreparedScan) -> tuple[Any, Any]:
    """Run a registration on the first channels, and return them, fixed first; ITK's refusals become a `DataError`."""
    still, moved = (to_itk(scan.image[0], scan.meta.prepared) for scan in (fixed, moving))
    try:
        method.Execute(still, moved)
    except RuntimeError as error:
        raise DataError(
            f"{moving.meta.case_id} to {fixed.meta.case_id}: the registration failed: {last_line(error)}",
            mend="look at both scans: those that show different parts of the body cannot be registered",
        ) from None
    return still, moved


def disagreement(fixed: Any, moving: Any, transform: Any, effort: Effort) -> float:
    """Return what registration minimises, for two SimpleITK images under a transform and over all voxels."""
    method = _with_metric(fixed.GetNumberOfPixels(), effort)
    method.SetInitialTransform(transform)
    return float(method.MetricEvaluate(fixed, moving))


def _with_metric(voxels: int, effort: Effort) -> Any:
    sitk = simpleitk()
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(effort.threads)
    method.SetInterpolator(sitk.sitkLinear)
    if effort.metric == "correlation":
        method.SetMetricAsCorrelation()
    else:
        method.SetMetricAsMattesMutualInformation(histogram_bins(voxels))
    return method


def histogram_bins(voxels: int) -> int:
    """Return how fine intensities are told apart: up to 32 values, fewer where the joint histogram would stay empty."""
    return int(np.clip(np.sqrt(voxels / 8), 8, 32))
