"""How results show themselves in Jupyter."""

from pathlib import Path

import pytest

from fewscan.files import write_json
from fewscan.inference.predictions import Predictions
from fewscan.metrics.evaluation import Evaluation
from fewscan.metrics.jensen import jensen_check
from fewscan.metrics.summary import SummaryRow
from fewscan.notebook import html_facts, html_result, html_table
from fewscan.registration.quality import LabelScores, PairReport, Regularity
from fewscan.registration.record import Registration
from fewscan.training.run import Run


def test_a_table_aligns_numbers_and_escapes_all():
    html = html_table(("<class>", "n"), [("a & b", "3")], caption="<c>")
    right, left = 'style="text-align: right"', 'style="text-align: left"'
    assert html == (
        f"<table><caption>&lt;c&gt;</caption><thead><tr><th {left}>&lt;class&gt;</th><th {right}>n</th></tr></thead>"
        f"<tbody><tr><td {left}>a &amp; b</td><td {right}>3</td></tr></tbody></table>"
    )


def test_a_result_escapes_title_notes_and_places():
    html = html_result("<t>", notes=["<n>"], places={"<w>": Path("<p>")})
    assert html == "<div><p><b>&lt;t&gt;</b></p><p>&lt;n&gt;</p><p>&lt;w&gt;: <code>&lt;p&gt;</code></p></div>"


def test_facts_leave_out_what_is_not_known():
    html = html_facts({"a": None, "b": "", "c": 0, "d": "x"})
    assert html.count("<tr>") == 2
    assert "<thead>" not in html


def test_a_run_that_has_written_nothing(tmp_path):
    html = Run(tmp_path)._repr_html_()
    assert "Run, not finished" in html
    assert str(tmp_path) in html
    assert "model" not in html.replace(str(tmp_path), "")


def test_a_run_says_at_which_step_it_was_best(tmp_path):
    record = {"state": "finished", "training_seconds": 60.0, "peak_memory_mib": 10.0}
    write_json(tmp_path / "run.json", record | {"best_validation": {"step": 123456, "mean_dice": 0.8125}})
    assert "step 123456, mean_dice 0.8125" in Run(tmp_path)._repr_html_()
    write_json(tmp_path / "run.json", record | {"best_validation": {"round": 2, "mean_dice": None}})
    assert '<td style="text-align: left">round 2</td>' in Run(tmp_path)._repr_html_()


def test_predictions_are_a_list_that_is_cut_short(tmp_path):
    files = [tmp_path / f"<{k}>.nii.gz" for k in range(12)]
    found = Predictions(tmp_path, files, record=tmp_path / "prediction.json")
    assert found == files
    html = found._repr_html_()
    assert "12 predictions" in html
    assert "and 2 more" in html
    assert "&lt;9&gt;.nii.gz" in html
    assert "&lt;10&gt;" not in html


def summary_row(metric, mean):
    return SummaryRow(
        label="<tumour>", metric=metric, n=3, absent=0, infinite=int(mean == float("inf")), mean=mean,
        standard_deviation=0.1, median=mean, low=0.5, high=0.9, mean_finite=0.7,
    )  # fmt: skip


def test_an_evaluation_shows_means_and_infinite_distances():
    values = {"dice": 0.8125, "jaccard": float("nan"), "hd95_mm": float("inf"), "asd_mm": 1.25}
    found = Evaluation(
        predictions="pred",
        labels="truth",
        names={1: "<tumour>"},
        scores=(),
        summary=tuple(summary_row(metric, mean) for metric, mean in values.items()),
        means={"<tumour>": jensen_check(0.8125, 0.7)},
        missing=("x",),
    )
    html = found._repr_html_()
    cells = [cell.split("<")[0] for cell in html.split(">") if cell.split("<")[0]]
    assert "&lt;tumour&gt;" in cells
    for text in ("0.812", "0.500 to 0.900", "n/a", "inf", "1.25", "pred", "truth"):
        assert text in cells
    assert "no prediction of 1 labelled cases" in html


@pytest.mark.parametrize("flags", [(), ("folds <b>",)])
def test_registrations_show_before_and_after(tmp_path, flags):
    label = LabelScores(1, 0.5, 0.75, 4.0, 2.0)
    report = PairReport(
        similarity_before=0.25,
        similarity_after=0.875,
        inside=1.0,
        regularity=Regularity(0.001, 0.1, 0.0, 3.0),
        labels=(label,),
        flags=flags,
    )
    html = Registration(tmp_path, {}, {"a_to_b": report})._repr_html_()
    for text in ("1 pair registered", "0.250", "0.875", "0.500", "0.750", "4.00", "2.00", "0.100%", "pairs.csv"):
        assert text in html
    assert ("warning: a_to_b: folds &lt;b&gt;" in html) == bool(flags)
