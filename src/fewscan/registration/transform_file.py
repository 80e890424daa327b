"""Displacement fields in files that other programs read, on the grid of the fixed scan.

The field maps each physical point of the fixed scan to the physical point of the moving scan that belongs there:
moving point = fixed point + displacement. Components are in mm along ITK's world axes (LPS: left, posterior, superior).

========================  =======================================================================================
suffix                    read by
========================  =======================================================================================
``.nii.gz``, ``.nii``     ANTs (``antsApplyTransforms -t``) and ITK: 5-D, intent 1007 (vector), components as above
``.mha``, ``.nrrd``       ITK, SimpleITK, 3D Slicer
``.h5``, ``.tfm``         ``SimpleITK.ReadTransform``, 3D Slicer (a transform with 64-bit components)
========================  =======================================================================================

SimpleITK makes a transform of an image by
``sitk.DisplacementFieldTransform(sitk.ReadImage(path, sitk.sitkVectorFloat64))``.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import Image, read_image, write_image
from fewscan.data.itk import FILE_LOCK, last_line, simpleitk
from fewscan.data.itk_image import to_itk
from fewscan.errors import DataError

TRANSFORM_SUFFIXES = (".h5", ".tfm")


def write_displacement(path: Path, displacement_mm: npt.NDArray[np.floating], geometry: Geometry) -> None:
    """Write a displacement field, atomically.

    Parameters
    ----------
    path : Path
        One of the suffixes above.
    displacement_mm : (dimensions, *geometry.size) float array
        Component k along world axis k.
    geometry : Geometry
        Grid of the fixed scan.

    Raises
    ------
    UsageError
        For another suffix.
    DataError
        If the file cannot be written.
    """
    if displacement_mm.shape != (geometry.dimensions, *geometry.size):
        msg = f"a field of shape {displacement_mm.shape} does not fit the grid {geometry.size}"
        raise ValueError(msg)
    if path.suffix not in TRANSFORM_SUFFIXES:
        write_image(path, np.asarray(displacement_mm, np.float32), geometry)
        return
    sitk = simpleitk()
    image = to_itk(np.asarray(displacement_mm, np.float64), geometry)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    try:
        with FILE_LOCK:
            sitk.WriteTransform(sitk.DisplacementFieldTransform(image), temporary)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except RuntimeError as error:
        mend = "check the free space and the rights of the folder"
        raise DataError(f"{path}: cannot be written: {last_line(error)}", mend=mend) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_displacement(path: Path) -> Image:
    """Read a displacement field from an image file as `write_displacement` writes it.

    Returns
    -------
    Image
        ``array`` is (dimensions, *size) float32 in mm.

    Raises
    ------
    DataError
        If the file is not a field with one component per axis.
    """
    field = read_image(path, vector=True)
    if len(field.array) != field.geometry.dimensions:
        raise DataError(
            f"{path}: {len(field.array)} components per voxel of a {field.geometry.dimensions}-D grid",
            mend="a displacement field has one component per axis",
        )
    return field
