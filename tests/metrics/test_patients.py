from math import inf, nan

from fewscan.metrics.patients import count_patients, over_patients, patient_means


def test_means_over_each_patients_scans():
    pairs = {"a1": (0.25, 0.5), "b": (0.9, 0.8), "a2": (0.75, 0.0)}
    assert over_patients(pairs, {"a1": "a", "a2": "a"}) == ([0.5, 0.9], [0.25, 0.8])


def test_an_absent_class_counts_for_nothing():
    scores = {"a1": 0.25, "a2": 0.75, "a3": nan, "b": nan, "c": 1.0}
    assert patient_means(scores, {"a1": "a", "a2": "a", "a3": "a", "b": "b"}) == [0.5, 1.0]


def test_without_patients_every_scan_is_one():
    assert over_patients({"x": (1.0, 2.0), "y": (3.0, 4.0)}, {}) == ([1.0, 3.0], [2.0, 4.0])


def test_a_patient_may_be_called_as_another_ones_scan():
    assert over_patients({"x": (1.0, 2.0), "y": (3.0, 4.0)}, {"x": "y"}) == ([1.0, 3.0], [2.0, 4.0])
    assert count_patients("xy", {"x": "y"}) == 2
    assert count_patients("xyz", {"x": "p", "y": "p"}) == 2


def test_an_infinite_distance_is_never_averaged_away():
    assert over_patients({"x": (inf, 1.0), "y": (3.0, 1.0)}, {"x": "p", "y": "p"}) == ([inf], [1.0])
