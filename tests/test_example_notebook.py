"""The example notebook runs from top to bottom, and what it shows has a table.

Its cells are executed as plain Python in one namespace: a kernel would add packages and seconds, and no cell needs it.
"""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "cohort_to_comparison.ipynb"


def run_cell(source, names):
    """Execute a cell and return the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)  # noqa: S102
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names, shown = {}, {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            value = run_cell("".join(cell["source"]), names)
            if type(value).__module__.startswith("fewscan."):
                shown[type(value).__name__] = value._repr_html_()
    assert set(shown) == {"Run", "Predictions", "Evaluation", "Outputs"}
    assert all("<table" in html and "</div>" in html for html in shown.values())
    assert "supervised, preset recommended" in shown["Run"]
    assert "2 labelled, 10 unlabelled, 4 test" in shown["Run"]
    assert "test_001.nii.gz" in shown["Predictions"]
    assert "white matter" in shown["Evaluation"]
    assert "mean_teacher" in shown["Outputs"]
    assert "Fewer than 3 seeds" in shown["Outputs"]
    assert "### Overlap and cost" in capsys.readouterr().out


def test_it_holds_no_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
