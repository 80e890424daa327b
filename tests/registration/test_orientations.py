"""Scans in different orientations are registered as if they had one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_geometry, write_image
from fewscan.data.plan import Plan
from fewscan.inference.model_file import ModelSpec, save_model
from fewscan.networks.registry import NetworkSpec, build_network
from fewscan.registration.register import register

GRIDS = {
    "a": Geometry((20, 18, 8), (1.0, 1.0, 3.0), (-16.0, 12.5, 7.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)),
    "b": Geometry((18, 22, 9), (1.0, 1.0, 3.0), (-14.0, 10.0, 5.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a registration network with random weights, for 1.5 mm in axial slices."""
    plan = Plan.model_validate(
        {
            "name": "test", "dimensions": 3, "image_dimensions": 3, "channels": ["T1"], "patch_size": (16, 16, 8),
            "classes": [{"name": str(v), "values": (v,), "output": v} for v in (0, 1)], "orientation": "LPS",
            "preparation": {"spacing_mm": (1.5, 1.5, 3.0)},
        }
    )  # fmt: skip
    network = NetworkSpec(name="mrregnet", options={"filters": [4, 4], "head_std": 0.3})
    torch.manual_seed(0)
    built = build_network(network, dimensions=3, channels=1, classes=None)
    path = tmp_path / "model.safetensors"
    save_model(path, built, ModelSpec(plan=plan, network=network, method="registration"))
    return path


@pytest.fixture
def scans(tmp_path: Path, body: Callable[..., np.ndarray]) -> dict[str, Path]:
    """Write two scans and their labels; ``c`` is a copy of ``a`` in another orientation, ``d`` one of ``b``."""
    for name, grid in GRIDS.items():
        image = body(grid, lambda y, shift=float(name == "a"): y - shift)
        image[:2] = 0  # to be cropped away
        write_image(tmp_path / "scans" / f"{name}.mha", image, grid)
        write_image(tmp_path / "labels" / f"{name}.mha", (image > 0.5).astype(np.uint8), grid)
    for source, copy, code in (("a", "c", "PIR"), ("b", "d", "SAL")):
        for folder in ("scans", "labels"):
            image = sitk.ReadImage(str(tmp_path / folder / f"{source}.mha"))
            sitk.WriteImage(sitk.DICOMOrient(image, code), str(tmp_path / folder / f"{copy}.mha"))
    return {name: tmp_path / "scans" / f"{name}.mha" for name in "abcd"}


def in_lps(path: Path) -> np.ndarray:
    return np.asarray(sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")))


@pytest.mark.parametrize("align", ["centre", "none"])
@pytest.mark.parametrize("pair", ["cb", "ad", "cd"])
def test_turned_copies_are_registered_alike(
    pair: str, align: str, tmp_path: Path, model: Path, scans: dict[str, Path]
) -> None:
    moving, fixed = pair
    results: dict[str, Any] = {}
    for name, (first, second) in {"own": ("a", "b"), "turned": (moving, fixed)}.items():
        results[name] = register(
            model, out=tmp_path / name, moving=scans[first], fixed=scans[second], align=align, device="cpu",
            moving_labels=tmp_path / "labels", fixed_labels=tmp_path / "labels",
        )  # fmt: skip
    plain, turned = tmp_path / "own" / "a_to_b", tmp_path / "turned" / f"{moving}_to_{fixed}"
    written = [Path(f"{turned}{suffix}.nii.gz") for suffix in ("", "_labels")]
    assert all(read_geometry(path).size == read_geometry(scans[fixed]).size for path in written)
    np.testing.assert_array_equal(in_lps(written[1]), in_lps(Path(f"{plain}_labels.nii.gz")))
    assert in_lps(written[1]).any()
    np.testing.assert_allclose(in_lps(written[0]), in_lps(Path(f"{plain}.nii.gz")), atol=1e-4)

    fields = [
        sitk.DisplacementFieldTransform(sitk.ReadImage(f"{stem}_field.nii.gz", sitk.sitkVectorFloat64))
        for stem in (plain, turned)
    ]
    rng = np.random.default_rng(0)
    b = GRIDS["b"]
    points = np.asarray(b.origin_mm) + rng.uniform(0.05, 0.95, (50, 3)) * (np.asarray(b.size) - 1) * b.spacing_mm
    moved = [np.array([field.TransformPoint(point.tolist()) for point in points]) for field in fields]
    assert np.abs(moved[0] - points).max() > 0.1
    np.testing.assert_allclose(moved[1], moved[0], atol=1e-3)

    first, second = results["own"].reports["a_to_b"], results["turned"].reports[f"{moving}_to_{fixed}"]
    assert second.similarity_after == pytest.approx(first.similarity_after, abs=1e-4)
    assert second.regularity.fold_fraction == first.regularity.fold_fraction
    assert second.regularity.sd_log_jacobian == pytest.approx(first.regularity.sd_log_jacobian, abs=1e-4)
    assert second.labels == first.labels
