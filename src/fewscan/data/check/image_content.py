"""Checks of the voxels of one image, and the facts about them that the summary and the search for duplicates need."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.check.problem import Problem, Source, count_text, first_index, plain


@dataclass(frozen=True, kw_only=True)
class Intensities:
    """Minimum, mean, standard deviation and maximum of the finite voxels of one image, in its own units."""

    minimum: float
    mean: float
    std: float
    maximum: float


def check_image(array: npt.NDArray[Any], source: Source) -> tuple[list[Problem], Intensities | None]:
    """Check one image for voxels that are not finite and for a lack of any content.

    Returns
    -------
    list of Problem
        What is wrong.
    Intensities or None
        Of the finite voxels; None where there are none.
    """
    problems = []
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        problems += _flag(np.isnan(array), "nan-voxels", "NaN", source)
        problems += _flag(np.isinf(array), "inf-voxels", "infinite", source)
        array = array[np.isfinite(array)]
    if array.size == 0:
        return problems, None
    intensities = measure_intensities(array)
    if intensities.minimum == intensities.maximum:
        message = f"all voxels have the value {plain(intensities.minimum)}: the image is empty"
        mend = "export the scan again, or remove the case"
        problems.append(source.error("constant-image", message, mend=mend))
    return problems, intensities


def measure_intensities(values: npt.NDArray[Any]) -> Intensities:
    """Return the intensities of ``values``, which are finite and at least one."""
    return Intensities(
        minimum=float(values.min()),
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        maximum=float(values.max()),
    )


def content_digest(array: npt.NDArray[Any]) -> str:
    """Return the SHA-256 of the voxels, with their type and shape.

    The voxels are hashed rather than the file, because the same scan compressed twice makes two different files.
    """
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _flag(mask: npt.NDArray[np.bool_], code: str, what: str, source: Source) -> list[Problem]:
    count = int(np.count_nonzero(mask))
    if not count:
        return []
    message = f"{count_text(count, 'voxel')} of {mask.size} {'is' if count == 1 else 'are'} {what},"
    message += f" the first at index {first_index(mask)}"
    mend = "export the scan again, or replace them by the value of the background (numpy.nan_to_num)"
    return [source.error(code, message, mend=mend)]
