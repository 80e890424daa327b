"""Tiny data sets on disk, one factory per layout; nibabel writes them, so they do not rest on the code under test."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from fewscan.data.case import Dataset
from fewscan.data.fingerprint import take_fingerprint
from fewscan.data.layouts import load_dataset
from fewscan.data.plan import Plan
from fewscan.data.planning import derive_plan

Factory = Callable[..., Path]


def blob(size: Sequence[int] = (8, 7, 6), *, seed: int = 0) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Return a noisy image with a bright box in the middle, and the label map of the box (values 0 and 1)."""
    label = np.zeros(size, np.uint8)
    label[tuple(slice(n // 4, n // 4 + n // 2) for n in size)] = 1
    noise = np.random.default_rng(seed).integers(1, 50, size)
    return (noise + 100 * label).astype(np.int16), label


def write_nifti(path: Path, array: npt.NDArray[Any], *, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> Path:
    """Write ``array`` (x, y[, z[, t]]) with an axis-parallel affine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*tuple(spacing_mm)[:3], *(1.0,) * (3 - len(tuple(spacing_mm)[:3])), 1.0])
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


@pytest.fixture
def nnunet_dataset(tmp_path: Path) -> Factory:
    """Write nnU-Net v2 raw: ``labelled`` + ``unlabelled`` cases in imagesTr, ``test`` cases with labels in imagesTs."""

    def make(
        *,
        labelled: int = 3,
        unlabelled: int = 2,
        test: int = 1,
        channels: int = 1,
        size: Sequence[int] = (8, 7, 6),
        name: str = "Dataset001_Blob",
        spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> Path:
        root = tmp_path / name
        root.mkdir()
        info = {
            "channel_names": {str(k): f"MRI {k}" for k in range(channels)},
            "labels": {"background": 0, "blob": 1},
            "numTraining": labelled + unlabelled,
            "file_ending": ".nii.gz",
        }
        (root / "dataset.json").write_text(json.dumps(info), encoding="utf-8")
        for number in range(labelled + unlabelled + test):
            part = "Tr" if number < labelled + unlabelled else "Ts"
            for channel in range(channels):
                image, label = blob(size, seed=10 * number + channel)
                file = root / f"images{part}" / f"case_{number:03d}_{channel:04d}.nii.gz"
                write_nifti(file, image, spacing_mm=spacing_mm)
            if number < labelled or part == "Ts":
                write_nifti(root / f"labels{part}" / f"case_{number:03d}.nii.gz", label, spacing_mm=spacing_mm)
        return root

    return make


@pytest.fixture
def folders_dataset(tmp_path: Path) -> Factory:
    """Write images/ and labels/ with equal file names."""

    def make(*, labelled: int = 2, unlabelled: int = 1, size: Sequence[int] = (8, 7, 6), name: str = "plain") -> Path:
        root = tmp_path / name
        for number in range(labelled + unlabelled):
            image, label = blob(size, seed=number)
            write_nifti(root / "images" / f"scan{number}.nii.gz", image)
            if number < labelled:
                write_nifti(root / "labels" / f"scan{number}.nii.gz", label)
        return root

    return make


@pytest.fixture
def decathlon_dataset(tmp_path: Path) -> Factory:
    """Write a Decathlon task; several channels are the last axis of 4-D files."""

    def make(*, labelled: int = 2, test: int = 1, channels: int = 1, size: Sequence[int] = (8, 7, 6)) -> Path:
        root = tmp_path / "Task01_Blob"
        training, tests = [], []
        for number in range(labelled + test):
            stack = np.stack([blob(size, seed=10 * number + k)[0] for k in range(channels)], axis=-1)
            folder = "imagesTr" if number < labelled else "imagesTs"
            image = f"./{folder}/blob_{number}.nii.gz"
            write_nifti(root / image, stack if channels > 1 else stack[..., 0])
            if number < labelled:
                write_nifti(root / "labelsTr" / f"blob_{number}.nii.gz", blob(size)[1])
                training.append({"image": image, "label": f"./labelsTr/blob_{number}.nii.gz"})
            else:
                tests.append(image)
        info = {
            "name": "Blob",
            "modality": {str(k): f"MRI {k}" for k in range(channels)},
            "labels": {"0": "background", "1": "blob"},
            "training": training,
            "test": tests,
        }
        (root / "dataset.json").write_text(json.dumps(info), encoding="utf-8")
        return root

    return make


@pytest.fixture
def brats_dataset(tmp_path: Path) -> Factory:
    """Write BraTS case folders, nested by grade; the last case has no segmentation."""

    def make(*, cases: int = 3, size: Sequence[int] = (8, 7, 6)) -> Path:
        root = tmp_path / "BraTS"
        for number in range(cases):
            name = f"Brats18_{number}"
            folder = root / ("HGG" if number % 2 == 0 else "LGG") / name
            for channel, modality in enumerate(("flair", "t1", "t1ce", "t2")):
                write_nifti(folder / f"{name}_{modality}.nii.gz", blob(size, seed=10 * number + channel)[0])
            if number < cases - 1:
                write_nifti(folder / f"{name}_seg.nii.gz", blob(size)[1] * 4)
        return root

    return make


@pytest.fixture
def manifest_dataset(tmp_path: Path) -> Factory:
    """Write a CSV manifest beside its scans: two labelled scans of one patient, one unlabelled, one test."""

    def make() -> Path:
        root = tmp_path / "listed"
        rows = ["id,image,label,part,group"]
        for number, (part, group) in enumerate((("", "p1"), ("", "p1"), ("unlabelled", "p2"), ("test", "p3"))):
            image, label = blob(seed=number)
            write_nifti(root / "scans" / f"s{number}.nii.gz", image)
            has_label = part != "unlabelled"
            if has_label:
                write_nifti(root / "masks" / f"s{number}.nii.gz", label)
            rows.append(
                f"s{number},scans/s{number}.nii.gz,{f'masks/s{number}.nii.gz' if has_label else ''},{part},{group}"
            )
        path = root / "manifest.csv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return path

    return make


@pytest.fixture
def dataset(nnunet_dataset: Factory) -> Dataset:
    """case_000..002 labelled, 003 and 004 unlabelled, 005 test with a label."""
    return load_dataset(nnunet_dataset())


@pytest.fixture
def plan(dataset: Dataset) -> Plan:
    """The plan that all scans of `dataset` suggest."""
    return derive_plan(dataset, take_fingerprint(dataset, [case.id for case in dataset]))
