import json
import threading
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewscan.data.check import Severity, check_path, checker
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.errors import UsageError


def codes_of(report):
    return [f"{p.severity.value} {p.code} {p.case_id}".strip() for p in report.problems]


def spoil(path, change):
    """Change the voxels of a NIfTI file in place."""
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj).astype(np.float32)
    change(voxels)
    nib.save(nib.Nifti1Image(voxels, image.affine), path)


def test_clean_dataset(nnunet_dataset):
    report = check_path(nnunet_dataset(size=(9, 8, 10)))
    assert report.problems == ()
    assert report.exit_code == 0
    assert report.case_count == 6
    assert report.summary.cases == {"labelled": 3, "unlabelled": 2, "test": 1}


def test_fault_28_all_problems_of_all_cases_at_once(nnunet_dataset):
    root = nnunet_dataset(labelled=4, size=(9, 8, 10))
    broken = root / "imagesTr" / "case_000_0000.nii.gz"
    broken.write_bytes(broken.read_bytes()[:100])
    spoil(root / "imagesTr" / "case_001_0000.nii.gz", lambda v: v.__setitem__((0, 0, 0), np.nan))
    spoil(root / "labelsTr" / "case_002.nii.gz", lambda v: v.fill(0))
    spoil(root / "labelsTr" / "case_003.nii.gz", lambda v: v.__setitem__((0, 0, 0), 9))
    report = check_path(root, workers=2)
    assert codes_of(report) == [
        "error unreadable-image case_000",
        "error nan-voxels case_001",
        "error undeclared-label case_003",
        "warning empty-label case_002",
        "note class-absent-in-some",
    ]
    assert report.exit_code == 3
    assert report.problems[0].file == str(broken)


def test_fault_28_an_unexpected_failure_of_one_case_stops_no_other(nnunet_dataset, monkeypatch):
    real = checker.check_case

    def fail_once(case, **options):
        if case.id == "case_001":
            raise MemoryError("no more")
        return real(case, **options)

    monkeypatch.setattr(checker, "check_case", fail_once)
    report = check_path(nnunet_dataset(size=(9, 8, 10)))
    assert codes_of(report) == ["error check-failed case_001"]
    assert "MemoryError: no more" in report.problems[0].message
    assert report.summary.labelled_cases == 3  # of 4 with the test case


def test_ctrl_c_does_not_wait_for_the_queue(nnunet_dataset, monkeypatch):
    seen = []
    gate = threading.Event()

    def record(case, **_):
        seen.append(case.id)
        if len(seen) > 1:
            gate.wait(10)  # keeps the only thread busy until the interrupt has emptied the queue
        return checker.CaseFindings(case=case)

    class Interrupted:
        def advance(self, *, note):
            threading.Timer(0.2, gate.set).start()
            raise KeyboardInterrupt

    @contextmanager
    def show(_description, _total):
        yield Interrupted()

    monkeypatch.setattr(checker, "check_case", record)
    with pytest.raises(KeyboardInterrupt):
        check_path(nnunet_dataset(labelled=20), workers=1, progress=show)
    assert len(seen) <= 2


def test_progress_counts_every_case(nnunet_dataset):
    notes = []

    class Shown:
        def advance(self, *, note):
            notes.append(note)

    @contextmanager
    def show(description, total):
        assert (description, total) == ("check", 6)
        yield Shown()

    check_path(nnunet_dataset(), progress=show)
    assert notes == [f"case_{k:03d}" for k in range(6)]


def test_fault_33_same_scan_in_training_and_test_is_a_leak(nnunet_dataset):
    root = nnunet_dataset(size=(9, 8, 10))
    scan = nib.load(root / "imagesTr" / "case_000_0000.nii.gz")
    nib.save(scan, root / "imagesTs" / "case_005_0000.nii.gz")
    report = check_path(root)
    assert codes_of(report) == ["error content-leak case_000"]
    assert "case_000 (training), case_005 (test)" in report.problems[0].message


def test_fault_33_label_without_image_is_an_error_of_the_layout(nnunet_dataset):
    root = nnunet_dataset()
    (root / "labelsTr" / "case_777.nii.gz").write_bytes(b"x")
    report = check_path(root)
    assert codes_of(report) == ["error layout"]
    assert "case_777" in report.problems[0].message
    assert report.exit_code == 3


def edit_manifest(path, edit):
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    return check_path(path)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("s0,scans/s1.nii.gz,,,", "already in row"),  # 33: duplicate id
        ("S0,scans/s9.nii.gz,,,", "letter case"),  # 32: ids that differ by case
        ("s9,scans/s0.nii.gz,,,", "already in row"),  # 33: image listed twice
        ("s9,,masks/s0.nii.gz,,", "label without image"),  # 33
        ("s9,../../etc/passwd.nii.gz,,,", "leaves the manifest's folder"),  # 35: path traversal
    ],
)
def test_fault_32_33_35_of_manifests_are_errors_of_the_layout(manifest_dataset, extra, words):
    report = edit_manifest(manifest_dataset(), lambda text: f"{text}{extra}\n")
    assert codes_of(report) == ["error layout"]
    assert words in report.problems[0].message


def test_fault_33_patient_in_training_and_test(manifest_dataset):
    report = edit_manifest(manifest_dataset(), lambda text: text.replace(",test,p3", ",test,p1"))
    assert "error patient-leak" in codes_of(report)


def test_fault_36_manifest_with_mark_semicolons_and_blank_lines(manifest_dataset):
    path = manifest_dataset()
    text = path.read_text(encoding="utf-8").replace(",", ";").replace("\n", "\r\n\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    report = check_path(path)
    assert report.exit_code == 0
    assert report.case_count == 4


def test_channels_in_4d_files(decathlon_dataset):
    report = check_path(decathlon_dataset(channels=2, size=(9, 8, 10)))
    assert report.problems == ()
    assert list(report.summary.intensities) == ["MRI 0", "MRI 1"]


def test_fault_25_two_dimensional_dataset(tmp_path):
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 255, (20, 30)).astype(np.uint8)
        label = np.pad(np.ones((10, 10), np.uint8), ((5, 5), (5, 15)))
        for folder, array in (("images", image), ("labels", label)):
            write_image(tmp_path / folder / f"s{number}.png", array, Geometry.identity((20, 30)))
    report = check_path(tmp_path)
    assert report.problems == ()
    assert report.summary.size_vox.median == (20, 30)
    assert report.summary.labels[1].voxels == 200


def test_nothing_there(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        check_path(tmp_path / "gone")
    report = check_path(tmp_path)  # a folder without a data set is a finding
    assert report.exit_code == 3
    assert report.to_json()["summary"] is None


def test_json_is_plain_and_complete(nnunet_dataset):
    root = nnunet_dataset(size=(9, 8, 10))
    (root / "imagesTr" / "case_000_0000.nii.gz").write_bytes(b"")
    data = json.loads(json.dumps(check_path(root).to_json(), allow_nan=False))
    assert set(data) == {"root", "case_count", "counts", "problems", "summary"}
    assert data["counts"] == {"error": 1, "warning": 0, "note": 0}
    assert set(data["problems"][0]) == {"severity", "code", "case", "file", "message", "mend"}
    assert data["summary"]["size_vox"]["median"] == [9, 8, 10]
    # the box of each label map is 4 x 4 x 5; 3 labelled cases and 1 test case
    assert data["summary"]["labels"][1] == {"name": "blob", "value": 1, "voxels": 320, "cases": 4}


@pytest.mark.real
def test_real_hippocampus_is_clean(real_data: Path):
    report = check_path(real_data / "hippocampus" / "Dataset004_Hippocampus")
    assert report.case_count == 220
    assert [p for p in report.problems if p.severity is not Severity.NOTE] == []


def test_orientations_are_counted(nnunet_dataset):
    root = nnunet_dataset(labelled=2, unlabelled=1, test=0, size=(9, 8, 10))  # nibabel's axes run to R, A and S
    report = check_path(root)
    assert report.summary.orientations == {"RAS": 3}
    assert "  axes     RAS in all cases" in report.to_text()
    for path in (root / "imagesTr" / "case_001_0000.nii.gz", root / "labelsTr" / "case_001.nii.gz"):
        image = nib.load(path)
        nib.save(image.as_reoriented(np.array([[2, -1], [1, 1], [0, 1]])), path)
    report = check_path(root)
    assert codes_of(report) == ["warning mixed-orientations"]
    assert report.exit_code == 0
    assert report.to_json()["summary"]["orientations"] == {"RAS": 2, "SAL": 1}
    assert "  axes     RAS (2 cases), SAL (1 case)" in report.to_text()
