import json
import os
import subprocess
import sys

import pytest

import fewscan
from fewscan.cli.app import main

COMMANDS = [
    "demo", "check", "prepare", "train", "predict", "register", "evaluate", "methods", "cohort", "compare", "report",
    "ensemble",
]  # fmt: skip
HEAVY = ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "matplotlib", "monai", "lightning_fabric")


def _run(*arguments):
    return subprocess.run([sys.executable, "-m", "fewscan", *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [[], *[[command] for command in COMMANDS]])
def test_help_imports_nothing_heavy(arguments):
    """What makes --help answer at once; the time itself is measured in benchmarks/."""
    code = (
        "import sys; sys.argv = ['fewscan', *sys.argv[1:], '--help']\n"
        "from fewscan.cli.app import main\n"
        "try:\n    main()\n"
        "finally:\n"
        f"    print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert "Usage" in result.stdout
    assert result.stdout.rstrip().endswith("HEAVY []")


def test_import_fewscan_is_light():
    code = f"import fewscan, sys; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_help_is_folded_by_the_terminal_alone():
    """Lines of the source do not end lines of the help."""
    env = os.environ | {"COLUMNS": "300", "TERMINAL_WIDTH": "300"}
    shown = subprocess.run(
        [sys.executable, "-m", "fewscan", "predict", "--help"], capture_output=True, text=True, timeout=60, env=env
    ).stdout
    assert "on exactly the scan's own grid and with the label values of the training data, and prediction.json" in shown


def test_version():
    assert _run("--version").stdout.strip() == f"fewscan {fewscan.__version__}"


def test_usage_error_exits_2():
    result = _run("train")
    assert result.returncode == 2
    assert "Missing argument" in result.stderr


def test_wrong_setting_exits_2_and_names_the_nearest(tmp_path):
    result = _run("train", str(tmp_path), "--out", str(tmp_path / "run"), "--set", "iteration=5")
    assert result.returncode == 2
    assert "did you mean 'iterations'" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_data_error_exits_3(tmp_path):
    (tmp_path / "empty").mkdir()
    result = _run("train", str(tmp_path / "empty"), "--out", str(tmp_path / "run"))
    assert result.returncode == 3
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "check gone",
        "prepare gone --out out",
        "train gone --out out",
        "predict gone . --out out",
        "register --moving gone --fixed gone --classical affine --out out",
        "evaluate gone .",
        "evaluate full gone",
        "compare gone.yaml --out out",
        "report gone",
        "train . --out full",
        "report full --labels gone",
    ],
)
def test_a_path_that_is_not_there_or_in_use_is_bad_usage_everywhere(arguments, tmp_path, monkeypatch, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.nii.gz").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fewscan", *arguments.split()])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert {path.name for path in tmp_path.iterdir()} == {"full"}


def test_methods_lists_and_describes():
    assert "supervised" in _run("methods").stdout
    details = json.loads(_run("methods", "supervised", "--json").stdout)
    assert details["presets"]["paper"]["optimiser"]["name"] == "sgd"
    assert "dice_weight" in _run("methods", "supervised").stdout


def test_ctrl_c_exits_4(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("fewscan.methods.registry.trainable_names", interrupted)
    monkeypatch.setattr(sys, "argv", ["fewscan", "methods"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 4
    assert capsys.readouterr().err == "stopped\n"


def test_a_reader_that_goes_away_is_no_error():
    code = "import sys; sys.argv = ['fewscan', 'methods']; from fewscan.cli.app import main; main()"
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, b"")


def test_unknown_method():
    result = _run("methods", "supervisd")
    assert result.returncode == 2
    assert "did you mean 'supervised'" in result.stderr


def test_all_public_names_can_be_imported():
    for name in fewscan.__all__:
        assert getattr(fewscan, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fewscan.nothing
    assert "train" in dir(fewscan)


def test_plain_locale_narrow_terminal_and_no_colour():
    environment = {"LANG": "C", "LC_ALL": "C", "COLUMNS": "20", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        [sys.executable, "-m", "fewscan", "methods"], capture_output=True, env=environment, timeout=60
    )
    assert result.returncode == 0
    assert b"\x1b[" not in result.stdout
