"""The voxels of a NIfTI file as stored.

ITK's NIfTI reader replaces NaN and infinity by 0 without a word (nifti_clib does so in every float image). They must be
looked for in the file itself, or nobody would learn that a part of the scan is missing.
"""

import gzip
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt


def put_back_not_finite(
    array: npt.NDArray[Any], path: Path, header: nib.Nifti1Header, *, volume: tuple[int, int] | None = None
) -> npt.NDArray[Any]:
    """Return ``array`` with the NaN and infinite voxels that its file holds.

    Parameters
    ----------
    array : (x, y[, z]) array
        As `fewscan.data.image_io.read_image` gave it.
    path : Path
        The file, known to be whole.
    header : Nifti1Header
        Of the file.
    volume : (int, int), optional
        The volume that was read of a 4-D file, and how many it has.
    """
    if header.get_data_dtype().kind != "f":
        return array
    stored = read_stored_voxels(path, header)
    if volume is not None:
        stored = stored[:, :, :, volume[0]]
    stored = stored.reshape(array.shape)
    bad = ~np.isfinite(stored)
    if not bad.any():
        return array
    restored = np.array(array)
    restored[bad] = stored[bad]
    return restored


def read_stored_voxels(path: Path, header: nib.Nifti1Header) -> npt.NDArray[Any]:
    """Return the voxels in the type of the file, without scaling; axes as in the header."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if zipped else path.open("rb") as file:
        content = file.read()
    shape = tuple(int(n) for n in header.get_data_shape())
    start = max(int(header["vox_offset"]), len(header.binaryblock))
    voxels = np.frombuffer(content, dtype=header.get_data_dtype(), count=math.prod(shape), offset=start)
    return voxels.reshape(shape, order="F")
