"""`fewscan methods`: one row for every method, and everything about one."""

import json

import pytest

from fewscan.cli.method_details import as_plain_text, describe, meaning_and_source
from fewscan.cli.methods import as_paragraphs, as_table, as_text, methods, overview
from fewscan.methods import costs
from fewscan.methods.registry import trainable_names


def test_every_method_has_a_row():
    rows = overview()
    assert list(rows) == trainable_names()
    for row in rows.values():
        assert row["title"]
        assert row["paper"]
        assert row["parts"]
        assert row["when"].endswith(".")


def test_the_table_says_what_was_measured_and_what_not(monkeypatch, capsys):
    found = {"bcp": {"recommended": {"time": 1.2345, "memory": 0.98}}}
    monkeypatch.setattr(costs, "measured", lambda: {"methods": found})
    monkeypatch.setenv("COLUMNS", "200")
    methods()
    lines = capsys.readouterr().out.splitlines()
    bcp, dtc = (next(line for line in lines if line.strip().startswith(f"{name} ")) for name in ("bcp", "dtc"))
    assert "1.2" in bcp
    assert "1.0" in bcp
    assert dtc.count("not measured") == 2
    assert any(line.strip().startswith("paper 1: Li et al.") for line in lines)


def test_a_narrow_terminal_gets_paragraphs(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    methods()
    out = capsys.readouterr().out
    assert max(map(len, out.partition("  paper 1:")[0].splitlines())) <= 80
    assert "\nbcp\n  what and where from: BCP" in out


def test_the_brief_list_has_a_few_lines_for_each_method(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    methods(brief=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 3 * len(trainable_names())
    names = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert names[: 1 + len(trainable_names())] == ["method", *trainable_names()]
    place = next(number for number, line in enumerate(lines) if line.startswith("supervised "))
    assert lines[place].split() == ["supervised", "1.0", "1.0"]
    assert lines[place + 1].startswith("  Always: the baseline")
    text = "\n".join(lines)
    assert "what and where from" not in text
    assert "fewscan methods NAME" in text


def test_json_of_all_and_of_one(capsys):
    methods(as_json=True)
    assert set(json.loads(capsys.readouterr().out)["methods"]) == set(trainable_names())
    methods("uamt", as_json=True)
    assert json.loads(capsys.readouterr().out)["name"] == "uncertainty_aware_mean_teacher"


def test_tables_fold_to_the_width():
    rows = [("a_long_name", "words " * 20, "3"), ("b", "[not markup]", "4")]
    table = as_table(("method", "what", "n"), rows, width=60)
    assert all(len(line) <= 60 for line in table.splitlines())
    assert "[not markup]" in table
    assert as_paragraphs(("method", "what", "n"), rows[1:], width=60) == "b\n  what: [not markup]\n  n: 4"


@pytest.mark.parametrize("name", trainable_names())
def test_everything_about_one(name):
    details = describe(name)
    assert set(details["presets"]) == {"paper", "recommended"}
    assert "(1)" in details["documentation"]
    for field in details["hyper_parameters"].values():
        assert all(meaning_and_source(field["source"]))
        assert set(field["values"]) == {"paper", "recommended"}
    for values in details["differences"].values():
        assert values["paper"] != values["recommended"]
    text = as_text(details)
    assert details["documentation"] in text
    assert details["when"] in text
    json.dumps(details)


def test_differences_are_those_of_whole_runs():
    found = describe("mean_teacher")["differences"]
    assert found["optimiser.name"] == {"paper": "sgd", "recommended": "adamw"}
    assert found["augmentation"] == {"paper": "flips", "recommended": "standard"}
    assert found["hyper.temperature"] == {"paper": 1.0, "recommended": 0.5}
    assert found["network"]["paper"]["options"]["dropout"] == 0.3
    assert "hyper.ema_decay" not in found
    assert "seed" not in found


def test_settings_within_settings_have_dotted_keys():
    details = describe("joint")
    assert details["hyper_parameters"]["registration.loss.label_weight"]["values"] == {"paper": 1.0, "recommended": 5.0}
    assert "hyper.registration.loss.label_weight" in details["differences"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.30000001, "0.3"),
        (24000, "24000"),
        ([1, 2.5], "[1, 2.5]"),
        ({"labelled": 2, "unlabelled": 3}, "labelled 2, unlabelled 3"),
        ({"name": "unet", "options": {}}, "unet"),
        ({"name": "unet", "options": {"filters": [4, 8], "dropout": 0.3}}, "unet (filters [4, 8], dropout 0.3)"),
    ],
)
def test_values_in_words(value, text):
    assert as_plain_text(value) == text


@pytest.mark.parametrize(
    ("description", "parts"),
    [
        ("w; public code", ("w", "public code")),
        ("of a mask; the rest is registration; paper 1: 0.5", ("of a mask; the rest is registration", "paper 1: 0.5")),
        ("squared denominators", ("squared denominators", "")),
    ],
)
def test_meaning_and_source(description, parts):
    assert meaning_and_source(description) == parts
