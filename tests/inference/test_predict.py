import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fewscan.data.geometry import Geometry
from fewscan.data.image_io import read_geometry, read_image, write_image
from fewscan.data.plan import Plan
from fewscan.data.prepare import PreparedScan, prepare_image
from fewscan.errors import DataError, UsageError
from fewscan.inference import predict as predict_module
from fewscan.inference import predictor as predictor_module
from fewscan.inference.model_file import ModelSpec, save_model
from fewscan.inference.predict import predict

GRIDS = {
    "plain": Geometry((20, 18, 9), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)),
    "anisotropic": Geometry((12, 23, 7), (0.7, 0.9, 4.5), (-80.25, 33.5, 12.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)),
    "flipped": Geometry((17, 20, 8), (1.0, 1.5, 2.0), (90.0, 126.0, -72.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)),
    "oblique": Geometry((18, 16, 11), (0.8, 1.2, 2.5), (10.5, -7.0, 3.25), (0.8, 0.6, 0, -0.6, 0.8, 0, 0, 0, -1.0)),
}


class Threshold(nn.Module):
    """A stand-in network that is right by definition: class 1 from 0.5, class 2 from 1.5; refuses other windows."""

    def forward(self, x: Tensor) -> Tensor:
        assert set(x.shape[2:]) == {16}
        return 40 * torch.cat([torch.zeros_like(x), x - 0.5, 2 * x - 2], dim=1)


@pytest.fixture
def thresholds(
    tmp_path: Path, make_spec: Callable[..., ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Return a function that makes a run folder whose model is `Threshold`, with a plan of choice."""

    def make(plan: Plan | None = None) -> Path:
        spec = make_spec(plan)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "model.safetensors").touch()
        monkeypatch.setattr(predictor_module, "load_model", lambda _: (Threshold(), spec))
        return tmp_path / "run"

    return make


def write_scan(path: Path, geometry: Geometry, seed: int = 0) -> np.ndarray:
    """Write a scan of values 0, 1, 2 in large blocks with an empty border; return the labels that `Threshold` gives."""
    blocks = np.random.default_rng(seed).integers(0, 3, [-(-n // 4) for n in geometry.size])
    values = np.kron(blocks, np.ones([4] * geometry.dimensions, int))[tuple(slice(n) for n in geometry.size)]
    values[0] = values[:, -1] = 0
    kind = np.uint8 if path.suffix == ".png" else np.int16
    write_image(path, values.astype(kind), geometry)
    return np.array([0, 2, 300])[values]


@pytest.mark.parametrize("name", GRIDS)
def test_predictions_lie_on_exactly_the_grid_of_the_scan(
    name: str, tmp_path: Path, thresholds: Callable[..., Path]
) -> None:
    expected = write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS[name])
    (path,) = predict(thresholds(), tmp_path / "scans", tmp_path / "out", device="cpu", confidence=True)
    assert path == tmp_path / "out" / "a.nii.gz"
    source = nibabel.load(tmp_path / "scans" / "a.nii.gz")
    for written in (path, tmp_path / "out" / "a_confidence.nii.gz"):
        assert read_geometry(written) == read_geometry(tmp_path / "scans" / "a.nii.gz")
        np.testing.assert_allclose(nibabel.load(written).affine, source.affine, atol=1e-5)
        assert nibabel.load(written).shape == source.shape
    labels = read_image(path).array
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, expected)
    # through nibabel, which shares no code with what wrote it: voxel by voxel under the image's own values
    np.testing.assert_array_equal(
        np.asarray(nibabel.load(path).dataobj), np.array([0, 2, 300])[source.get_fdata().astype(int)]
    )
    confidence = read_image(tmp_path / "out" / "a_confidence.nii.gz").array
    assert confidence.dtype == np.float32
    assert confidence.min() > 0.99


@pytest.mark.parametrize("name", ["anisotropic", "oblique"])
def test_resampled_predictions_come_back_to_their_place(
    name: str, tmp_path: Path, thresholds: Callable[..., Path], make_plan: Callable[..., Plan]
) -> None:
    expected = write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS[name])
    spacing_mm = tuple(0.6 * step for step in GRIDS[name].spacing_mm)
    plan = make_plan(preparation={"normalisation": "none", "clip_percentiles": None, "spacing_mm": spacing_mm})
    (path,) = predict(thresholds(plan), tmp_path / "scans", tmp_path / "out", device="cpu")
    assert read_geometry(path) == read_geometry(tmp_path / "scans" / "a.nii.gz")
    # Between 0 and 2 interpolation passes through 1, so voxels at edges may differ; those inside the blocks may not.
    labels = read_image(path).array
    inside = np.ones(labels.shape, bool)
    for axis in range(3):
        for step in (-1, 1):
            inside &= np.roll(expected, step, axis) == expected
    assert inside.sum() > 200
    assert (labels == expected)[inside].mean() > 0.99


def test_slice_wise_prediction_through_files(
    tmp_path: Path, thresholds: Callable[..., Path], make_plan: Callable[..., Plan]
) -> None:
    expected = write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS["oblique"])
    run = thresholds(make_plan(2, image_dimensions=3, slice_axis=2))
    (path,) = predict(run, tmp_path / "scans", tmp_path / "out", device="cpu", views=3)
    np.testing.assert_array_equal(read_image(path).array, expected)


def test_png_stays_png_where_it_can_hold_the_labels(
    tmp_path: Path, thresholds: Callable[..., Path], make_plan: Callable[..., Plan]
) -> None:
    expected = write_scan(tmp_path / "scans" / "a.png", Geometry.identity((21, 18)))
    (path,) = predict(thresholds(make_plan(2)), tmp_path / "scans", tmp_path / "out", device="cpu", confidence=True)
    assert path.name == "a.png"
    np.testing.assert_array_equal(read_image(path).array, expected)
    assert (tmp_path / "out" / "a_confidence.nii.gz").is_file()  # PNG holds no fractions


def test_label_values_that_png_cannot_hold(
    tmp_path: Path, thresholds: Callable[..., Path], make_plan: Callable[..., Plan]
) -> None:
    write_scan(tmp_path / "scans" / "a.png", Geometry.identity((21, 18)))
    classes = [{"name": str(v), "values": [v], "output": v} for v in (0, -1, 2)]
    (path,) = predict(thresholds(make_plan(2, classes=classes)), tmp_path / "scans", tmp_path / "out", device="cpu")
    assert path.name == "a.nii.gz"
    assert read_image(path).array.dtype == np.int16


def test_other_formats_keep_their_suffix(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    for name in ("a.nrrd", "b.mha", "c.nii"):
        write_scan(tmp_path / "scans" / name, GRIDS["oblique"])
    paths = predict(thresholds(), tmp_path / "scans", tmp_path / "out", device="cpu")
    assert [path.name for path in paths] == ["a.nrrd", "b.mha", "c.nii"]
    assert all(read_geometry(path) == read_geometry(tmp_path / "scans" / path.name) for path in paths)


def test_an_empty_scan_is_a_failure_and_no_segmentation(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    grid = GRIDS["plain"]
    write_image(tmp_path / "scans" / "a.nii.gz", np.full(grid.size, 7, np.int16), grid)
    with pytest.raises(DataError, match="1 of 1 scans could not be predicted:\n  a: its image is constant"):
        predict(thresholds(), tmp_path / "scans", tmp_path / "out", device="cpu")
    assert not (tmp_path / "out" / "a.nii.gz").exists()


def test_a_broken_scan_stops_none_of_the_others(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    scans = tmp_path / "scans"
    for number, name in enumerate("abde"):
        write_scan(scans / f"{name}.nii.gz", GRIDS["plain"], seed=number)
    (scans / "c.nii.gz").write_bytes((scans / "a.nii.gz").read_bytes()[:200])
    (scans / "e.nii.gz").write_bytes(b"")
    done: list[tuple[str, int]] = []
    with pytest.raises(DataError, match="2 of 5 scans could not be predicted") as caught:
        predict(thresholds(), scans, tmp_path / "out", device="cpu", progress=lambda *item: done.append(item))
    assert "c.nii.gz" in str(caught.value)
    assert "e.nii.gz" in str(caught.value)
    assert caught.value.exit_code == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.nii.gz", "b.nii.gz", "d.nii.gz", "prediction.json"
    }  # fmt: skip
    assert sorted(done) == [(name, 5) for name in "abcde"]
    record = json.loads((tmp_path / "out" / "prediction.json").read_text(encoding="utf-8"))
    assert [scan["id"] for scan in record["scans"]] == ["a", "b", "d"]
    assert set(record["failures"]) == {"c", "e"}


def test_failures_of_any_kind_are_told_at_the_end(
    tmp_path: Path, thresholds: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", GRIDS["plain"])

    def short_of_memory(paths: tuple[Path, ...], plan: Plan, *, case_id: str) -> PreparedScan:
        if case_id == "a":
            raise RuntimeError("can't allocate memory")
        return prepare_image(paths, plan, case_id=case_id)

    def full_disk(path: Path, array: np.ndarray, geometry: Geometry) -> None:
        if path.name == "b.nii.gz":
            raise DataError(f"{path}: cannot be written", mend="Free some space.")
        write_image(path, array, geometry)

    monkeypatch.setattr(predict_module, "prepare_image", short_of_memory)
    monkeypatch.setattr(predict_module, "write_image", full_disk)
    with pytest.raises(DataError, match="2 of 3 scans") as caught:
        predict(thresholds(), tmp_path / "scans", tmp_path / "out", device="cpu")
    assert "a: RuntimeError: can't allocate memory" in str(caught.value)
    assert "Free some space" in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert (tmp_path / "out" / "c.nii.gz").is_file()


def test_the_record_beside_the_predictions(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS["plain"])
    predict(thresholds(), tmp_path / "scans", tmp_path / "out", device="cpu", precision="fp32", overlap=0.25)
    record = json.loads((tmp_path / "out" / "prediction.json").read_text(encoding="utf-8"))
    assert record["settings"] == {
        "device": "cpu",
        "precision": "float32",
        "views": ["identity"],
        "overlap": 0.25,
        "confidence": False,
        "largest_component": False,
    }
    assert record["scans"][0]["files"] == ["a.nii.gz"]
    assert record["scans"][0]["seconds"] >= 0
    assert record["method"] == "supervised"
    assert {item["name"]: item["output"] for item in record["classes"]} == {"background": 0, "tissue": 2, "lesion": 300}
    assert record["failures"] == {}


def test_the_record_names_the_model_from_any_folder(
    tmp_path: Path, thresholds: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS["plain"])
    monkeypatch.chdir(thresholds())
    predict("model.safetensors", tmp_path / "scans", tmp_path / "out", device="cpu")
    record = json.loads((tmp_path / "out" / "prediction.json").read_text(encoding="utf-8"))
    assert record["model"] == str(tmp_path / "run" / "model.safetensors")


def test_largest_component_through_files(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    values = np.zeros((16, 16, 16), np.uint8)
    values[2:6, 2:6, 2:6] = values[10:12, 10:12, 10:12] = 1
    write_image(tmp_path / "a.nii.gz", values, Geometry.identity((16, 16, 16)))
    (path,) = predict(thresholds(), tmp_path / "a.nii.gz", tmp_path / "out", device="cpu", largest_component=True)
    values[10:12, 10:12, 10:12] = 0
    np.testing.assert_array_equal(read_image(path).array, 2 * values)


def test_several_scans_by_path_and_predictions_replaced(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    for name in ("a", "b"):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", GRIDS["plain"])
    run, out = thresholds(), tmp_path / "out"
    (out).mkdir()
    (out / "a.nii.gz").write_text("old")
    (out / "prediction.json").write_text("{}")
    paths = predict(run, [tmp_path / "scans" / "b.nii.gz", tmp_path / "scans" / "a.nii.gz"], out, device="cpu")
    assert [path.name for path in paths] == ["b.nii.gz", "a.nii.gz"]
    assert read_image(out / "a.nii.gz").array.max() == 300


def test_other_scans_of_the_same_model_join_the_record(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    run, out = thresholds(), tmp_path / "out"
    for name, seed in (("a", 0), ("b", 1), ("c", 2)):
        write_scan(tmp_path / f"{name}.nii.gz", GRIDS["plain"], seed)
    predict(run, [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"], out)
    (out / "a.nii.gz").unlink()  # a prediction that is gone is no longer in the record
    predict(run, tmp_path / "c.nii.gz", out)
    assert recorded(out) == ["b", "c"]
    predict(run, tmp_path / "b.nii.gz", out)
    assert recorded(out) == ["c", "b"]


def test_the_folder_of_the_scans_is_refused(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS["plain"])
    run = thresholds()
    for scans in (tmp_path / "scans", tmp_path / "scans" / "a.nii.gz"):
        with pytest.raises(UsageError, match="holds the scans"):
            predict(run, scans, tmp_path / "run" / ".." / "scans", device="cpu")


def test_the_folder_of_the_labels_is_refused(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    data = tmp_path / "data"
    for folder in ("images", "labels"):
        write_scan(data / folder / "a.nii.gz", GRIDS["plain"])
    before = (data / "labels" / "a.nii.gz").read_bytes()
    run = thresholds()
    # known as labels in the data set; by the images alone only the names tell
    for scans, reason in ((data, "or their labels"), (data / "images", r"holds a\.nii\.gz, no predictions of fewscan")):
        with pytest.raises(UsageError, match=reason):
            predict(run, scans, data / "labels", device="cpu")
    assert (data / "labels" / "a.nii.gz").read_bytes() == before
    assert [path.name for path in (data / "labels").iterdir()] == ["a.nii.gz"]


def test_an_interrupted_prediction_may_be_repeated(
    tmp_path: Path, thresholds: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", GRIDS["plain"])
    run = thresholds()

    def stop_at_b(paths: tuple[Path, ...], plan: Plan, *, case_id: str) -> PreparedScan:
        if case_id == "b":
            raise KeyboardInterrupt
        return prepare_image(paths, plan, case_id=case_id)

    monkeypatch.setattr(predict_module, "prepare_image", stop_at_b)
    with pytest.raises(KeyboardInterrupt):
        predict(run, tmp_path / "scans", tmp_path / "out", device="cpu")
    monkeypatch.setattr(predict_module, "prepare_image", prepare_image)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.nii.gz", "prediction.json"}
    assert recorded(tmp_path / "out") == ["a"]
    assert len(predict(run, tmp_path / "scans", tmp_path / "out", device="cpu")) == 2
    assert recorded(tmp_path / "out") == ["a", "b"]
    # stopped once more: b is there from before, and a is new
    monkeypatch.setattr(predict_module, "prepare_image", stop_at_b)
    with pytest.raises(KeyboardInterrupt):
        predict(run, tmp_path / "scans", tmp_path / "out", device="cpu")
    assert recorded(tmp_path / "out") == ["b", "a"]


def recorded(out: Path) -> list[str]:
    """Return the ids of the scans that the record lists."""
    return [scan["id"] for scan in json.loads((out / "prediction.json").read_text(encoding="utf-8"))["scans"]]


SCORED = ("evaluation.json", "scores.csv", "summary.csv", "comparison.csv", "report.html")


def test_predictions_of_another_model_are_not_mixed_with_these(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS["plain"])
    run, out = thresholds(), tmp_path / "out"
    predict(run, tmp_path / "scans", out, device="cpu")
    for name in SCORED:
        (out / name).write_text("{}")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    other = tmp_path / "other" / "model.safetensors"
    other.parent.mkdir()
    other.write_bytes(b"other weights")
    with pytest.raises(UsageError, match=r"--out .*holds predictions of another model .*run/model\.safetensors"):
        predict(other, tmp_path / "scans", out, device="cpu")
    with pytest.raises(UsageError, match=r"other settings \(overlap 0.5, not 0.25\)"):
        predict(run, tmp_path / "scans", out, device="cpu", overlap=0.25)
    with pytest.raises(UsageError, match="views identity, not identity"):
        predict(run, tmp_path / "scans", out, device="cpu", views=2)
    (run / "model.safetensors").write_bytes(b"new weights")
    with pytest.raises(UsageError, match="trained anew"):
        predict(run, tmp_path / "scans", out, device="cpu")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_repeated_prediction_removes_what_was_made_of_the_one_before(
    tmp_path: Path, thresholds: Callable[..., Path]
) -> None:
    for name in ("a", "b"):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", GRIDS["plain"])
    run, out = thresholds(), tmp_path / "out"
    assert predict(run, tmp_path / "scans", out, device="cpu", confidence=True).removed == ()
    assert (out / "b_confidence.nii.gz").is_file()
    for name in SCORED:
        (out / name).write_text("{}")
    (out / "notes.txt").write_text("of the user")
    again = predict(run, tmp_path / "scans" / "a.nii.gz", out, device="cpu")
    assert set(again.removed) == set(SCORED)
    assert "removed report.html, " in again._repr_html_()
    # b was not predicted again, and its confidence map is still that of its label map
    assert {path.name for path in out.iterdir()} == {
        "a.nii.gz", "b.nii.gz", "b_confidence.nii.gz", "prediction.json", "notes.txt"
    }  # fmt: skip


def test_a_prediction_in_another_format_takes_the_place_of_the_one_before(
    tmp_path: Path, thresholds: Callable[..., Path]
) -> None:
    run = thresholds()
    for name in ("a.nii.gz", "a.nrrd"):
        write_scan(tmp_path / "scans" / name, GRIDS["plain"])
        predict(run, tmp_path / "scans" / name, tmp_path / "out", device="cpu")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.nrrd", "prediction.json"}


def test_the_record_says_what_the_model_was_trained_on(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS["plain"])
    run = thresholds()
    (run / "split.json").write_text(json.dumps({"labelled": ["a"], "unlabelled": ["u"], "validation": ["v"]}))
    predict(run, tmp_path / "scans", tmp_path / "out", device="cpu")
    record = json.loads((tmp_path / "out" / "prediction.json").read_text(encoding="utf-8"))
    assert record["training_cases"] == {"labelled": ["a"], "validation": ["v"]}
    assert len(record["model_sha256"]) == 64


@pytest.mark.parametrize("overlap", [1.0, -0.1, float("nan")])
def test_an_overlap_that_does_not_exist_is_a_usage_error(
    overlap: float, tmp_path: Path, thresholds: Callable[..., Path]
) -> None:
    write_scan(tmp_path / "scans" / "a.nii.gz", GRIDS["plain"])
    with pytest.raises(UsageError, match="overlap must be at least 0 and less than 1"):
        predict(thresholds(), tmp_path / "scans", tmp_path / "out", device="cpu", overlap=overlap)


def test_two_scans_of_one_name_are_refused(tmp_path: Path, thresholds: Callable[..., Path]) -> None:
    for folder in ("one", "two"):
        write_scan(tmp_path / folder / "a.nii.gz", GRIDS["plain"])
    with pytest.raises(DataError, match="2 scans are called 'a'"):
        predict(thresholds(), [tmp_path / "one", tmp_path / "two"], tmp_path / "out", device="cpu")


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_trained_network_from_file_to_file(
    dimensions: int,
    tmp_path: Path,
    make_plan: Callable[..., Plan],
    make_spec: Callable[..., ModelSpec],
    make_network: Callable[[ModelSpec], nn.Module],
) -> None:
    geometry = Geometry.identity((20, 16, 16)[:dimensions], (1.5, 1.0, 1.0)[:dimensions])
    write_scan(tmp_path / "scans" / "a.nii.gz", geometry)
    spec = make_spec(make_plan(dimensions, preparation={"crop": "none"}))
    save_model(tmp_path / "model.safetensors", make_network(spec), spec)
    (path,) = predict(tmp_path / "model.safetensors", tmp_path / "scans", tmp_path / "out", device="cpu", views=2)
    labels = read_image(path)
    assert labels.geometry == geometry
    assert len(np.unique(labels.array)) > 1
    assert set(np.unique(labels.array)) <= {0, 2, 300}


@pytest.mark.real
@pytest.mark.parametrize("dimensions", [2, 3])
def test_real_scans_keep_their_grid(
    dimensions: int,
    tmp_path: Path,
    real_data: Path,
    thresholds: Callable[..., Path],
    make_plan: Callable[..., Plan],
) -> None:
    scans = sorted((real_data / "hippocampus" / "Dataset004_Hippocampus" / "imagesTs").glob("*.nii.gz"))[:3]
    changes = {"image_dimensions": 3, "slice_axis": 0} if dimensions == 2 else {}
    spacing_mm = (0.8, 1.0, 1.3)
    run = thresholds(make_plan(dimensions, preparation={"spacing_mm": spacing_mm}, **changes))
    paths = predict(run, scans, tmp_path / "out", device="cpu", confidence=True)
    assert len(paths) == 3
    for source, path in zip(scans, paths, strict=True):
        for written in (path, path.with_name(path.name.replace(".nii.gz", "_confidence.nii.gz"))):
            assert nibabel.load(written).shape == nibabel.load(source).shape
            np.testing.assert_allclose(nibabel.load(written).affine, nibabel.load(source).affine, atol=1e-5)
        labels, image = read_image(path).array, read_image(source).array
        # the stand-in calls bright voxels lesion, and does so after resampling and back
        assert image[labels == 300].mean() > image[labels == 2].mean() > image[labels == 0].mean()
