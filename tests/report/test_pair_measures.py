from math import inf, isnan

from fewscan.report.pair_measures import MEASURES, known_measures, ranking

SIMILARITY, DICE, DISTANCE = MEASURES


def pair(name, *, similarity=0.9, dice=None, distances=()):
    return {
        "id": name,
        "similarity": {"before": 0.5, "after": similarity},
        "mean_dice": None if dice is None else {"before": 0.1, "after": dice},
        "labels": [{"hd95_mm_before": 8.0, "hd95_mm_after": distance} for distance in distances],
    }


def test_a_pair_without_labels_has_a_similarity_alone():
    bare = pair("a")
    assert known_measures([bare]) == [SIMILARITY]
    assert [measure.text(bare, "after") for measure in MEASURES] == ["0.900", "–", "–"]


def test_means_are_over_the_pairs_that_have_a_value():
    pairs = [pair("a"), pair("b", dice=0.6, distances=(1.0, 3.0)), pair("c", dice=0.8, distances=(4.0,))]
    assert known_measures(pairs) == list(MEASURES)
    assert DICE.mean(pairs, "after") == 0.7
    # (1 + 3) / 2 = 2 in the second pair, 4 in the third
    assert DISTANCE.mean(pairs, "after") == 3.0
    assert DISTANCE.mean([*pairs, pair("d", dice=0.0, distances=(inf,))], "after") == inf


def test_pairs_are_ranked_by_dice_where_any_has_labels():
    assert ranking([pair("a"), pair("b", similarity=0.7)]) == ("similarity after", {"a": 0.9, "b": 0.7})
    what, scores = ranking([pair("a"), pair("b", dice=0.6)])
    assert what == "mean Dice after"
    assert isnan(scores["a"])
    assert scores["b"] == 0.6
