"""Reading and writing scans with their geometry.

Formats, through SimpleITK: NIfTI, NRRD, MetaImage, a folder that holds one DICOM series (3-D), and PNG and TIFF (2-D).

Arrays have the image's own axes in header order, ``(x, y)`` or ``(x, y, z)``, a vector image its components in front.
Lengths are in mm. PNG and TIFF keep no dependable geometry (72 dpi is a habit, not a measurement), so they are always
read with unit spacing at the origin. SimpleITK is imported when the first image is opened, not with this module.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.image_files import IMAGE_SUFFIXES, check_file, image_stem, image_suffix, is_image_file
from fewscan.data.itk import last_line, simpleitk
from fewscan.data.nifti_file import verify_nifti_header, verify_nifti_payload
from fewscan.errors import DataError, UsageError

__all__ = [
    "IMAGE_SUFFIXES",
    "Image",
    "channel_volumes",
    "image_stem",
    "image_suffix",
    "is_image_file",
    "read_geometry",
    "read_image",
    "write_image",
]

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

# headers with a detached .raw file are not written: two files cannot be replaced atomically
_DTYPES = ("uint8", "uint16", "int16", "int32", "float32")
_WRITABLE: dict[str, tuple[str, ...]] = dict.fromkeys((".nii.gz", ".nii", ".nrrd", ".mha", ".tif", ".tiff"), _DTYPES)
_WRITABLE[".png"] = ("uint8", "uint16")

_FLAT = (".png", ".tif", ".tiff")
_NIFTI = (".nii", ".nii.gz")


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


def read_image(path: Path, *, vector: bool = False, volume: tuple[int, int] | None = None) -> Image:
    """Read one scan, 2-D or 3-D.

    Parameters
    ----------
    path : Path
        An image file, or a folder that holds one DICOM series.
    vector : bool
        Read a vector image (a displacement field) instead of a scalar one; its components become the first axis.
    volume : (int, int), optional
        ``(k, n)``: take volume k of a 4-D file that is declared to hold n channels (see `channel_volumes`).

    Returns
    -------
    Image
        With the type of the stored voxels, except that all floats become float32. Trailing axes of length one beyond
        the third are dropped; a 3-D image of one slice keeps its three axes.

    Raises
    ------
    DataError
        When the file is missing, damaged, not scalar, of more than three dimensions or oddly oriented.
    """
    path = Path(path)
    if path.is_dir():
        from fewscan.data.dicom import read_dicom_series

        image, geometry = read_dicom_series(path)
        return Image(_to_array(image).reshape(geometry.size), geometry)
    with _opened(path) as reader:
        geometry = _checked_header(path, reader, vector=vector, volume=volume)
        if image_suffix(path) in _NIFTI:
            verify_nifti_payload(path)
        array = _to_array(reader.Execute())
        components = (reader.GetNumberOfComponents(),) if vector else ()
    if volume is not None:
        array = np.ascontiguousarray(array[..., volume[0]])
    return Image(array.reshape(components + geometry.size), geometry)


def read_geometry(path: Path, *, volume: tuple[int, int] | None = None) -> Geometry:
    """Read the header only: the grid that `read_image` would give; raises `DataError` alike."""
    path = Path(path)
    if path.is_dir():
        from fewscan.data.dicom import read_dicom_geometry

        return read_dicom_geometry(path)
    with _opened(path) as reader:
        return _checked_header(path, reader, vector=False, volume=volume)


def channel_volumes(paths: Sequence[Path]) -> tuple[tuple[int, int] | None, ...]:
    """Return, for each channel of a case, the ``volume`` that `read_image` needs to read it.

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
    image = _to_itk(array, geometry, vector=vector, bare=suffix in _FLAT)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
        os.close(handle)
        simpleitk().WriteImage(image, temporary, True)
        if suffix in _NIFTI:
            verify_nifti_payload(Path(temporary))  # ITK does not notice a full disk when it writes this format
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except (OSError, RuntimeError, DataError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the file came out incomplete"
        mend = "check the free space and the rights of the folder"
        raise DataError(f"{path}: cannot be written: {reason}", mend=mend) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Give an ITK reader that has read the header of ``path``; every ITK failure inside becomes a `DataError`."""
    suffix = check_file(path)
    if suffix in _NIFTI:
        verify_nifti_header(path)
    name = str(path)
    with ExitStack() as stack:
        if suffix in _NIFTI and not name.endswith((suffix, suffix.upper())):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fewscan-"))
            name = os.path.join(folder, "image" + suffix)  # the NIfTI library refuses mixed case such as .Nii.gz
            os.symlink(path.absolute(), name)
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
        return DataError(
            f"{path}: its axes are not at right angles to each other (non-orthonormal direction cosines)",
            mend="run `fewscan check DATA --fix-geometry`, or convert the file again",
        )
    return DataError(
        f"{path}: cannot be read, the file is damaged or incomplete ({last_line(error)})", mend="export it again"
    )


def _checked_header(path: Path, reader: Any, *, vector: bool, volume: tuple[int, int] | None) -> Geometry:
    """Return the grid of the spatial axes, or say why the image cannot be used."""
    size = list(reader.GetSize())
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    _check_pixels(path, reader.GetNumberOfComponents(), reader.GetPixelID(), vector=vector)
    shape = " x ".join(map(str, size))
    if volume is not None:
        if len(size) != 4 or size[3] != volume[1]:
            raise DataError(
                f"{path}: {volume[1]} channels are declared in this file, which has {len(size)} axes ({shape})",
                mend=f"give a 4-D file with {volume[1]} volumes, or correct the declared channels",
            )
        size.pop()
    if len(size) > 3:
        raise DataError(
            f"{path}: has {len(size)} axes ({shape}), and nothing declares what the last ones are",
            mend="save the volume you want as a file of its own (SimpleITK: image[:, :, :, k]); if the last axis holds "
            "channels, list them under `modality` in a Decathlon dataset.json",
        )
    if image_suffix(path) in _FLAT:
        if len(size) != 2:
            raise DataError(
                f"{path}: holds {size[-1]} pages; PNG and TIFF are read as single 2-D images",
                mend="save the stack as .nii.gz or .nrrd, which also keep the voxel spacing",
            )
        return Geometry.identity(tuple(size))
    n, total = len(size), reader.GetDimension()
    direction = np.asarray(reader.GetDirection()).reshape(total, total)[:n, :n]
    return Geometry(
        tuple(size),
        tuple(reader.GetSpacing()[:n]),
        tuple(reader.GetOrigin()[:n]),
        tuple(float(v) for v in direction.ravel()),
    )


def _check_pixels(path: Path, components: int, pixel_id: int, *, vector: bool) -> None:
    kind = simpleitk().GetPixelIDValueAsString(pixel_id)
    if "complex" in kind:
        raise DataError(f"{path}: holds complex numbers", mend="save the magnitude image")
    if components > 1 and not vector:
        what = "a colour image" if "8-bit" in kind or image_suffix(path) in _FLAT else "a vector image"
        raise DataError(
            f"{path}: is {what} with {components} numbers per voxel; a grey-scale image is needed",
            mend="save one channel, or convert it to grey-scale",
        )
    if components == 1 and vector:
        raise DataError(f"{path}: is a scalar image, a displacement field is needed", mend="check the path")


def _to_array(image: Any) -> npt.NDArray[Any]:
    """Copy ITK's voxels with the axes in header order, components first."""
    view = simpleitk().GetArrayViewFromImage(image).transpose()
    return np.array(view, dtype=np.float32 if view.dtype.kind == "f" else view.dtype, order="C")


def _to_itk(array: npt.NDArray[Any], geometry: Geometry, *, vector: bool, bare: bool) -> Any:
    image = simpleitk().GetImageFromArray(np.ascontiguousarray(array.transpose()), isVector=vector)
    if not bare:
        image.SetSpacing(geometry.spacing_mm)
        image.SetOrigin(geometry.origin_mm)
        image.SetDirection(geometry.direction)
    return image


def _check_writable(path: Path, suffix: str, dtype: str, *, planar: bool) -> None:
    if suffix not in _WRITABLE:
        raise UsageError(f"{path}: fewscan does not write this format", mend=f"use one of {', '.join(_WRITABLE)}")
    if dtype not in _WRITABLE[suffix]:
        raise UsageError(
            f"{path}: {suffix} cannot hold values of type {dtype}", mend=f"it holds {', '.join(_WRITABLE[suffix])}"
        )
    if suffix in _FLAT and not planar:
        raise UsageError(f"{path}: {suffix} holds single 2-D images only", mend="use .nii.gz")
