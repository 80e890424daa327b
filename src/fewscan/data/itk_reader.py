"""One image file through ITK: its reader, and the checks of its header that come before any voxel.

The header decides whether fewscan can use the image at all, and on which grid it lies. For NIfTI that grid is the
sform's where its code is above 0 (see `fewscan.data.nifti_orientation`), which ITK's own reader does not always take.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fewscan.data.geometry import Geometry
from fewscan.data.image_files import check_file, image_suffix
from fewscan.data.itk import FILE_LOCK, last_line, simpleitk
from fewscan.data.nifti_file import read_nifti_fields
from fewscan.data.nifti_orientation import grid_by_sform, not_orthonormal
from fewscan.errors import DataError

FLAT_SUFFIXES = (".png", ".tif", ".tiff")
"""Formats of plain 2-D pictures, which keep no dependable geometry."""

NIFTI_SUFFIXES = (".nii", ".nii.gz")

# naming ITK's reader keeps it from probing a bad file with every reader that it has, each with its own complaint
_READERS = {
    ".nii.gz": "NiftiImageIO",
    ".nii": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".png": "PNGImageIO",
    ".tif": "TIFFImageIO",
    ".tiff": "TIFFImageIO",
}


@contextmanager
def opened_image(path: Path) -> Iterator[Any]:
    """Give an ITK reader that has read the header of ``path``; every ITK failure inside becomes a `DataError`."""
    suffix = check_file(path)
    if suffix in NIFTI_SUFFIXES:
        read_nifti_fields(path)  # says what is wrong with it, which ITK does not
    name = str(path)
    with ExitStack() as stack:
        if suffix in NIFTI_SUFFIXES and not name.endswith((suffix, suffix.upper())):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fewscan-"))
            name = os.path.join(folder, "image" + suffix)  # the NIfTI library refuses mixed case such as .Nii.gz
            os.symlink(path.absolute(), name)
        stack.enter_context(FILE_LOCK)
        reader = simpleitk().ImageFileReader()
        reader.SetFileName(name)
        reader.SetImageIO(_READERS[suffix])
        try:
            reader.ReadImageInformation()
            yield reader
        except RuntimeError as error:
            raise _refusal(path, error) from None


def _refusal(path: Path, error: RuntimeError) -> DataError:
    if "orthonormal" in str(error) or "direction" in str(error).lower():
        return not_orthonormal(path)
    return DataError(
        f"{path}: cannot be read, the file is damaged or incomplete ({last_line(error)})", mend="export it again"
    )


def checked_geometry(path: Path, reader: Any, *, vector: bool = False, channels: int = 1) -> Geometry:
    """Return the grid of the spatial axes, or say in a `DataError` why the image cannot be used.

    Parameters
    ----------
    path : Path
        The file.
    reader : SimpleITK.ImageFileReader
        That has read its header, see `opened_image`.
    vector : bool
        Whether a vector image is needed, rather than a scalar one.
    channels : int
        How many channels are declared along the fourth axis; with one there is no such axis.
    """
    size = list(reader.GetSize())
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    _check_pixels(path, reader.GetNumberOfComponents(), reader.GetPixelID(), vector=vector)
    shape = " x ".join(map(str, size))
    if channels > 1:
        if len(size) != 4 or size[3] != channels:
            raise DataError(
                f"{path}: {channels} channels are declared in this file, which has {len(size)} axes ({shape})",
                mend=f"give a 4-D file with {channels} volumes, or correct the declared channels",
            )
        size.pop()
    if len(size) > 3:
        raise DataError(
            f"{path}: has {len(size)} axes ({shape}), and nothing declares what the last ones are",
            mend="save the volume you want as a file of its own (SimpleITK: image[:, :, :, k]); if the last axis holds "
            "channels, list them under `modality` in a Decathlon dataset.json",
        )
    if image_suffix(path) in FLAT_SUFFIXES:
        if len(size) != 2:
            raise DataError(
                f"{path}: holds {size[-1]} pages; PNG and TIFF are read as single 2-D images",
                mend="save the stack as .nii.gz or .nrrd, which also keep the voxel spacing",
            )
        return Geometry.identity(tuple(size))
    n, total = len(size), reader.GetDimension()
    direction = np.asarray(reader.GetDirection()).reshape(total, total)[:n, :n]
    geometry = Geometry(
        tuple(size),
        tuple(reader.GetSpacing()[:n]),
        tuple(reader.GetOrigin()[:n]),
        tuple(float(v) for v in direction.ravel()),
    )
    sform = read_nifti_fields(path).sform if image_suffix(path) in NIFTI_SUFFIXES else None
    return geometry if sform is None else grid_by_sform(path, sform, geometry)


def _check_pixels(path: Path, components: int, pixel_id: int, *, vector: bool) -> None:
    kind = simpleitk().GetPixelIDValueAsString(pixel_id)
    if "complex" in kind:
        raise DataError(f"{path}: holds complex numbers", mend="save the magnitude image")
    if components > 1 and not vector:
        what = "a colour image" if "8-bit" in kind or image_suffix(path) in FLAT_SUFFIXES else "a vector image"
        raise DataError(
            f"{path}: is {what} with {components} numbers per voxel; a grey-scale image is needed",
            mend="save one channel, or convert it to grey-scale",
        )
    if components == 1 and vector:
        raise DataError(f"{path}: is a scalar image, a displacement field is needed", mend="check the path")
