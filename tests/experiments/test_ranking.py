from math import nan

from fewscan.experiments.ranking import best_median_worst


def test_best_median_and_worst_ties_by_id_and_nothing_scored_passed_over():
    scores = {"d": 0.5, "b": 0.9, "a": 0.9, "c": 0.7, "e": nan}
    # a, b (0.9 both), c, d: the third of four is the median
    assert best_median_worst(scores) == {"best": ("a", 0.9), "median": ("c", 0.7), "worst": ("d", 0.5)}


def test_fewer_cases_give_fewer_ranks():
    assert best_median_worst({"a": 0.1, "b": 0.2}) == {"best": ("b", 0.2), "worst": ("a", 0.1)}
    assert best_median_worst({"a": 0.1}) == {"only": ("a", 0.1)}
    assert best_median_worst({"a": nan}) == {}
