"""A folder with one DICOM series, read as a 3-D scan.

The slices are sorted by their position along the normal of the image plane (GDCM does so), and their positions must be
evenly spaced along it: a gap means a missing slice, a repeated position a time series, a sideways shift a tilted
gantry. ITK only warns of these and stacks the slices anyhow.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewscan.data.geometry import Geometry
from fewscan.data.itk import FILE_LOCK, last_line, simpleitk
from fewscan.errors import DataError

_POSITION, _COLUMNS, _ROWS = "0020|0032", "0028|0011", "0028|0010"
_TOLERANCE = 0.01
"""Largest deviation of a slice from its place, as a share of the slice spacing; scanners round positions."""


def holds_dicom(folder: Path) -> bool:
    """Tell whether a folder holds a file with the DICOM preamble (``DICM`` at byte 128); opens nothing else."""
    return any(_is_dicom(Path(entry.path)) for entry in _sorted_files(folder))


def read_dicom_series(folder: Path) -> tuple[Any, Geometry]:
    """Return the SimpleITK image (3-D) and the grid of the one series in ``folder``; raise `DataError` otherwise."""
    names, geometry = _slices(folder)
    reader = simpleitk().ImageSeriesReader()
    reader.SetFileNames(names)
    try:
        with FILE_LOCK:
            image = reader.Execute()
    except RuntimeError as error:
        raise DataError(
            f"{folder}: the DICOM series cannot be read ({last_line(error)})", mend="export it again"
        ) from None
    return image, geometry


def read_dicom_geometry(folder: Path) -> Geometry:
    """Return the grid of the one series in ``folder`` from the headers alone."""
    return _slices(folder)[1]


def _slices(folder: Path) -> tuple[list[str], Geometry]:
    listing_of = simpleitk().ImageSeriesReader
    try:
        with FILE_LOCK:
            series = list(listing_of.GetGDCMSeriesIDs(str(folder)))
            files = {name: list(listing_of.GetGDCMSeriesFileNames(str(folder), name)) for name in series}
    except RuntimeError:
        files = {}
    if not files:
        raise DataError(
            f"{folder}: is a folder without a DICOM series", mend="give an image file, or a folder of DICOM slices"
        )
    if len(files) > 1:
        listing = "; ".join(f"{name}: {_describe(names)}" for name, names in files.items())
        raise DataError(
            f"{folder}: holds {len(files)} DICOM series ({listing})", mend="put the one you want into its own folder"
        )
    names = next(iter(files.values()))
    return names, _stack_geometry(folder, [_header(name) for name in names])


def _stack_geometry(folder: Path, headers: list[Any]) -> Geometry:
    first = headers[0]
    if first.GetNumberOfComponents() > 1:
        raise DataError(f"{folder}: holds colour images; grey-scale images are needed", mend="export the scan itself")
    direction = np.asarray(first.GetDirection()).reshape(first.GetDimension(), -1)[:3, :3]
    size, spacing = first.GetSize(), first.GetSpacing()
    depth, step_mm = (size[2] if len(size) > 2 else 1), (spacing[2] if len(size) > 2 else 1.0)
    if any(header.GetSize() != size for header in headers):
        raise DataError(f"{folder}: its slices differ in size", mend="keep the files of one series only")
    if len(headers) > 1:
        depth = len(headers)
        step_mm = _check_spacing(folder, np.array([_position(folder, header) for header in headers]), direction[:, 2])
    return Geometry(
        (size[0], size[1], depth),
        (spacing[0], spacing[1], step_mm),
        tuple(first.GetOrigin()[:3]),
        tuple(float(v) for v in direction.ravel()),
    )


def _check_spacing(folder: Path, positions_mm: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]) -> float:
    """Return the slice spacing in mm, or say how the slices are not an even stack."""
    steps = np.diff(positions_mm, axis=0)
    along = steps @ normal
    spacing_mm = float(np.median(along))
    if np.abs(along).min() < _TOLERANCE * max(abs(spacing_mm), 1e-6):
        raise DataError(f"{folder}: several slices lie at one position (a time series?)", mend="keep one volume")
    uneven = np.flatnonzero(np.abs(along - spacing_mm) > _TOLERANCE * abs(spacing_mm))
    if uneven.size:
        gap = int(uneven[0])
        raise DataError(
            f"{folder}: slices {gap + 1} and {gap + 2} are {along[gap]:.4g} mm apart, the others {spacing_mm:.4g} mm",
            mend="add the missing slice, or export the series again",
        )
    if np.linalg.norm(steps - np.outer(along, normal), axis=1).max() > _TOLERANCE * abs(spacing_mm):
        raise DataError(
            f"{folder}: the slices are shifted sideways (tilted gantry)", mend="resample it, e.g. with dcm2niix"
        )
    return spacing_mm


def _position(folder: Path, header: Any) -> list[float]:
    if not header.HasMetaDataKey(_POSITION):
        raise DataError(f"{folder}: its DICOM files do not say where the slices lie", mend="convert it to NIfTI")
    return [float(value) for value in header.GetMetaData(_POSITION).split("\\")]


def _header(name: str) -> Any:
    reader = simpleitk().ImageFileReader()
    reader.SetFileName(name)
    reader.SetImageIO("GDCMImageIO")
    try:
        with FILE_LOCK:
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(
            f"{name}: cannot be read as DICOM ({last_line(error)})", mend="export the series again"
        ) from None
    return reader


def _describe(names: list[str]) -> str:
    header = _header(names[0])
    columns, rows = (header.GetMetaData(key).strip() for key in (_COLUMNS, _ROWS))
    return f"{len(names)} files of {columns} x {rows}"


def _sorted_files(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if e.is_file() and not e.name.startswith(".")), key=lambda e: e.name)


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
