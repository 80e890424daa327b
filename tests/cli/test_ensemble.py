import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fewscan.cli.ensemble import ensemble
from fewscan.inference import ensemble as ensemble_module

app = typer.Typer()
app.command()(ensemble)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the command asked of the library, which is replaced."""
    noted: list[tuple[Any, ...]] = []

    def stand_in(models: list[Path], out: Path) -> Path:
        noted.append((models, out))
        return out

    monkeypatch.setattr(ensemble_module, "ensemble", stand_in)
    return noted


def test_it_says_what_was_made_and_what_is_next(calls: list[tuple[Any, ...]]) -> None:
    result = CliRunner().invoke(app, ["a", "b", "--out", "c.safetensors"])
    assert result.exit_code == 0, result.output
    assert calls == [([Path("a"), Path("b")], Path("c.safetensors"))]
    assert result.stdout.splitlines() == [
        "2 models in c.safetensors",
        "next: fewscan predict c.safetensors SCANS --out PREDICTIONS",
    ]


def test_as_json(calls: list[tuple[Any, ...]]) -> None:
    result = CliRunner().invoke(app, ["a", "b", "--out", "c.safetensors", "--json"])
    assert json.loads(result.stdout) == {"model": "c.safetensors", "members": ["a", "b"]}
