import json

import pytest
import typer
from typer.testing import CliRunner

from fewscan.cli.report import report
from fewscan.data.plan import Plan
from fewscan.errors import UsageError
from fewscan.files import write_json
from fewscan.training.settings import resolve_settings

app = typer.Typer()
app.command()(report)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "knee"
    folder.mkdir()
    resolve_settings(method="supervised", config={}, overrides={"iterations": 20}).write(folder / "settings.yaml")
    classes = [{"name": name, "values": [k], "output": k} for k, name in enumerate(("background", "bone"))]
    values = {"name": "knees", "dimensions": 2, "image_dimensions": 2, "channels": ["MR"], "patch_size": [8, 8]}
    Plan.parse({**values, "classes": classes}, source="plan").write(folder / "plan.yaml")
    write_json(folder / "split.json", {"labelled": ["a"]})
    write_json(folder / "run.json", {"state": "finished", "training_seconds": 5.0, "peak_memory_mib": 10.0})
    term = {"value": 1.0, "weight": 1.0, "product": 1.0}
    step = {"kind": "step", "step": 0, "terms": {"supervised": term}, "loss": 1.0, "lr": 0.1, "seconds": 0.1}
    (folder / "log.jsonl").write_text(json.dumps(step) + "\n")
    return folder


def test_says_where_the_report_is(run):
    result = CliRunner().invoke(app, [str(run)])
    assert result.exit_code == 0
    assert f"report: {run / 'report.html'}" in result.output
    assert "training run knee: finished" in result.output
    assert "<h1>knee</h1>" in (run / "report.html").read_text()


def test_json_holds_the_main_figures(run, tmp_path):
    place = tmp_path / "out" / "page.html"
    result = CliRunner().invoke(app, [str(run), "--out", str(place), "--json"])
    found = json.loads(result.output)
    assert found["report"] == str(place)
    assert place.is_file()
    assert found["kind"] == "training run"
    assert found["complete"] is True
    assert found["figures"]["training_seconds"] == 5.0
    assert not (run / "report.html").exists()


def test_a_second_report_takes_the_place_of_the_first(run):
    for _ in range(2):
        assert CliRunner().invoke(app, [str(run)]).exit_code == 0
    assert len(list(run.glob("*.html"))) == 1


def test_a_folder_of_something_else_is_a_usage_error(tmp_path):
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "it is empty" in result.exception.message
    assert "run.json" in result.exception.mend
    assert not list(tmp_path.iterdir())
