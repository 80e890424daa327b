"""One case on disk, made to order by nibabel, and its check."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from fewscan.data.case import Case
from fewscan.data.check.case_check import CaseFindings, check_case

Array = npt.NDArray[Any]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write voxels with an affine; the transforms of a header (not compressed) may be set one by one."""

    def write(
        name: str,
        voxels: Array,
        affine: Array | None = None,
        *,
        sform: tuple[Array, int] | None = None,
        qform: tuple[Array, int] | None = None,
    ) -> Path:
        image = nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine, dtype=voxels.dtype)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        if sform is None and qform is None:
            return path
        # nibabel writes its one affine into both transforms and straightens a sheared qform, so the header is edited
        header = image.header
        header["sform_code"] = header["qform_code"] = 0
        header["scl_slope"], header["scl_inter"], header["vox_offset"], header["magic"] = 1, 0, 352, b"n+1"
        if sform is not None:
            header["sform_code"] = sform[1]
            header["srow_x"], header["srow_y"], header["srow_z"] = sform[0][:3]
        if qform is not None:
            header.set_qform(*qform)
        path.write_bytes(header.binaryblock + path.read_bytes()[348:])
        return path

    return write


@pytest.fixture
def voxels() -> Array:
    """Return a scan without any fault: (12, 11, 10), values 0 to 1319."""
    return np.arange(12 * 11 * 10, dtype=np.float32).reshape(12, 11, 10)


@pytest.fixture
def label() -> Array:
    """Return a label map of the same size with a 4 x 4 x 4 cube of value 1."""
    array = np.zeros((12, 11, 10), np.uint8)
    array[4:8, 4:8, 4:8] = 1
    return array


@pytest.fixture
def examine() -> Callable[..., CaseFindings]:
    """Check one case with the labels 0, 1, 2 declared and all memory that it wants."""

    def run(image: Path, label: Path | None = None, *, available_bytes: int = 2**40) -> CaseFindings:
        case = Case(id="one", images=(image,), label=label)
        return check_case(case, declared_labels={0, 1, 2}, available_bytes=available_bytes)

    return run


@pytest.fixture
def codes() -> Callable[[Any], list[str]]:
    """Return "severity code" of each problem."""
    return lambda found: [f"{p.severity.value} {p.code}" for p in getattr(found, "problems", found)]
