"""The deformation between two virtual patients is known: by composition and inversion, and to be found again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fewscan.data.cohort import VirtualPatient, make_patient
from fewscan.data.cohort_anatomy import CLASS_NAMES
from fewscan.data.image_io import write_image
from fewscan.displacement import compose, invert, warp_labels
from fewscan.registration.jacobian import jacobian_determinant
from fewscan.registration.physical import displacement_in_voxels
from fewscan.registration.register import register
from fewscan.registration.transform_file import read_displacement

SIZE = (64, 72)


@pytest.fixture(scope="module")
def patients() -> tuple[VirtualPatient, VirtualPatient]:
    return make_patient(1, size=SIZE), make_patient(2, size=SIZE)


def true_displacement(moving: VirtualPatient, fixed: VirtualPatient) -> torch.Tensor:
    """Return v with moving(x + v(x)) = fixed(x): through the template that both are images of."""
    to_template, from_template = (torch.from_numpy(one.displacement_vox)[None].double() for one in (fixed, moving))
    return compose(invert(from_template, iterations=50), to_template)


def dice(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def test_the_known_deformation_lays_one_patient_onto_the_other(patients: tuple[VirtualPatient, VirtualPatient]) -> None:
    moving, fixed = patients
    truth = true_displacement(moving, fixed)
    assert jacobian_determinant(truth).min() > 0
    target, labels = (torch.from_numpy(one.label.astype(np.int64))[None] for one in (fixed, moving))
    warped = warp_labels(labels, truth, classes=len(CLASS_NAMES)).argmax(1)
    foreground = range(1, len(CLASS_NAMES))
    before = [dice(labels == value, target == value) for value in foreground]
    after = [dice(warped == value, target == value) for value in foreground]
    assert max(before) < 0.65
    assert min(after) > 0.85
    # there and back again, within the head
    back = true_displacement(fixed, moving)
    assert compose(truth, back).norm(dim=1)[target > 0].mean() < 0.05
    # order and sign matter: neither the inverse nor exchanged components fit
    for wrong in (back, truth.flip(1)):
        astray = warp_labels(labels, wrong, classes=len(CLASS_NAMES)).argmax(1)
        assert dice(astray == 2, target == 2) < 0.65


def test_classical_registration_finds_it(patients: tuple[VirtualPatient, VirtualPatient], tmp_path: Path) -> None:
    moving, fixed = patients
    files = [tmp_path / "moving.nii.gz", tmp_path / "fixed.nii.gz"]
    for path, patient in zip(files, patients, strict=True):
        write_image(path, patient.image, patient.geometry)
    register(out=tmp_path / "out", moving=files[0], fixed=files[1], classical="demons")
    field = read_displacement(tmp_path / "out" / "moving_to_fixed_field.nii.gz")
    found = torch.from_numpy(displacement_in_voxels(field.array, field.geometry))[None]
    truth, head = true_displacement(moving, fixed), torch.from_numpy(fixed.label > 0)[None]
    error = (found - truth).norm(dim=1)[head].mean()
    assert error < 0.5 * truth.norm(dim=1)[head].mean()
