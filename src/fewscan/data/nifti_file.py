"""What a NIfTI file holds, where ITK's reader is silent about it.

ITK reads a truncated ``.nii`` or ``.nii.gz`` without a word and fills the rest with zeros, it writes to a full disk
just as silently, and it replaces NaN and infinity by 0 (nifti_clib does so in every float image). These checks read the
header fields that say where and how long the voxels are (NIfTI-1 and NIfTI-2 standards, https://nifti.nimh.nih.gov),
count the bytes, let gzip verify its own checksum, and look at the voxels of float files as stored.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from fewscan.errors import DataError

_CHUNK = 1 << 20  # a multiple of every voxel size, so that no voxel lies in two chunks

_FARTHEST_START = 1 << 30
"""Extensions before the voxels may hold many megabytes; a later start is a damaged header, not worth the memory."""

_FLOAT_TYPES = {16: "f4", 64: "f8"}  # the field datatype; complex and 128-bit numbers are refused elsewhere


@dataclass(frozen=True)
class NiftiFields:
    """The fields of a header that say where the voxels lie, in the file and in space.

    Attributes
    ----------
    shape : tuple of int
        (x, y, z, time, vector), as many as the file has axes.
    voxel_start, voxel_bytes : int
        Where the voxels begin in the (uncompressed) file, and how many bytes they need.
    float_type : dtype or None
        Of the stored voxels in their byte order; None unless they are 32-bit or 64-bit floats.
    sform : (3, 4) array or None
        From voxel index to world (RAS, mm); None unless its code is above 0.
    """

    shape: tuple[int, ...]
    voxel_start: int
    voxel_bytes: int
    float_type: np.dtype[Any] | None
    sform: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class _Version:
    """Byte positions of the fields of one version of the header."""

    header_size: int
    dim: tuple[int, str]
    datatype: int
    bitpix: int
    vox_offset: tuple[int, str]
    sform_code: tuple[int, str]
    sform: tuple[int, str]


_VERSIONS = (
    _Version(348, (40, "8h"), 70, 72, (108, "f"), (254, "h"), (280, "12f")),
    _Version(540, (16, "8q"), 12, 14, (168, "q"), (348, "i"), (400, "12d")),
)


def read_nifti_fields(path: Path) -> NiftiFields:
    """Read the header; `DataError` when ``path`` is not what its name says, or its header is no usable NIfTI header."""
    compressed = path.name.lower().endswith(".gz")
    if compressed != _is_gzip(path):
        state, right = ("is not compressed", ".nii") if compressed else ("is gzip-compressed", ".nii.gz")
        raise DataError(
            f"{path}: {state}, unlike its name says", mend=f"rename it to end in {right}, or export it again"
        )
    with _opened(path) as file:
        head = file.read(540)
    for order in "<>":
        for version in _VERSIONS:
            size = version.header_size
            if len(head) >= size and struct.unpack_from(order + "i", head)[0] == size:
                return _parse(path, head, order, version)
    raise DataError(f"{path}: has no NIfTI header", mend="copy or export it again")


def verify_nifti_payload(path: Path) -> bool:
    """Verify that ``path`` holds all the voxels that its header promises, and tell whether all of them are finite.

    Of the voxels of an uncompressed integer file, which are finite in any case, nothing is read.

    Raises
    ------
    DataError
        If bytes are missing, or a gzip stream is damaged.
    """
    fields = read_nifti_fields(path)
    expected = fields.voxel_start + fields.voxel_bytes
    finite = True
    with _opened(path) as file:
        if fields.float_type is None and not _is_gzip(path):
            found = file.seek(0, 2)
        else:
            found = len(file.read(fields.voxel_start))
            while chunk := file.read(_CHUNK):
                if fields.float_type is not None and finite:
                    finite = _all_finite(chunk[: max(expected - found, 0)], fields.float_type)
                found += len(chunk)
    if found < expected:
        raise _truncated(path, f"the header promises {expected} bytes, the file holds {found}")
    return finite


def put_back_not_finite(array: npt.NDArray[Any], path: Path) -> None:
    """Put the NaN and infinite voxels of a float file back into ``array``, which ITK read with zeros in their place.

    Parameters
    ----------
    array : (x, y[, z][, volume or component]) array
        All voxels of the file, changed in place; axes of length one may be missing.
    path : Path
        The file, known to be whole.
    """
    fields = read_nifti_fields(path)
    with _opened(path) as file:
        file.seek(fields.voxel_start)
        content = file.read(fields.voxel_bytes)
    stored = np.frombuffer(content, fields.float_type).reshape(array.shape, order="F")
    bad = ~np.isfinite(stored)
    array[bad] = stored[bad]


def _all_finite(content: bytes, float_type: np.dtype[Any]) -> bool:
    return bool(np.isfinite(np.frombuffer(content, float_type, count=len(content) // float_type.itemsize)).all())


def _parse(path: Path, head: bytes, order: str, version: _Version) -> NiftiFields:
    def field(position: int, kind: str) -> tuple[float, ...]:
        return struct.unpack_from(order + kind, head, position)

    dim = [int(n) for n in field(*version.dim)]
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise DataError(f"{path}: the header holds impossible sizes {dim}", mend="copy or export it again")
    shape = tuple(dim[1 : dim[0] + 1])
    sform = None
    if field(*version.sform_code)[0] > 0:
        sform = np.array(field(*version.sform), dtype=np.float64).reshape(3, 4)
        _check_sform(path, sform, axes=min(len(shape), 3))
    offset, bits = field(*version.vox_offset)[0], int(field(version.bitpix, "h")[0])
    if math.isfinite(offset) and offset > _FARTHEST_START:
        raise DataError(f"{path}: the header puts the voxels at byte {offset:.6g}", mend="copy or export it again")
    kind = _FLOAT_TYPES.get(int(field(version.datatype, "h")[0]))
    return NiftiFields(
        shape=shape,
        voxel_start=max(int(offset) if math.isfinite(offset) else 0, version.header_size),
        voxel_bytes=math.prod(shape) * bits // 8,
        float_type=np.dtype(order + kind) if kind else None,
        sform=sform,
    )


def _check_sform(path: Path, sform: npt.NDArray[np.float64], *, axes: int) -> None:
    if not np.isfinite(sform).all():
        raise DataError(f"{path}: the header's orientation holds NaN or infinity", mend="export it again")
    if np.linalg.matrix_rank(sform[:, :axes]) < axes:
        raise DataError(f"{path}: the header's orientation is singular", mend="export it again")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Give the file, uncompressed; every failure to read it becomes a `DataError`."""
    try:
        with cast("BinaryIO", gzip.open(path, "rb")) if _is_gzip(path) else path.open("rb") as file:
            yield file
    except EOFError:
        raise _truncated(path, "the compressed stream ends too early") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{path}: the compressed data are damaged: {error}", mend="copy or export it again") from None


def _truncated(path: Path, detail: str) -> DataError:
    return DataError(f"{path}: the file is truncated: {detail}", mend="copy, download or export it again")
