from dataclasses import replace
from math import inf, isnan

import pytest

from fewscan.experiments.against_baseline import compare_with_baselines, differences
from fewscan.experiments.averages import Key, make_lines
from fewscan.experiments.collect import collect
from fewscan.experiments.state import AS_PREDICTED

DICE = Key(AS_PREDICTED, "ball", "dice")


def _comparisons(folder, cells, key=DICE):
    lines = make_lines(cells, collect(folder, cells))
    compared = compare_with_baselines(lines, ["supervised"])["supervised"]
    return {item.row.labelled.count: item for item in compared if item.key == key}


def test_paired_by_case_over_seeds_and_corrected(cells, finished):
    found = _comparisons(finished, cells)
    assert found.keys() == {1, 3}
    # 1 label: every case gains 0.1 + 0.001 (k - 2.5) > 0; of 2^6 sign patterns two are as extreme: p = 2/64
    assert found[1].test.p == pytest.approx(2 / 64)
    assert (found[1].better, found[1].worse, found[1].test.n) == (6, 0, 6)
    assert found[1].mean - found[1].baseline_mean == pytest.approx(0.1)
    assert found[1].low == pytest.approx(0.0986, abs=5e-4)
    assert found[1].high == pytest.approx(0.1014, abs=5e-4)
    # 3 labels: every case loses about 0.01, which is as extreme; Holm: 2 * 2/64 for the first, not less for the second
    assert (found[3].better, found[3].worse) == (0, 6)
    assert [found[count].p_holm for count in (1, 3)] == pytest.approx([4 / 64, 4 / 64])
    assert found[1].seeds == (0, 1)


def test_scans_of_one_patient_are_no_independent_tests(cells, finished):
    """Six scans of three patients: of 2^3 sign patterns two are as extreme, so p = 2/8 and not 2/64."""
    patients = {f"test{k}": f"patient{k // 2}" for k in range(6)}
    cells = [replace(cell, split=cell.split.model_copy(update={"test_groups": patients})) for cell in cells]
    item = _comparisons(finished, cells)[1]
    assert (item.test.n, item.better) == (3, 3)
    assert item.test.p == pytest.approx(2 / 8)
    assert item.test.mean_difference == pytest.approx(0.1)


def test_the_gain_of_every_draw_is_over_patients_too(cells, finish, tmp_path):
    """Five scans of one patient gain 0.1, that of the other loses 0.3: (0.1 - 0.3) / 2, in each draw and over both."""
    patients = {f"test{k}": "first" for k in range(5)}
    cells = [replace(cell, split=cell.split.model_copy(update={"test_groups": patients})) for cell in cells]
    for cell in cells:
        finish(tmp_path, cell, 0.5 if cell.row.method == "supervised" else [0.6] * 5 + [0.2])
    item = _comparisons(tmp_path, cells)[1]
    assert item.by_seed == pytest.approx((-0.1, -0.1))
    assert item.mean - item.baseline_mean == pytest.approx(-0.1)


def test_a_pair_compared_both_ways_is_corrected_once(cells, finished):
    lines = make_lines(cells, collect(finished, cells))
    found = compare_with_baselines(lines, ["supervised", "other"])
    there, back = ([item for item in found[name] if item.key == DICE] for name in ("supervised", "other"))
    assert [item.p_holm for item in there] == [item.p_holm for item in back] == pytest.approx([4 / 64, 4 / 64])
    assert [item.test.mean_difference for item in there] == pytest.approx([-item.test.mean_difference for item in back])


def test_the_gain_of_every_draw_is_told(cells, finish, tmp_path):
    dice = {("supervised", 0): 0.5, ("supervised", 1): 0.6, ("other", 0): 0.7, ("other", 1): 0.55}
    for cell in cells:
        finish(tmp_path, cell, dice[cell.row.method, cell.seed], hd95_mm=inf if cell.seed else 2.0)
    assert _comparisons(tmp_path, cells)[1].by_seed == pytest.approx((0.2, -0.05))
    apart = _comparisons(tmp_path, cells, Key(AS_PREDICTED, "ball", "hd95_mm"))[1]
    assert apart.by_seed[0] == 0
    assert isnan(apart.by_seed[1])


def test_only_seeds_that_both_have(cells, finish, tmp_path):
    few = [cell for cell in cells if cell.row.labelled.count == 1]
    for cell in few:
        if (cell.row.method, cell.seed) != ("other", 1):
            # seed 1 of the baseline is far better, but has no partner
            finish(tmp_path, cell, 0.9 if cell.seed == 1 else 0.5 if cell.row.method == "supervised" else 0.6)
    item = _comparisons(tmp_path, cells)[1]
    assert item.seeds == (0,)
    assert (item.mean, item.baseline_mean) == pytest.approx((0.6, 0.5))


def test_no_common_seed_no_comparison(cells, finish, tmp_path):
    for cell in cells[:1] + cells[6:7]:  # supervised of seed 0, other of seed 1
        finish(tmp_path, cell, 0.5)
    assert _comparisons(tmp_path, cells) == {}


def test_infinite_distances_count(cells, finish, tmp_path):
    # the baseline has an empty prediction in case 0, both have one in case 1
    finish(tmp_path, cells[0], 0.5, hd95_mm=[inf, inf, 2.0, 2.0, 2.0, 2.0])
    finish(tmp_path, cells[1], 0.5, hd95_mm=[9.0, inf, 2.0, 2.0, 2.0, 3.0])
    item = _comparisons(tmp_path, cells, Key(AS_PREDICTED, "ball", "hd95_mm"))[1]
    assert (item.better, item.worse, item.test.n) == (1, 1, 6)
    assert item.test.mean_difference == -inf
    assert isnan(item.low)


def test_unequal_budgets_are_named(cells, finish, tmp_path, make_study, data):
    from fewscan.data.layouts import load_dataset
    from fewscan.experiments.cells import list_cells

    changed = {"iterations": 9, "augmentation": "flips", "ema_decay": 0.9}
    longer = {"method": "supervised", "name": "longer", "settings": changed}
    cells = list_cells(make_study(data, methods=["supervised", longer]), load_dataset(data))
    for cell in cells:
        finish(tmp_path, cell, 0.5)
    lines = make_lines(cells, collect(tmp_path, cells))
    assert differences(lines[1], lines[0]) == ["iterations", "augmentation", "ema_decay"]


def test_equal_budgets(cells, finished):
    lines = make_lines(cells, collect(finished, cells))
    assert differences(lines[1], lines[0]) == []
