"""What a reader of scores is told beside the numbers."""

from dataclasses import replace

from fewscan.metrics.evaluate import evaluate
from fewscan.report.sections.scores import summary_table


def test_patients_and_scans_seen_in_training_are_told(make_predictions, tmp_path):
    evaluation = evaluate(make_predictions(tmp_path), tmp_path / "labels")
    assert "over 3 cases, of the predictions" in summary_table(evaluation).notes[0]
    two = dict(zip(evaluation.case_ids, ("p", "p", "q"), strict=True))
    told = summary_table(replace(evaluation, patients=two, seen_unlabelled=evaluation.case_ids[:1])).notes
    assert "over 2 patients (3 cases, averaged for each patient first), of" in told[0]
    assert "seen in training without its label: p0" in told[1]
