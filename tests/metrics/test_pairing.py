import json
from pathlib import Path

import pytest

from fewscan.errors import DataError, UsageError
from fewscan.metrics.pairing import pair_files


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions of a and b, labels of a, b and c; pairing looks at names only."""
    for folder, names in {"pred": ["a.nii.gz", "b.NII.GZ"], "true": ["a.nii.gz", "b.nii", "c.nii.gz"]}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_bytes(b"x")
    return tmp_path / "pred", tmp_path / "true"


def test_missing_predictions_are_an_error_that_lists_them(folders: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="1 of 3 labelled cases have no prediction: c") as error:
        pair_files(*folders)
    assert "--allow-missing" in error.value.mend


def test_missing_predictions_left_out_stay_on_record(folders: tuple[Path, Path]) -> None:
    found = pair_files(*folders, allow_missing=True)
    assert [pair.case_id for pair in found.pairs] == ["a", "b"]
    assert found.pairs[1].prediction.name == "b.NII.GZ"
    assert found.missing == ("c",)


def test_nothing_in_common_is_an_error_even_then(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    for file in predictions.iterdir():
        file.rename(file.with_name(f"other_{file.name}"))
    for allow_missing in (False, True):
        with pytest.raises(DataError, match=r"none of the 2 predictions \(other_a, other_b\) is named like") as error:
            pair_files(predictions, labels, allow_missing=allow_missing)
        assert "wrong folder?" in error.value.mend


def test_of_many_missing_ones_the_first_are_shown(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    for number in range(39):
        (labels / f"d{number:02}.nii.gz").write_bytes(b"x")
    with pytest.raises(DataError) as error:
        pair_files(predictions, labels)
    assert "40 of 42 labelled cases have no prediction: c, d00, " in error.value.message
    assert error.value.message.endswith(", d08 and 30 more")


def test_confidence_maps_and_other_files_are_passed_over(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    (predictions / "c.mha").write_bytes(b"x")
    (predictions / "a_confidence.nii.gz").write_bytes(b"x")
    (predictions / "scores.csv").write_bytes(b"x")
    (predictions / "d.nii.gz").write_bytes(b"x")
    found = pair_files(predictions, labels)
    assert [pair.case_id for pair in found.pairs] == ["a", "b", "c"]
    assert found.unscored == ("d",)


def test_chosen_cases(folders: tuple[Path, Path]) -> None:
    assert [pair.case_id for pair in pair_files(*folders, case_ids=["b"]).pairs] == ["b"]
    with pytest.raises(DataError, match="no label for zebra"):
        pair_files(*folders, case_ids=["a", "zebra"])


def test_single_files_belong_together(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    (pair,) = pair_files(predictions / "a.nii.gz", labels / "c.nii.gz").pairs
    assert (pair.case_id, pair.label.name) == ("a", "c.nii.gz")


def test_one_prediction_of_a_folder_of_labels(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    found = pair_files(predictions / "a.nii.gz", labels, case_ids=["a"])
    assert [pair.case_id for pair in found.pairs] == ["a"]


def test_one_id_twice(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    (predictions / "a.nrrd").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\.nrrd: the same case as a\.nii\.gz"):
        pair_files(predictions, labels)


def test_wrong_paths(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, labels = folders
    with pytest.raises(UsageError, match="no such file or folder of predictions"):
        pair_files(tmp_path / "nowhere", labels)
    with pytest.raises(UsageError, match="no such file or folder of labels"):
        pair_files(predictions, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no predictions"):
        pair_files(tmp_path / "empty", labels)


@pytest.mark.parametrize("with_test_part", [True, False])
def test_labels_of_a_data_set(tmp_path: Path, with_test_part: bool) -> None:
    parts = {"Tr": ["a", "b"], "Ts": ["t"] if with_test_part else []}
    for part, ids in parts.items():
        for case in ids:
            for name in (f"images{part}/{case}_0000.nii.gz", f"labels{part}/{case}.nii.gz"):
                (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "data" / name).write_bytes(b"x")
    description = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "heart": 3},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(description))
    (tmp_path / "pred").mkdir()
    for case in ("a", "b", "t"):
        (tmp_path / "pred" / f"{case}.nii.gz").write_bytes(b"x")
    found = pair_files(tmp_path / "pred", tmp_path / "data")
    assert [pair.case_id for pair in found.pairs] == (["t"] if with_test_part else ["a", "b"])
    assert found.names == {3: "heart"}
    # the others have labels, and are still not scored
    assert (found.unscored, found.not_test) == ((("a", "b"), ("a", "b")) if with_test_part else (("t",), ()))
    # cases asked for by id need not be test cases
    chosen = pair_files(tmp_path / "pred", tmp_path / "data", case_ids=["b"])
    assert [pair.case_id for pair in chosen.pairs] == ["b"]
    if with_test_part:
        (tmp_path / "pred" / "t.nii.gz").unlink()
        with pytest.raises(DataError, match=r"none of the 2 predictions is of a test case of .*: t") as error:
            pair_files(tmp_path / "pred", tmp_path / "data")
        assert "predict the test cases" in error.value.mend
