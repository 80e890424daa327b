from pathlib import Path

from fewscan.data.check.problem import Problem, Severity
from fewscan.data.check.report import CheckReport
from fewscan.errors import DataError

ROOT = Path("/data/set")


def problem(severity, code, case_id="", file="", message="it is wrong", mend=""):
    return Problem(severity=severity, code=code, case_id=case_id, file=file, message=message, mend=mend)


def report(*problems, cases=9):
    return CheckReport(root=ROOT, problems=problems, case_count=cases)


def test_exit_code_is_that_of_data_errors_only_for_errors():
    assert report(problem(Severity.WARNING, "w"), problem(Severity.NOTE, "n")).exit_code == 0
    assert report(problem(Severity.ERROR, "e")).exit_code == DataError.exit_code == 3


def test_text_groups_by_case_and_file():
    file = str(ROOT / "imagesTr" / "a.nii.gz")
    text = report(
        problem(Severity.ERROR, "class-absent"),
        problem(Severity.ERROR, "nan-voxels", "a", file, mend="mend it"),
        problem(Severity.ERROR, "inf-voxels", "a", file),
        problem(Severity.WARNING, "empty-label", "b", "/elsewhere/b.nii.gz"),
    ).to_text()
    assert text.splitlines() == [
        "ERRORS",
        "  data set",
        "    class-absent: it is wrong",
        "  a",
        "    imagesTr/a.nii.gz",
        "      nan-voxels: it is wrong",
        "        -> mend it",
        "      inf-voxels: it is wrong",
        "",
        "WARNINGS",
        "  b",
        "    /elsewhere/b.nii.gz",
        "      empty-label: it is wrong",
        "",
        "3 errors, 1 warning in 9 cases",
    ]


def test_what_many_cases_share_is_shown_once():
    names = [f"c{k}" for k in range(8)]
    warnings = [problem(Severity.WARNING, "qform-differs", name, str(ROOT / f"{name}.nii")) for name in names]
    lines = report(*warnings, problem(Severity.WARNING, "empty-label", "c1")).to_text().splitlines()
    assert lines[:5] == [
        "WARNINGS",
        "  8 cases: c0, c1, c2, c3, c4 and 3 more",
        "    qform-differs: e.g. c0.nii: it is wrong",
        "  c1",
        "    empty-label: it is wrong",
    ]


def test_shared_errors_name_every_case():
    errors = [problem(Severity.ERROR, "nan-voxels", f"c{k}") for k in range(8)]
    assert "  8 cases: c0, c1, c2, c3, c4, c5, c6, c7" in report(*errors).to_text().splitlines()


def test_clean_report():
    assert report(cases=1).to_text() == "0 errors, 0 warnings in 1 case"


def test_message_of_several_lines_keeps_its_margin():
    text = report(problem(Severity.ERROR, "layout", message="2 problems:\n  - a\n  - b", mend="x\n  y")).to_text()
    assert "    layout: 2 problems:\n        - a\n        - b\n      -> x\n           y\n" in text
