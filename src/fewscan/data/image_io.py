"""Reading and writing scans with their geometry.

Formats, through SimpleITK: NIfTI, NRRD, MetaImage, a folder that holds one DICOM series (3-D), and PNG and TIFF (2-D).

Arrays have the image's own axes in header order, ``(x, y)`` or ``(x, y, z)``, a vector image its components in front.
Lengths are in mm. PNG and TIFF keep no dependable geometry (72 dpi is a habit, not a measurement), so they are always
read with unit spacing at the origin. SimpleITK is imported when the first image is opened, not with this module.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.image_files import IMAGE_SUFFIXES, image_stem, image_suffix, is_image_file
from fewscan.data.itk import FILE_LOCK, simpleitk
from fewscan.data.itk_image import to_itk
from fewscan.data.itk_reader import FLAT_SUFFIXES, NIFTI_SUFFIXES, checked_geometry, opened_image
from fewscan.data.nifti_file import put_back_not_finite, verify_nifti_payload
from fewscan.errors import DataError, UsageError

__all__ = [
    "IMAGE_SUFFIXES",
    "Image",
    "channel_volumes",
    "image_stem",
    "image_suffix",
    "is_image_file",
    "read_channel_images",
    "read_geometry",
    "read_image",
    "write_image",
]

# headers with a detached .raw file are not written: two files cannot be replaced atomically
_DTYPES = ("uint8", "uint16", "int16", "int32", "float32")
_WRITABLE: dict[str, tuple[str, ...]] = dict.fromkeys((".nii.gz", ".nii", ".nrrd", ".mha", ".tif", ".tiff"), _DTYPES)
_WRITABLE[".png"] = ("uint8", "uint16")


@dataclass(frozen=True)
class Image:
    """Voxels and where they lie.

    Attributes
    ----------
    array : ndarray
        ``(x, y[, z])``, or ``(component, x, y[, z])`` for a vector image; C order.
    geometry : Geometry
        The grid of the spatial axes.
    """

    array: npt.NDArray[Any]
    geometry: Geometry


def read_image(path: Path, *, vector: bool = False, finite: bool = True) -> Image:
    """Read one scan, 2-D or 3-D.

    Parameters
    ----------
    path : Path
        An image file, or a folder that holds one DICOM series.
    vector : bool
        Read a vector image (a displacement field) instead of a scalar one; its components become the first axis.
    finite : bool
        Refuse voxels that are NaN or infinite; otherwise they stay as they are stored.

    Returns
    -------
    Image
        With the type of the stored voxels, except that all floats become float32. Trailing axes of length one beyond
        the third are dropped; a 3-D image of one slice keeps its three axes.

    Raises
    ------
    DataError
        When the file is missing, damaged, not scalar, of more than three dimensions or oddly oriented, or holds voxels
        that are not numbers.
    """
    path = Path(path)
    if path.is_dir():
        from fewscan.data.dicom import read_dicom_series

        image, geometry = read_dicom_series(path)
        array = _to_array(image).reshape(geometry.size)
        if finite:
            _require_finite(path, array)
        return Image(array, geometry)
    return Image(*_read_file(path, vector=vector, finite=finite))


def read_channel_images(paths: Sequence[Path], *, finite: bool = True) -> Iterator[Image]:
    """Read the channels of a case one after the other; a 4-D file that holds several of them is decoded once.

    Parameters
    ----------
    paths : sequence of Path
        `Case.images`: one per channel; a path that stands n times is one 4-D file (see `channel_volumes`).
    finite : bool
        As for `read_image`.

    Yields
    ------
    Image
        The scalar image of each channel, in the order of ``paths``.

    Raises
    ------
    DataError
        As `read_image`, or when a file does not hold as many channels as it should.
    """
    decoded: dict[Path, Iterator[Image]] = {}
    for path, volume in zip(paths, channel_volumes(paths), strict=True):
        if volume is None:
            yield read_image(path, finite=finite)
            continue
        if path not in decoded:
            stack, geometry = _read_file(path, channels=volume[1], finite=finite)
            decoded[path] = iter([Image(array, geometry) for array in stack])
        yield next(decoded[path])


def read_geometry(path: Path, *, volume: tuple[int, int] | None = None) -> Geometry:
    """Read the header only: the grid that the image would have; raises `DataError` alike.

    Parameters
    ----------
    path : Path
        As for `read_image`.
    volume : (int, int), optional
        ``(k, n)`` for channel k of a 4-D file that is declared to hold n channels (see `channel_volumes`).
    """
    path = Path(path)
    if path.is_dir():
        from fewscan.data.dicom import read_dicom_geometry

        return read_dicom_geometry(path)
    with opened_image(path) as reader:
        return checked_geometry(path, reader, channels=volume[1] if volume else 1)


def channel_volumes(paths: Sequence[Path]) -> tuple[tuple[int, int] | None, ...]:
    """Return, for each channel of a case, which volume of its file it is.

    A path that stands n > 1 times in `Case.images` is one 4-D file with n channels along its last axis (Decathlon): the
    k-th time it gives ``(k, n)``. A channel with a file of its own gives None.
    """
    total = {path: list(paths).count(path) for path in paths}
    return tuple(
        (list(paths[:position]).count(path), total[path]) if total[path] > 1 else None
        for position, path in enumerate(paths)
    )


def write_image(path: Path, array: npt.NDArray[Any], geometry: Geometry) -> None:
    """Write an image: compressed, atomically, with the type of ``array`` and exactly this geometry.

    Parameters
    ----------
    path : Path
        ``.nii.gz``, ``.nii``, ``.nrrd``, ``.mha``, or for 2-D ``.png``, ``.tif``; its folder is made as needed.
    array : ndarray
        ``(x, y[, z])``, or with a component axis in front for a displacement field.
    geometry : Geometry
        Its size must be the array's. PNG and TIFF drop everything else.

    Raises
    ------
    UsageError
        When the format cannot hold the image.
    DataError
        When the file cannot be written (full disk, no permission).
    """
    path = Path(path)
    if geometry.size not in (array.shape, array.shape[1:]):
        msg = f"array {array.shape} does not fit the grid {geometry.size}"
        raise ValueError(msg)
    suffix = image_suffix(path)
    vector = array.shape != geometry.size
    _check_writable(path, suffix, array.dtype.name, planar=geometry.dimensions == 2 and not vector)
    image = to_itk(array, Geometry.identity(geometry.size) if suffix in FLAT_SUFFIXES else geometry)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
        os.close(handle)
        with FILE_LOCK:
            simpleitk().WriteImage(image, temporary, True)
        if suffix in NIFTI_SUFFIXES:
            verify_nifti_payload(Path(temporary))  # ITK does not notice a full disk when it writes this format
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except (OSError, RuntimeError, DataError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the file came out incomplete"
        mend = "check the free space and the rights of the folder"
        raise DataError(f"{path}: cannot be written: {reason}", mend=mend) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _read_file(
    path: Path, *, vector: bool = False, channels: int = 1, finite: bool = True
) -> tuple[npt.NDArray[Any], Geometry]:
    """Return the voxels of one file, its components or channels as the first axis, and the grid of the others."""
    with opened_image(path) as reader:
        geometry = checked_geometry(path, reader, vector=vector, channels=channels)
        # ITK puts zeros where a NIfTI file holds NaN or infinity
        whole = verify_nifti_payload(path) if image_suffix(path) in NIFTI_SUFFIXES else True
        voxels = reader.Execute()
        leading = (reader.GetNumberOfComponents(),) if vector else (channels,) if channels > 1 else ()
    array = _to_array(voxels, volumes_first=channels > 1).reshape(leading + geometry.size)
    as_stored = np.moveaxis(array, 0, -1) if leading else array
    if not whole:
        put_back_not_finite(as_stored, path)
    if finite:
        _require_finite(path, as_stored)
    return array, geometry


def _to_array(image: Any, *, volumes_first: bool = False) -> npt.NDArray[Any]:
    """Copy ITK's voxels with the axes in header order, components first, and volumes first where that is wanted."""
    view = simpleitk().GetArrayViewFromImage(image).transpose()
    if volumes_first:
        view = np.moveaxis(view, -1, 0)
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which the callers look for
        return np.array(view, dtype=np.float32 if view.dtype.kind == "f" else view.dtype, order="C")


def _require_finite(path: Path, array: npt.NDArray[Any]) -> None:
    if array.dtype.kind != "f":
        return
    bad = ~np.isfinite(array)
    count = int(np.count_nonzero(bad))
    if not count:
        return
    first = tuple(int(k) for k in np.unravel_index(int(np.argmax(bad)), bad.shape))
    verb = "is" if count == 1 else "are"
    raise DataError(
        f"{path}: {count} of {array.size} voxels {verb} NaN or infinite, the first at index {first}",
        mend="export the scan again, replace them by the value of the background (numpy.nan_to_num), or leave it out",
    )


def _check_writable(path: Path, suffix: str, dtype: str, *, planar: bool) -> None:
    if suffix not in _WRITABLE:
        raise UsageError(f"{path}: fewscan does not write this format", mend=f"use one of {', '.join(_WRITABLE)}")
    if dtype not in _WRITABLE[suffix]:
        raise UsageError(
            f"{path}: {suffix} cannot hold values of type {dtype}", mend=f"it holds {', '.join(_WRITABLE[suffix])}"
        )
    if suffix in FLAT_SUFFIXES and not planar:
        raise UsageError(f"{path}: {suffix} holds single 2-D images only", mend="use .nii.gz")
