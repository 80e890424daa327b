import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch

import fewscan
from fewscan.data.geometry import Geometry
from fewscan.data.grids import grid_distance_vox
from fewscan.data.image_io import read_geometry, read_image, write_image
from fewscan.data.plan import Plan
from fewscan.errors import DataError, UsageError
from fewscan.inference.model_file import ModelSpec, save_model
from fewscan.networks.registry import NetworkSpec, build_network
from fewscan.registration import pair_work
from fewscan.registration import register as register_module
from fewscan.registration.register import register

FIXED = Geometry((40, 44), (1.0, 0.9), (7.5, -3.0), (0.8, 0.6, -0.6, 0.8))
MOVING = Geometry((44, 40), (0.9, 1.1), (-90.0, 40.0), (1.0, 0.0, 0.0, -1.0))
WriteBody = Callable[..., Path]


def shifted(*shift: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda y: y - np.reshape(shift, (-1, *[1] * (y.ndim - 1)))


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_pair_from_files_to_files(tmp_path: Path, write_body: WriteBody) -> None:
    a, b = write_body("a", MOVING, shifted(3, -2)), write_body("b", FIXED)
    result = fewscan.register(
        out=tmp_path / "out", moving=a, fixed=b, classical="affine", metric="correlation",
        moving_labels=tmp_path / "labels", fixed_labels=tmp_path / "labels" / "b.nii.gz",
    )  # fmt: skip
    out = tmp_path / "out"
    assert files_of(out) == {
        "a_to_b.nii.gz", "a_to_b_labels.nii.gz", "a_to_b_field.nii.gz", "registration.json", "pairs.csv"
    }  # fmt: skip
    for name in ("a_to_b.nii.gz", "a_to_b_labels.nii.gz", "a_to_b_field.nii.gz"):
        np.testing.assert_allclose(nibabel.load(out / name).affine, nibabel.load(b).affine, atol=1e-5)
    assert read_image(out / "a_to_b_labels.nii.gz").array.dtype == np.uint8
    report = result.reports["a_to_b"]
    assert report.similarity_after > 0.98 > 0.9 > report.similarity_before
    assert all(row.dice_after > 0.9 > row.dice_before for row in report.labels)
    assert report.regularity.fold_fraction == 0
    assert report.flags == ()
    # another program, given field and moving scan, finds the same image
    transform = sitk.DisplacementFieldTransform(
        sitk.ReadImage(str(out / "a_to_b_field.nii.gz"), sitk.sitkVectorFloat64)
    )
    fixed, moving = sitk.ReadImage(str(b)), sitk.ReadImage(str(a))
    lowest = float(sitk.GetArrayViewFromImage(moving).min())
    again = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, lowest))
    np.testing.assert_allclose(again.T, read_image(out / "a_to_b.nii.gz").array, atol=1e-4)


def test_the_record_and_the_table(tmp_path: Path, write_body: WriteBody) -> None:
    write_body("a", FIXED, shifted(1, 0))
    write_body("b", FIXED)
    result = register(
        out=tmp_path / "out", all_pairs=tmp_path / "scans", classical="affine",
        moving_labels=tmp_path / "labels", fixed_labels=tmp_path / "labels", seed=3,
    )  # fmt: skip
    record = json.loads((tmp_path / "out" / "registration.json").read_text(encoding="utf-8"))
    assert record["classical"] == "affine"
    assert record["settings"]["seed"] == 3
    assert record["settings"]["align"] == "centre"
    assert record["labels"] == {side: str(tmp_path / "labels") for side in ("moving", "fixed")}
    assert record["without_labels"] == {"moving": [], "fixed": []}
    assert [pair["id"] for pair in record["pairs"]] == ["b_to_a", "a_to_b"]
    pair = record["pairs"][1]
    assert pair["files"] == ["a_to_b.nii.gz", "a_to_b_labels.nii.gz", "a_to_b_field.nii.gz"]
    assert pair["similarity"]["after"] > pair["similarity"]["before"]
    assert set(pair["seconds"]) == {"read", "register", "warp", "measure", "write"}
    assert [row["value"] for row in pair["labels"]] == [1, 2]
    with (tmp_path / "out" / "pairs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["pair"] for row in rows] == ["b_to_a", "a_to_b"]
    assert float(rows[1]["dice_after"]) == pytest.approx(pair["mean_dice"]["after"])
    assert float(rows[1]["dice_after_2"]) == pytest.approx(pair["labels"][1]["dice_after"])
    assert rows[1]["flags"] == ""
    text = result.table()
    assert text.startswith("2 pairs registered")
    for word in ("similarity (GNCC)", "Dice", "HD95 mm", "folded voxels: 0.000% at most"):
        assert word in text
    assert result.to_json() == {"out": str(tmp_path / "out"), **record}


@pytest.mark.parametrize("method", ["affine", "bspline", "demons"])
def test_a_copy_gives_no_displacement_and_no_flag(method: str, tmp_path: Path, write_body: WriteBody) -> None:
    a, b = write_body("a", FIXED), write_body("b", FIXED)
    result = register(out=tmp_path / "out", moving=a, fixed=b, classical=method, max_folds=0, metric="correlation")
    assert not read_image(tmp_path / "out" / "a_to_b_field.nii.gz", vector=True).array.any()
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a_to_b.nii.gz").array, read_image(b).array)
    assert result.flagged == {}
    assert result.reports["a_to_b"].similarity_after == pytest.approx(1)


def test_every_channel_is_warped(tmp_path: Path, body: Callable[..., np.ndarray]) -> None:
    for name, shift in (("a", 1.0), ("b", 0.0)):
        for channel in (0, 1):
            image = body(FIXED, shifted(shift, 0))
            write_image(tmp_path / "scans" / f"{name}_{channel:04d}.nii.gz", image * (1 + channel), FIXED)
    register(out=tmp_path / "out", all_pairs=tmp_path / "scans", classical="affine")
    first, second = (read_image(tmp_path / "out" / f"a_to_b_000{k}.nii.gz").array for k in (0, 1))
    np.testing.assert_allclose(second, 2 * first, atol=1e-5)


def test_an_empty_scan_is_a_failure_and_no_registration(tmp_path: Path, write_body: WriteBody) -> None:
    a, b = write_body("a", FIXED), tmp_path / "scans" / "b.nii.gz"
    write_image(b, np.zeros(FIXED.size, np.float32), FIXED)
    with pytest.raises(DataError, match="case b: its image is constant"):
        register(out=tmp_path / "out", moving=b, fixed=a, classical="demons")


def test_a_broken_scan_stops_none_of_the_others(tmp_path: Path, write_body: WriteBody) -> None:
    for name in ("a", "b", "c"):
        write_body(name, FIXED)
    write_body("d", Geometry.identity((20, 20, 20)))
    (tmp_path / "scans" / "c.nii.gz").write_bytes(b"")
    write_image(tmp_path / "labels" / "b.nii.gz", np.zeros((9, 9), np.uint8), Geometry.identity((9, 9)))
    done: list[tuple[str, int]] = []
    with pytest.raises(DataError, match="3 of 3 pairs could not be registered") as caught:
        register(
            out=tmp_path / "out", moving=tmp_path / "scans", fixed=tmp_path / "scans" / "a.nii.gz", classical="affine",
            moving_labels=tmp_path / "labels", progress=lambda *item: done.append(item),
        )  # fmt: skip
    for text in (
        "b_to_a: case b: label",
        "has size (9, 9)",
        "c.nii.gz: the file is empty",
        "d.nii.gz is 3-D, the plan",
    ):
        assert text in str(caught.value)
    assert caught.value.exit_code == 3
    assert done == [("b_to_a", 3), ("c_to_a", 3), ("d_to_a", 3)]
    with pytest.raises(DataError, match="2 of 3 pairs"):
        register(
            out=tmp_path / "out", moving=tmp_path / "scans", fixed=tmp_path / "scans" / "a.nii.gz", classical="affine"
        )
    assert files_of(tmp_path / "out") == {"b_to_a.nii.gz", "b_to_a_field.nii.gz", "registration.json", "pairs.csv"}
    record = json.loads((tmp_path / "out" / "registration.json").read_text(encoding="utf-8"))
    assert [pair["id"] for pair in record["pairs"]] == ["b_to_a"]
    assert set(record["failures"]) == {"c_to_a", "d_to_a"}


def test_a_full_disk_is_told_at_the_end(tmp_path: Path, write_body: WriteBody, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = write_body("a", FIXED), write_body("b", FIXED)

    def full_disk(path: Path, *_: Any) -> None:
        raise DataError(f"{path}: cannot be written", mend="Free some space.")

    monkeypatch.setattr(pair_work, "write_displacement", full_disk)
    with pytest.raises(DataError, match="Free some space"):
        register(out=tmp_path / "out", moving=a, fixed=b, classical="affine")


def test_nothing_is_overwritten(tmp_path: Path, write_body: WriteBody) -> None:
    a, b = write_body("a", FIXED), write_body("b", FIXED)
    call: dict[str, Any] = {"moving": a, "fixed": b, "classical": "affine"}
    for folder in ("scans", "labels"):
        with pytest.raises(UsageError, match="holds the scans themselves or their labels"):
            register(out=tmp_path / folder, moving_labels=tmp_path / "labels" / "a.nii.gz", **call)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("a_to_b.nrrd", "a_to_b_field.nii.gz", "pairs.csv"):
        (foreign / name).write_text("mine")
        with pytest.raises(UsageError, match="no registrations of fewscan, and would lose them"):
            register(out=foreign, **call)
        assert (foreign / name).read_text() == "mine"
        (foreign / name).unlink()
    before = {path: path.read_bytes() for path in (a, b)}
    register(out=foreign, **call)
    register(out=foreign, **call)  # its own results may be replaced
    assert before == {path: path.read_bytes() for path in (a, b)}


def test_a_list_of_pairs_in_the_output_folder_is_kept(tmp_path: Path, write_body: WriteBody) -> None:
    write_body("a", FIXED)
    write_body("b", FIXED)
    out = tmp_path / "out"
    out.mkdir()
    (out / "registration.json").write_text("{}")
    for name, error in (("pairs.csv", UsageError), ("list.csv", None)):
        (out / name).write_text("moving,fixed\na,b\n")
        if error:
            with pytest.raises(error, match="holds the scans"):
                register(out=out, pairs=out / name, moving=tmp_path / "scans", classical="affine")
        else:
            register(out=out, pairs=out / name, moving=tmp_path / "scans", classical="affine")


def test_flags_reach_record_and_table(tmp_path: Path, write_body: WriteBody, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = write_body("a", FIXED), write_body("b", FIXED)
    true_match = register_module.ClassicalRegistrar.match

    def mirrored(self: Any, moving: Any, fixed: Any) -> Any:
        match = true_match(self, moving, fixed)
        match.displacement_vox[0] = (FIXED.size[0] - 1 - 2 * np.arange(FIXED.size[0])).reshape(-1, 1)
        return match

    monkeypatch.setattr(register_module.ClassicalRegistrar, "match", mirrored)
    result = register(out=tmp_path / "out", moving=a, fixed=b, classical="affine")
    assert [text.split(":")[0] for text in result.flagged["a_to_b"]] == ["folds", "similarity"]
    assert "warning: a_to_b: folds: 100.00% of the voxels fold" in result.table()
    record = json.loads((tmp_path / "out" / "registration.json").read_text(encoding="utf-8"))
    assert len(record["pairs"][0]["flags"]) == 2


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"classical": None}, "neither a model nor --classical"),
        ({"model": "x"}, "exclude each other"),
        ({"refine": 3}, "--refine works on the field of a network"),
        ({"refine": -1}, "must be 0 or more"),
        ({"align": "affine"}, "by an affine map in any case"),
        ({"align": "rigid"}, "unknown alignment"),
        ({"max_folds": 2.0}, "between 0 and 1"),
        ({"classical": "syn"}, "unknown method"),
        ({"metric": "ssd"}, "unknown metric"),
        ({"fixed": None}, "nothing to register"),
        ({"moving": "b"}, "is the fixed scan itself"),
    ],
)
def test_wishes_that_do_not_go_together(
    settings: dict[str, Any], text: str, tmp_path: Path, write_body: WriteBody
) -> None:
    paths = {"a": write_body("a", FIXED), "b": write_body("b", FIXED)}
    call: dict[str, Any] = {"moving": paths["a"], "fixed": paths["b"], "classical": "affine"} | settings
    if call["moving"] == "b":
        call["moving"] = paths["b"]
    with pytest.raises(UsageError, match=text):
        register(out=tmp_path / "out", **call)
    assert not (tmp_path / "out").exists()


def test_a_missing_scan_is_named(tmp_path: Path, write_body: WriteBody) -> None:
    with pytest.raises(UsageError, match=r"absent\.nii\.gz: no such file"):
        register(
            out=tmp_path / "out", moving=tmp_path / "absent.nii.gz", fixed=write_body("b", FIXED), classical="affine"
        )


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a tiny registration network with random weights."""

    def make(dimensions: int = 2, channels: int = 1, head_std: float | None = None) -> Path:
        plan = Plan.model_validate(
            {
                "name": "test",
                "dimensions": dimensions,
                "image_dimensions": dimensions,
                "channels": [f"c{k}" for k in range(channels)],
                "classes": [{"name": str(v), "values": (v,), "output": v} for v in (0, 1)],
                "patch_size": (16,) * dimensions,
            }
        )
        network = NetworkSpec(name="mrregnet", options={"filters": [4, 4], "head_std": head_std})
        spec = ModelSpec(plan=plan, network=network, method="registration")
        torch.manual_seed(0)
        built = build_network(network, dimensions=dimensions, channels=channels, classes=None)
        save_model(tmp_path / "model.safetensors", built, spec)
        return tmp_path / "model.safetensors"

    return make


@pytest.mark.parametrize("align", ["none", "centre", "affine"])
def test_a_network_from_file_to_file(
    align: str, tmp_path: Path, write_body: WriteBody, model: Callable[..., Path]
) -> None:
    moving = FIXED if align == "none" else MOVING
    a, b = write_body("a", moving, shifted(1, 0)), write_body("b", FIXED)
    result = register(model(), out=tmp_path / "out", moving=a, fixed=b, align=align, refine=2, device="cpu")
    field = read_image(tmp_path / "out" / "a_to_b_field.nii.gz", vector=True)
    assert grid_distance_vox(read_geometry(b), field.geometry) < 1e-4  # oblique directions are rounded again
    assert np.isfinite(field.array).all()
    assert field.array.std() > 1e-4
    assert result.reports["a_to_b"].inside > 0.6
    assert result.record["settings"]["refine"] == 2


@pytest.mark.parametrize("size", [(40, 44), (41, 44), (39, 47)])
@pytest.mark.parametrize("align", ["none", "centre"])
def test_an_untrained_network_leaves_everything_as_it_was_before(
    align: str, size: tuple[int, int], tmp_path: Path, write_body: WriteBody, model: Callable[..., Path]
) -> None:
    a, b = (
        write_body("a", Geometry(size, *(FIXED.spacing_mm, FIXED.origin_mm, FIXED.direction))),
        write_body("b", FIXED),
    )
    result = register(model(head_std=1e-9), out=tmp_path / "out", moving=a, fixed=b, align=align, device="cpu")
    report = result.reports["a_to_b"]
    assert report.similarity_after == pytest.approx(report.similarity_before, abs=1e-5)
    assert report.regularity.largest_mm < 1e-3
    assert report.flags == ()


def test_a_volume_through_a_network(tmp_path: Path, write_body: WriteBody, model: Callable[..., Path]) -> None:
    grid = Geometry((18, 20, 14), (1.0, 0.75, 2.0), (-40.5, 33.0, 12.25), (0.8, 0.6, 0, -0.6, 0.8, 0, 0, 0, -1.0))
    a, b = write_body("a", Geometry.identity((20, 18, 16))), write_body("b", grid)
    register(model(3), out=tmp_path / "out", moving=a, fixed=b, device="cpu", moving_labels=tmp_path / "labels")
    assert read_image(tmp_path / "out" / "a_to_b_labels.nii.gz").geometry == read_geometry(b)


def test_a_network_of_other_scans(tmp_path: Path, write_body: WriteBody, model: Callable[..., Path]) -> None:
    a, b = write_body("a", FIXED), write_body("b", FIXED)
    with pytest.raises(DataError, match="2 channels are declared in this file"):
        register(model(channels=2), out=tmp_path / "out", moving=a, fixed=b)
    with pytest.raises(DataError, match="is 2-D, the plan is for 3-D"):
        register(model(3), out=tmp_path / "out", moving=a, fixed=b)


def test_a_segmentation_model_is_refused(tmp_path: Path, write_body: WriteBody, model: Callable[..., Path]) -> None:
    spec = ModelSpec(
        plan=Plan.model_validate(
            {
                "name": "test", "dimensions": 2, "image_dimensions": 2, "channels": ["c"], "patch_size": (16, 16),
                "classes": [{"name": str(v), "values": (v,), "output": v} for v in (0, 1)],
            }
        ),
        network=NetworkSpec(name="unet", options={"filters": [4, 6]}),
        method="supervised",
    )  # fmt: skip
    save_model(tmp_path / "m.safetensors", build_network(spec.network, dimensions=2, channels=1, classes=2), spec)
    with pytest.raises(UsageError, match="is a segmentation model"):
        register(
            tmp_path / "m.safetensors",
            out=tmp_path / "out",
            moving=write_body("a", FIXED),
            fixed=write_body("b", FIXED),
        )
