"""Virtual patients and whole virtual cohorts, made from the MNI152 template; see the three ``cohort_*`` modules.

Each patient is the same anatomy, smoothly deformed and seen by a scanner of its own. The true labels and the true
deformation are known, so segmentation and registration can be tried and tested where no real scan may be used.
Patient k is the same whatever the size of the cohort.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewscan.data.case import Dataset
from fewscan.data.cohort_anatomy import CLASS_NAMES, load_anatomy, patient_grid
from fewscan.data.cohort_appearance import paint
from fewscan.data.cohort_deformation import identity_grid, random_deformation
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.layouts import load_dataset
from fewscan.errors import UsageError
from fewscan.files import write_atomically
from fewscan.seeding import generator_for, seed_for

DEFAULT_SIZE = {2: (96, 112), 3: (48, 56, 48)}
MINIMUM_SIZE = 16


@dataclass(frozen=True)
class VirtualPatient:
    """One scan with everything that is known about it.

    Attributes
    ----------
    image : ndarray, shape (*size), float32
        The scan, in a scanner's arbitrary units; zero outside the head.
    label : ndarray, shape (*size), uint8
        Index into `cohort_anatomy.CLASS_NAMES`: the likeliest class of the deformed template.
    displacement_vox : ndarray, shape (n, *size), float32
        u in ``patient(x) = template(x + u(x))``, in voxels of ``geometry``, component k along array axis k. The
        template's coordinates are those of ``geometry``, so u = 0 would show the template itself.
    geometry : Geometry
        Grid of the scan.
    """

    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8]
    displacement_vox: npt.NDArray[np.float32]
    geometry: Geometry


def make_patient(seed: int, *, dimensions: int = 2, size: int | Sequence[int] | None = None) -> VirtualPatient:
    """Make one virtual patient.

    Parameters
    ----------
    seed : int
        Equal seeds give equal patients.
    dimensions : 2 or 3
        An axial slice or a volume.
    size : int or sequence of int, optional
        Voxels along each axis; one number is used for all axes. The whole brain is always in view, so more voxels mean
        smaller ones. `DEFAULT_SIZE` unless given.

    Raises
    ------
    UsageError
        The size is too small or does not fit the dimensions, or nilearn is not installed.
    """
    geometry = patient_grid(_checked_size(dimensions, size))
    spacing_mm = geometry.spacing_mm[0]
    displacement = random_deformation(generator_for(seed, "shape"), geometry.size, spacing_mm=spacing_mm)
    origin = np.reshape(geometry.origin_mm, (-1,) + (1,) * geometry.dimensions)
    points_mm = origin + spacing_mm * (identity_grid(geometry.size) + displacement)
    tissues, detail = load_anatomy(dimensions, spacing_mm=spacing_mm).sample(points_mm)
    background = 1 - tissues[1:].sum(axis=0)
    label = np.concatenate([background[None], tissues[1:]]).argmax(axis=0).astype(np.uint8)
    image = paint(generator_for(seed, "scanner"), tissues, detail, spacing_mm=spacing_mm)
    return VirtualPatient(image, label, displacement.astype(np.float32), geometry)


def make_cohort(
    out: Path,
    *,
    cases: int,
    labelled: int,
    test: int = 0,
    dimensions: int = 2,
    size: int | Sequence[int] | None = None,
    seed: int = 0,
    with_deformations: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> Dataset:
    """Write a cohort in the nnU-Net v2 raw layout and return it as a data set.

    ``imagesTr`` holds ``cases`` scans of which the first ``labelled`` have a file in ``labelsTr``; ``imagesTs`` and
    ``labelsTs`` hold ``test`` more.

    Parameters
    ----------
    out : Path
        Folder to make; it must be new or empty.
    cases, labelled, test : int
        Training scans, how many of them are annotated, and test scans (all annotated).
    dimensions, size
        See `make_patient`.
    seed : int
        Patient k of a seed is the same in every cohort.
    with_deformations : bool
        Also write ``deformations/ID.npy``: the true ``displacement_vox`` of each scan, float32.
    progress : callable, optional
        Called with the id of every scan that is written and the number of all scans.

    Raises
    ------
    UsageError
        A number is out of range, ``out`` is not empty, or nilearn is not installed.
    """
    if cases < 1 or test < 0 or not 0 <= labelled <= cases:
        raise UsageError(
            f"a cohort of {cases} cases, {labelled} labelled, and {test} test cases is impossible",
            mend="ask for at least 1 case, no more labelled cases than cases, and no negative number",
        )
    size = _checked_size(dimensions, size)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder", mend="choose another folder")
    for kind, folder, count, annotated in (("patient", "Tr", cases, labelled), ("test", "Ts", test, test)):
        for index in range(count):
            case_id = f"{kind}_{index + 1:03d}"
            patient = make_patient(seed_for(seed, kind, index), dimensions=dimensions, size=size)
            image = np.rint(patient.image).astype(np.int16)
            write_image(out / f"images{folder}" / f"{case_id}_0000.nii.gz", image, patient.geometry)
            if index < annotated:
                write_image(out / f"labels{folder}" / f"{case_id}.nii.gz", patient.label, patient.geometry)
            if with_deformations:
                _write_array(out / "deformations" / f"{case_id}.npy", patient.displacement_vox)
            if progress is not None:
                progress(case_id, cases + test)
    # written last: a cohort without it was interrupted and is not a data set
    write_atomically(out / "dataset.json", _description(out.name, cases).encode())
    return load_dataset(out)


def _checked_size(dimensions: int, size: int | Sequence[int] | None) -> tuple[int, ...]:
    if dimensions not in DEFAULT_SIZE:
        raise UsageError(f"virtual patients have 2 or 3 dimensions, not {dimensions}")
    if size is None:
        return DEFAULT_SIZE[dimensions]
    sizes = (size,) * dimensions if isinstance(size, int) else tuple(size)
    if len(sizes) != dimensions or min(sizes) < MINIMUM_SIZE:
        raise UsageError(
            f"size {sizes} does not suit {dimensions} dimensions",
            mend=f"give one number or {dimensions}, each at least {MINIMUM_SIZE}",
        )
    return sizes


def _description(name: str, cases: int) -> str:
    content = {
        "name": name,
        "description": "virtual patients made by fewscan from the MNI152 template",
        "channel_names": {"0": "virtual T1"},
        "labels": {label: value for value, label in enumerate(CLASS_NAMES)},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    return json.dumps(content, indent=2) + "\n"


def _write_array(path: Path, array: npt.NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())
