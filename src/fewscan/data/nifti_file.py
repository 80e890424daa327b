"""Whether a NIfTI file is whole.

ITK reads a truncated ``.nii`` or ``.nii.gz`` without a word and fills the rest with zeros, and it writes to a full disk
just as silently. These checks read the header fields that say how long the voxels are (NIfTI-1 and NIfTI-2 standards,
https://nifti.nimh.nih.gov) and count, and let gzip verify its own checksum.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from fewscan.errors import DataError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Version:
    """Byte positions of the fields of one version of the header."""

    header_size: int
    dim: tuple[int, str]
    bitpix: int
    vox_offset: tuple[int, str]
    sform_code: tuple[int, str]
    sform: tuple[int, str]


_VERSIONS = (
    _Version(348, (40, "8h"), 72, (108, "f"), (254, "h"), (280, "12f")),
    _Version(540, (16, "8q"), 14, (168, "q"), (348, "i"), (400, "12d")),
)


def verify_nifti_header(path: Path) -> None:
    """Raise `DataError` when ``path`` is not what its name says, or its header is not a usable NIfTI header."""
    _expected_bytes(path)


def verify_nifti_payload(path: Path) -> None:
    """Raise `DataError` when ``path`` holds fewer bytes than its header promises, or a gzip stream is damaged."""
    expected = _expected_bytes(path)
    found = 0
    try:
        with _open(path) as file:
            if not _is_gzip(path):
                found = file.seek(0, 2)
            else:
                while chunk := file.read(_CHUNK):
                    found += len(chunk)
    except EOFError:
        raise _truncated(path, "the compressed stream ends too early") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{path}: the compressed data are damaged: {error}", mend="copy or export it again") from None
    if found < expected:
        raise _truncated(path, f"the header promises {expected} bytes, the file holds {found}")


def _expected_bytes(path: Path) -> int:
    """Return the (uncompressed) bytes that header and voxels need together."""
    compressed = path.name.lower().endswith(".gz")
    if compressed != _is_gzip(path):
        state, right = ("is not compressed", ".nii") if compressed else ("is gzip-compressed", ".nii.gz")
        raise DataError(f"{path}: {state}, unlike its name says", mend=f"rename it to end in {right}")
    try:
        with _open(path) as file:
            head = file.read(540)
    except EOFError:
        raise _truncated(path, "the compressed stream ends too early") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{path}: the compressed data are damaged: {error}", mend="copy or export it again") from None
    for order in "<>":
        for version in _VERSIONS:
            size = version.header_size
            if len(head) >= size and struct.unpack_from(order + "i", head)[0] == size:
                return _payload_end(path, head, order, version)
    raise DataError(f"{path}: has no NIfTI header", mend="copy or export it again")


def _payload_end(path: Path, head: bytes, order: str, version: _Version) -> int:
    def field(position: int, kind: str) -> tuple[float, ...]:
        return struct.unpack_from(order + kind, head, position)

    dim = [int(n) for n in field(*version.dim)]
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise DataError(f"{path}: the header holds impossible sizes {dim}", mend="copy or export it again")
    if field(*version.sform_code)[0] > 0 and not all(math.isfinite(v) for v in field(*version.sform)):
        raise DataError(f"{path}: the header's orientation holds NaN or infinity", mend="export it again")
    offset, bits = field(*version.vox_offset)[0], int(field(version.bitpix, "h")[0])
    start = int(offset) if math.isfinite(offset) else 0
    return max(start, version.header_size) + math.prod(dim[1 : dim[0] + 1]) * bits // 8


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if _is_gzip(path) else path.open("rb")


def _truncated(path: Path, detail: str) -> DataError:
    return DataError(f"{path}: the file is truncated: {detail}", mend="copy, download or export it again")
