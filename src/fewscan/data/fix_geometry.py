"""A copy of a data set in which sheared NIfTI affines are replaced by the nearest rotation.

SimpleITK, and with it most of the field, reads images with orthonormal axes only. With the affine's 3x3 part A = R S,
S the voxel sizes (the lengths of the columns), the nearest orthonormal matrix in the Frobenius norm is the polar factor
Q = U V^T of the singular value decomposition R = U D V^T (Higham 1986, https://doi.org/10.1137/0907079). The new
affine is Q S, shifted so that the centre of the volume stays where it was. Voxels are never touched, and a true shear
(CT with a tilted gantry) needs resampling instead: the distance that the voxels moved is returned for that reason.
"""

import gzip
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from fewscan.data.check.nifti_header import (
    affine_problems,
    header_affine,
    largest_distance_mm,
    parse_nifti_header,
    read_nifti_header,
)
from fewscan.data.check.problem import Source
from fewscan.data.image_files import files_of
from fewscan.data.layouts import load_dataset
from fewscan.errors import DataError, UsageError
from fewscan.files import write_atomically

_LISTS = (".json", ".csv", ".tsv", ".txt")


@dataclass(frozen=True, kw_only=True)
class CorrectedFile:
    """One file of the copy with a new affine, and how far the farthest corner voxel moved in mm."""

    file: Path
    moved_mm: float


@dataclass(frozen=True, kw_only=True)
class CorrectedCopy:
    """The copy: where its data set begins (a folder or a manifest), and which of its files differ from the source."""

    root: Path
    corrected: tuple[CorrectedFile, ...]


def nearest_orthonormal(affine: npt.NDArray[np.float64], size: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the affine with the nearest orthonormal axes, the same voxel sizes and the same centre of the volume.

    Parameters
    ----------
    affine : (4, 4) array
        From voxel index to world in mm; not singular.
    size : tuple of int
        Voxels along each axis, up to three.
    """
    n = len(size)
    sizes_mm = np.linalg.norm(affine[:3, :n], axis=0)
    u, _, vt = np.linalg.svd(affine[:3, :n] / sizes_mm, full_matrices=False)
    fixed = np.array(affine)
    fixed[:3, :n] = (u @ vt) * sizes_mm
    centre = (np.asarray(size, float) - 1) / 2
    fixed[:3, 3] += (affine - fixed)[:3, :n] @ centre
    return fixed


def copy_with_fixed_geometry(root: Path, out: Path) -> CorrectedCopy:
    """Copy a data set to ``out`` and correct the sheared affines of the copy.

    Parameters
    ----------
    root : Path
        Folder or manifest of the data set; only read.
    out : Path
        A new or empty folder outside of ``root``.

    Raises
    ------
    UsageError
        If ``out`` is not empty, or one of the folders lies in the other.
    DataError
        If a file cannot be read or lies outside the data set's folder.
    """
    dataset = load_dataset(root)
    root, out = dataset.root, out.absolute()
    folder = root if root.is_dir() else root.parent
    if out.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"{out}: the copy must lie outside the data set {folder}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is not empty", mend="name a new folder for the copy")
    files = {path for case in dataset for path in (*case.images, *([case.label] if case.label else []))}
    _check_paths(root, folder, files)
    corrected = []
    beside = {twin for path in files if not path.is_dir() for twin in files_of(path)}
    for path in sorted(files | beside | {path for path in folder.iterdir() if path.suffix.lower() in _LISTS}):
        target = out / path.relative_to(folder)
        moved_mm = _copy_file(path, target)
        if moved_mm is not None:
            corrected.append(CorrectedFile(file=target, moved_mm=moved_mm))
    return CorrectedCopy(root=out / root.relative_to(folder), corrected=tuple(corrected))


def _check_paths(root: Path, folder: Path, files: Iterable[Path]) -> None:
    """Refuse a manifest from whose copy a path would lead back to the source."""
    mend = "write all paths relative to the manifest"
    outside = sorted(path for path in files if not path.is_relative_to(folder))
    if outside:
        raise DataError(f"{root}: names {outside[0]}, outside its own folder", mend=mend)
    if root.is_file() and str(folder) in root.read_text(encoding="utf-8-sig"):
        raise DataError(f"{root}: names a scan by an absolute path", mend=mend)


def _copy_file(path: Path, target: Path) -> float | None:
    """Copy one file or DICOM folder; return how far its voxels moved in mm, None where it is a plain copy."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target)
            return None
        header = read_nifti_header(path)
        if header is None or not _is_sheared(header):
            shutil.copyfile(path, target)
            return None
        content = path.read_bytes()
        zipped = content.startswith(b"\x1f\x8b")
        fixed, moved_mm = _with_fixed_header(gzip.decompress(content) if zipped else content)
        write_atomically(target, gzip.compress(fixed, compresslevel=6) if zipped else fixed)
        return moved_mm
    except (OSError, EOFError) as error:
        mend = "run `fewscan check` without --fix-geometry and mend the files first"
        raise DataError(f"{path}: cannot be copied: {error}", mend=mend) from None


def _is_sheared(header: nib.Nifti1Header) -> bool:
    return any(problem.code == "sheared-affine" for problem in affine_problems(header, Source()))


def _with_fixed_header(content: bytes) -> tuple[bytes, float]:
    """Return the uncompressed file with both transforms of its header corrected, everything else byte for byte."""
    header = parse_nifti_header(content)
    size = tuple(int(n) for n in header.get_data_shape()[:3])
    affine = header_affine(header)
    fixed = nearest_orthonormal(affine, size)
    code = max(int(header["sform_code"]), 1)
    header.set_sform(fixed, code)
    header.set_qform(fixed, code)
    moved_mm = largest_distance_mm(affine, fixed, size)
    return header.binaryblock + content[len(header.binaryblock) :], moved_mm
