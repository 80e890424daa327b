"""All checks of one case: its files, their headers, their voxels, and whether they share one grid."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewscan.data.case import Case
from fewscan.data.check.geometry_pairs import check_pair
from fewscan.data.check.image_content import Intensities, check_image, content_digest
from fewscan.data.check.label_content import check_label
from fewscan.data.check.nifti_header import agreement_problems, check_nifti_header, read_nifti_header
from fewscan.data.check.problem import Problem, Source, has_errors
from fewscan.data.check.scan_size import check_memory, check_scan_size
from fewscan.data.geometry import Geometry
from fewscan.data.image_files import image_suffix
from fewscan.data.image_io import Image, read_channel_images, read_geometry
from fewscan.data.itk_reader import NIFTI_SUFFIXES
from fewscan.data.nifti_file import verify_nifti_payload
from fewscan.errors import DataError


@dataclass(frozen=True, kw_only=True)
class CaseFindings:
    """What the check of one case yields.

    Attributes
    ----------
    case : Case
        Which one.
    problems : list of Problem
        What is wrong with it.
    geometry : Geometry or None
        Of its first image; None where that could not be read.
    intensities : tuple of Intensities or None
        One entry per channel; None where there are no finite voxels to measure.
    digests : tuple of str
        SHA-256 of the voxels of each channel; "" where they could not be read or are constant.
    label_voxels : mapping of int to int, or None
        Voxels of each label value; None without a readable label.
    """

    case: Case
    problems: list[Problem] = field(default_factory=list)
    geometry: Geometry | None = None
    intensities: tuple[Intensities | None, ...] = ()
    digests: tuple[str, ...] = ()
    label_voxels: Mapping[int, int] | None = None


def check_case(case: Case, *, declared_labels: Collection[int], available_bytes: int) -> CaseFindings:
    """Check one case; a file that cannot be read does not stop the others.

    Parameters
    ----------
    case : Case
        Which one.
    declared_labels : collection of int
        Label values that the data set declares; empty where it declares none.
    available_bytes : int
        Memory that this case may take; voxels of a scan that would need more are not read.
    """
    problems: list[Problem] = []
    intensities: list[Intensities | None] = []
    digests: list[str] = []
    first: Geometry | None = None
    opened: dict[Path, list[Image | None]] = {}
    for path in case.images:
        source = Source(case_id=case.id, file=str(path))
        if path not in opened:
            opened[path], geometry, found = _open(path, source, case.images, available_bytes)
            problems += found
            if geometry is not None:
                problems += check_pair(first, geometry, source, what="channel") if first else []
                first = first or geometry
        image = opened[path].pop(0)
        measured, digest = None, ""
        if image is not None:
            found, measured = check_image(image.array, source)
            problems += found
            if measured is not None and measured.minimum < measured.maximum:
                digest = content_digest(image.array)
        intensities.append(measured)
        digests.append(digest)
    if first is not None:
        problems += check_scan_size(first.size, Source(case_id=case.id, file=str(case.images[0])))
    label_voxels = None
    if case.label is not None:
        found, label_voxels = _check_label_file(case, case.label, first, declared_labels, available_bytes)
        problems += found
    return CaseFindings(
        case=case,
        problems=problems,
        geometry=first,
        intensities=tuple(intensities),
        digests=tuple(digests),
        label_voxels=label_voxels,
    )


def _check_label_file(
    case: Case, path: Path, first: Geometry | None, declared_labels: Collection[int], available_bytes: int
) -> tuple[list[Problem], Mapping[int, int] | None]:
    source = Source(case_id=case.id, file=str(path))
    (label,), geometry, problems = _open(path, source, (path,), available_bytes)
    if first is not None and geometry is not None:
        problems += check_pair(first, geometry, source, what="label")
    if label is None:
        return problems, None
    found, counts = check_label(label.array, declared_labels, source)
    return problems + found, counts or None


def _open(
    path: Path, source: Source, paths: Sequence[Path], available_bytes: int
) -> tuple[list[Image | None], Geometry | None, list[Problem]]:
    """Return the images of one file of ``paths``, its geometry, as far as the file allows, and what is wrong with it.

    There is one image per channel that the file holds, None where it cannot be read.
    """
    count = list(paths).count(path)
    nothing: list[Image | None] = [None] * count
    problems: list[Problem] = []
    nifti = image_suffix(path) in NIFTI_SUFFIXES and not path.is_dir()
    header = read_nifti_header(path) if nifti else None
    if header is not None:
        problems += check_nifti_header(header, source, declared_volumes=count)
        if has_errors(problems):
            return nothing, None, problems
    try:
        geometry = read_geometry(path, volume=(0, count) if count > 1 else None)
        if header is not None:
            problems += agreement_problems(header, geometry, source)
        too_large = check_memory(geometry.size, len(paths), available_bytes, source)
        if too_large:
            if nifti:
                verify_nifti_payload(path)  # takes no memory, and a size that no file holds is an error
            return nothing, geometry, problems + too_large
        return list(read_channel_images([path] * count, finite=False)), geometry, problems
    except DataError as error:
        message = error.message.removeprefix(f"{path}: ")
        return nothing, None, [*problems, source.error("unreadable-image", message, mend=error.mend)]
