"""What a NIfTI header says, checked without reading a voxel.

Source: the NIfTI-1 standard (https://nifti.nimh.nih.gov/nifti-1). A header may hold two transforms from voxel to world,
the qform (a rotation) and the sform (any affine matrix). The rule here is that of nibabel: the sform counts if its code
is above 0, else the qform if its code is above 0, else the voxel spacing alone; `fewscan.data.nifti_orientation` keeps
to it when scans are read.
"""

import gzip
import io
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from fewscan.data.check.problem import Problem, Source, plain
from fewscan.data.geometry import Geometry
from fewscan.data.nifti_orientation import ORTHONORMAL_TOLERANCE, orthonormal_deviation

NIFTI1_BYTES, NIFTI2_BYTES = 348, 540

QFORM_TOLERANCE_VOX = 1e-2
"""The qform is stored as a quaternion in float32, so that it never agrees exactly."""

Affine = npt.NDArray[np.float64]


def read_nifti_header(path: Path) -> nib.Nifti1Header | None:
    """Return the header of a NIfTI file of either version and byte order; None where there is no such header.

    The reason for None is left to `fewscan.data.image_io`, which reads the same file with a message for each fault.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            return parse_nifti_header(file.read(NIFTI2_BYTES))
    except (OSError, EOFError, zlib.error, HeaderDataError):
        return None


def parse_nifti_header(content: bytes) -> nib.Nifti1Header:
    """Return the header at the start of ``content``, as stored and without any repair.

    Raises
    ------
    HeaderDataError
        If the bytes are no NIfTI header.
    """
    sizes = (int.from_bytes(content[:4], "little"), int.from_bytes(content[:4], "big"))
    for kind, length in ((nib.Nifti1Header, NIFTI1_BYTES), (nib.Nifti2Header, NIFTI2_BYTES)):
        if length in sizes and len(content) >= length:
            return kind.from_fileobj(io.BytesIO(content), check=False)
    msg = "the first bytes are no NIfTI header"
    raise HeaderDataError(msg)


def header_affine(header: nib.Nifti1Header) -> Affine:
    """Return the (4, 4) matrix from voxel index to world (RAS, mm), by the rule above and as stored."""
    if header["sform_code"] > 0:
        return np.asarray(header.get_sform(), dtype=np.float64)
    if header["qform_code"] > 0:
        try:
            return np.asarray(header.get_qform(), dtype=np.float64)
        except ValueError:  # the quaternion is longer than a unit one, so it is no rotation
            return np.full((4, 4), np.nan)
    return np.diag([*(float(v) for v in header["pixdim"][1:4]), 1.0])


def check_nifti_header(header: nib.Nifti1Header, source: Source, *, declared_volumes: int = 1) -> list[Problem]:
    """Check all that the header tells.

    Parameters
    ----------
    header : Nifti1Header
        Of either version.
    source : Source
        Case and file, for the messages.
    declared_volumes : int
        Channels that the layout declares along the fourth axis.
    """
    try:
        known = header.get_data_dtype().itemsize > 0
    except (HeaderDataError, KeyError):
        known = False
    if not known:
        message = f"unknown voxel type {int(header['datatype'])}"
        return [source.error("bad-header", message, mend="convert the scan anew")]
    shape = tuple(int(v) for v in header.get_data_shape())
    if len(shape) < 2 or min(shape) < 1:
        return [source.error("bad-header", f"shape {shape} is not that of an image", mend="convert the scan anew")]
    return [
        *axes_problems(shape, source, declared_volumes=declared_volumes),
        *voxel_type_problems(header, source),
        *affine_problems(header, source),
    ]


def axes_problems(shape: tuple[int, ...], source: Source, *, declared_volumes: int = 1) -> list[Problem]:
    """Check the number of axes, ``shape`` being the header's (x, y, z, time, vector)."""
    if len(shape) > 4 and any(n > 1 for n in shape[4:]):
        message = f"shape {shape}: a vector per voxel (a displacement field?), not a scalar image"
        return [source.error("vector-image", message, mend="save each component as an image of its own")]
    if len(shape) > 3 and shape[3] not in (1, declared_volumes):
        message = f"shape {shape}: a series of {shape[3]} volumes, and nothing declares what they are"
        mend = "save the volume that is meant, nibabel.four_to_three(image)[k]; or each one as a channel"
        return [source.error("time-series", message, mend=mend)]
    if len(shape) > 3 and shape[-1] == 1:
        return [source.note("trailing-axis", f"shape {shape}: the axis of length 1 at the end is dropped")]
    return []


def voxel_type_problems(header: nib.Nifti1Header, source: Source) -> list[Problem]:
    """Check the voxel type and the scaling; byte order and the width of integers are free."""
    dtype = header.get_data_dtype()
    if dtype.fields is not None:
        mend = "save the one channel that is meant, or the mean of the three, as a scalar image"
        return [source.error("colour-image", "each voxel is a colour (RGB), not a number", mend=mend)]
    if dtype.kind == "c":
        mend = "save the magnitude, numpy.abs(voxels)"
        return [source.error("complex-image", "each voxel is a complex number", mend=mend)]
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite([slope, inter]).all():
        message = f"scl_slope {slope}, scl_inter {inter}: not finite, so the voxels are taken as stored, unscaled"
        mend = "check the intensities; load with nibabel and save again to reset the scaling"
        return [source.warning("bad-scaling", message, mend=mend)]
    if slope == 0 and inter != 0:
        message = f"scl_slope 0 means no scaling, so scl_inter {plain(inter)} is not added to the voxels"
        return [source.note("bad-scaling", message)]
    return []


def affine_problems(header: nib.Nifti1Header, source: Source) -> list[Problem]:
    """Check that the transform to world coordinates can be used, and that the header does not contradict itself."""
    dimensions = min(len(header.get_data_shape()), 3)
    spacing_mm = np.abs(np.asarray(header["pixdim"][1 : dimensions + 1], dtype=float))
    if not np.isfinite(spacing_mm).all() or (spacing_mm == 0).any():
        message = f"the voxel spacing is {_row(spacing_mm)} mm"
        return [source.error("zero-spacing", message, mend="restore the true spacing, e.g. from the DICOM files")]
    if header["sform_code"] <= 0 and header["qform_code"] <= 0:
        return [source.note("no-orientation", "the header stores no orientation, so left and right rest on trust")]
    affine = header_affine(header)
    matrix = affine[:3, :dimensions]
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(matrix) < dimensions:
        message = "the affine is singular or not finite: voxels have no place of their own in space"
        return [source.error("singular-affine", message, mend="convert the scan anew from its DICOM files")]
    if is_sheared(matrix):
        message = f"the affine is sheared: two axes are {right_angle_error_deg(matrix):.3g} degrees off a right angle"
        mend = (
            "`fewscan check DATA --fix-geometry OUT` writes a copy with the nearest rotation; where the shear is real"
            " (CT with a tilted gantry), resample the scan instead"
        )
        return [source.error("sheared-affine", message, mend=mend)]
    return []


def is_sheared(matrix: Affine) -> bool:
    """Tell whether the axes, the columns of ``matrix``, are off right angles by more than the tolerance."""
    return orthonormal_deviation(matrix) > ORTHONORMAL_TOLERANCE


def right_angle_error_deg(matrix: Affine) -> float:
    """Return by how much the angle of two axes is off a right angle, in degrees; the worst pair of columns."""
    # R^T R of unit columns deviates from the identity off the diagonal only, by the cosines of the angles
    return float(np.degrees(np.arcsin(min(orthonormal_deviation(matrix), 1.0))))


def agreement_problems(header: nib.Nifti1Header, geometry: Geometry, source: Source) -> list[Problem]:
    """Compare the sform with the qform or, without one, with the voxel spacing; programs differ in which they believe.

    Parameters
    ----------
    header : Nifti1Header
        Without errors.
    geometry : Geometry
        What `fewscan.data.image_io` made of the header.
    source : Source
        Case and file, for the message.
    """
    if header["sform_code"] <= 0:
        return []
    sform, other = header_affine(header), _other_transform(header)
    if other is None:
        mend = "load with nibabel, image.set_qform(image.affine), save"
        return [source.warning("qform-differs", "the qform holds no rotation", mend=mend)]
    apart_mm = largest_distance_mm(sform, other, geometry.size)
    if apart_mm <= QFORM_TOLERANCE_VOX * min(geometry.spacing_mm):
        return []
    mend = "write the true one into both: nibabel's image.set_sform(affine), image.set_qform(affine), save"
    if header["qform_code"] <= 0:
        message = f"sform and voxel spacing contradict each other, by up to {plain(apart_mm)} mm; "
        message += f"the sform is used, as its code is above 0: {_row(np.asarray(geometry.spacing_mm))} mm"
        return [source.warning("spacing-differs", message, mend=mend)]
    message = f"qform and sform place voxels up to {plain(apart_mm)} mm apart; "
    message += "the sform is used, as its code is above 0, while some programs use the qform"
    return [source.warning("qform-differs", message, mend=mend)]


def _other_transform(header: nib.Nifti1Header) -> Affine | None:
    """Return the qform, or the sform with the header's voxel spacing where no qform is set; None if it is broken."""
    if header["qform_code"] <= 0:
        spaced = header_affine(header)
        sizes_mm = np.linalg.norm(spaced[:3, :3], axis=0)
        spaced[:3, :3] *= np.abs(np.asarray(header["pixdim"][1:4], dtype=float)) / np.where(sizes_mm > 0, sizes_mm, 1)
        return spaced
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except ValueError:
        return None


def largest_distance_mm(first: Affine, second: Affine, size: tuple[int, ...]) -> float:
    """Return the largest distance between the places that two affines give to one voxel."""
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in size], indexing="ij")).reshape(len(size), -1)
    difference = (first - second)[:3]
    apart = difference[:, : len(size)] @ ends + difference[:, 3:]
    return float(np.linalg.norm(apart, axis=0).max())


def _row(values: Affine) -> str:
    return " x ".join(plain(value) for value in values)
