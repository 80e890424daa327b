from math import isnan, nan

import pytest

from fewscan.experiments.averages import Key, make_lines
from fewscan.experiments.collect import collect
from fewscan.experiments.gap import GapShare, gap_shares
from fewscan.experiments.state import AS_PREDICTED
from fewscan.experiments.table_notes import gap_notes

DICE = Key(AS_PREDICTED, "ball", "dice")


def _shares(folder, cells):
    lines = make_lines(cells, collect(folder, cells))
    return {share.row.labelled.count: share for share in gap_shares(lines, "supervised", DICE)}


def test_share_of_the_gap(cells, finished):
    shares = _shares(finished, cells)
    # 1 label: (0.72 - 0.62) / (0.82 - 0.62); 3 labels: (0.79 - 0.80) / (0.82 - 0.80)
    assert shares[1].share == pytest.approx(0.5)
    assert shares[3].share == pytest.approx(-0.5)
    assert shares[1].gap == pytest.approx(0.20)
    assert shares.keys() == {1, 3}
    assert not shares[3].tiny


def _one_seed(cells, finish, folder, **dice):
    for cell in cells:
        name = f"{cell.row.method}_{cell.row.labelled.name}"
        if cell.seed == 0 and name in dice:
            finish(folder, cell, dice[name])


def test_a_tiny_gap_is_marked(cells, finish, tmp_path):
    _one_seed(cells, finish, tmp_path, supervised_n1=0.810, other_n1=0.812, supervised_all=0.815)
    share = _shares(tmp_path, cells)[1]
    assert share.tiny
    assert share.share == pytest.approx(0.4)  # 0.002 / 0.005


def test_no_gap_no_share(cells, finish, tmp_path):
    _one_seed(cells, finish, tmp_path, supervised_n1=0.82, other_n1=0.83, supervised_all=0.81)
    assert isnan(_shares(tmp_path, cells)[1].share)


def test_without_upper_bound_there_is_no_share(cells, finish, tmp_path):
    _one_seed(cells, finish, tmp_path, supervised_n1=0.7, other_n1=0.8)
    assert _shares(tmp_path, cells) == {}


def test_the_note_says_over_which_seeds(cells, finish, finished, tmp_path):
    lines = make_lines(cells, collect(finished, cells))
    shares = gap_shares(lines, "supervised", DICE)
    formula, *_ = gap_notes(lines, shares, lambda row: row.method)
    assert formula.endswith("in mean Dice.")
    _one_seed(cells, finish, tmp_path, supervised_n1=0.7, other_n1=0.8, supervised_all=0.9)
    second = next(
        cell for cell in cells if (cell.row.method, cell.row.labelled.name, cell.seed) == ("supervised", "n1", 1)
    )
    finish(tmp_path, second, 0.6)
    lines = make_lines(cells, collect(tmp_path, cells))
    formula, *_ = gap_notes(lines, gap_shares(lines, "supervised", DICE), lambda row: row.method)
    assert formula.endswith("in mean Dice; on N over the seeds that method and baseline both have.")


def test_the_note_of_a_tiny_gap_shows_that_it_is_tiny(cells, finish, tmp_path):
    """0.9996 points are not "1.00 (below 1)"; no share, no note."""
    _one_seed(cells, finish, tmp_path, supervised_n1=0.810, other_n1=0.812, supervised_all=0.815)
    lines = make_lines(cells, collect(tmp_path, cells))
    _, note = gap_notes(lines, gap_shares(lines, "supervised", DICE), lambda row: row.method)
    assert note == "other, 1 labelled: the gap is 0.50 points of Dice (below 1), so the share means little."
    rounded = GapShare(lines[0].row, 0.009996, 0.5)
    assert "the gap is 0.99 points of Dice (below 1)" in gap_notes(lines, [rounded], lambda row: row.method)[1]
    share = GapShare(lines[0].row, -0.01, nan)
    assert gap_notes(lines, [share], lambda row: row.method)[1:] == []
