"""The table of what each method gains over supervised training, from the comparisons of the kept studies."""

from csv import DictReader
from pathlib import Path
from typing import NamedTuple

from fewscan.experiments.cells import Cell
from fewscan.experiments.kept import read_cells
from fewscan.experiments.state import AS_PREDICTED
from fewscan.metrics.summary import ALL_CLASSES

LEVEL = 0.05  # of p with Holm's correction, for bold figures
BASELINE, PRESET = "supervised", "recommended"


class Column(NamedTuple):
    """One labelled count of one kept study."""

    study: str
    labelled: int
    title: str


COLUMNS = (
    Column("joint_slices", 2, "hippocampus slices"),
    Column("steps_slices", 2, "hippocampus slices"),
    Column("rivals_hippocampus", 2, "hippocampus"),
    Column("rivals_hippocampus", 4, "hippocampus"),
    Column("hippocampus", 4, "hippocampus"),
    Column("steps_hippocampus", 4, "hippocampus"),
    Column("left_atrium", 4, "left atrium"),
    Column("steps_left_atrium", 4, "left atrium"),
    Column("joint_acdc", 7, "ACDC slices"),
)
LINES = {
    "two_supervised": "two supervised networks, mean of both",
    "mean_teacher": "`mean_teacher`",
    "uamt": "`uamt`",
    "interpolation_consistency": "`interpolation_consistency`",
    "co_learning": "`co_learning`",
    "cps": "`cps`",
    "bcp": "`bcp`",
    "dtc": "`dtc`",
    "sassnet": "`sassnet`",
    "adversarial": "`adversarial`",
    "ss_net": "`ss_net`",
    "urpc": "`urpc`",
    "mc_net": "`mc_net`",
    "entropy_minimisation": "`entropy_minimisation`",
    "fixmatch": "`fixmatch`",
    "supervised_64": "`supervised`, larger patches",
    "cps_64": "`cps`, larger patches",
    "cross_teaching": "`cross_teaching`, larger patches",
    "joint": "`joint`, more steps",
    "combined": "`joint --predictor combined`, more steps",
    "multi_atlas": "`multi_atlas`, whole scans",
}
OTHER_STEPS = "_1000"  # ends the names of lines whose supervised training is not the column's


def overview_table(results: Path) -> str:
    """Return a Markdown table: Dice (%) of supervised training, and points above it of every other line.

    Parameters
    ----------
    results : Path
        Holds ``studies``, whose tables were made.

    Raises
    ------
    ValueError
        If a line misses draws or occurs twice, or is not known here.
    """
    columns = [_column(results / "studies" / column.study, column) for column in COLUMNS]
    names = {"heading": "points of test Dice", "rule": "---", "baseline": "`supervised`, Dice in %"}
    rows = [[label, *(column.get(name, "") for column in columns)] for name, label in (names | LINES).items()]
    rows.append(["`supervised`, all labels", *(column["all"] for column in columns)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows if any(row[1:]))


def _column(kept: Path, column: Column) -> dict[str, str]:
    """Return the cells of one column by line."""
    lines = {key: row for key, row in _of_dice(kept, "summary.csv").items() if key[0] == BASELINE}
    counts = {cell.row.labelled.count: cell for cell in read_cells(kept) if cell.row.method == BASELINE}
    (everything,) = (count for count, cell in counts.items() if cell.row.labelled.is_all)
    baseline, best = lines[BASELINE, "", column.labelled], lines[BASELINE, "", everything]
    heading = _heading(column, everything, counts[column.labelled], draws=baseline["seeds"])
    found = {"heading": heading, "rule": "--:", "baseline": f"{100 * float(baseline['mean']):.1f}"}
    found["all"] = _points(float(best["mean"]) - float(baseline["mean"]))
    for (name, against, labelled), row in _of_dice(kept, "comparison.csv").items():
        if against != BASELINE or labelled != column.labelled or name.endswith(OTHER_STEPS):
            continue
        if name not in LINES or row["seeds"] != baseline["seeds"]:
            raise ValueError(f"{kept.name}: line {name} is not known, or has not the draws of {BASELINE}")
        gain = _points(float(row["mean_difference"]))
        found[name] = f"**{gain}**" if row["p_holm"] != "n/a" and float(row["p_holm"]) < LEVEL else gain
    return found


def _heading(column: Column, everything: int, cell: Cell, *, draws: str) -> str:
    plural = "" if draws == "1" else "s"
    scans = f"{column.labelled} of {everything}"
    return "<br>".join([column.title, scans, f"{cell.settings.iterations} steps", f"{draws} draw{plural}"])


def _points(difference: float) -> str:
    return f"{100 * difference:+z.1f}"


def _of_dice(kept: Path, table: str) -> dict[tuple[str, str, int], dict[str, str]]:
    """Return the rows on Dice of predictions as they are, by line, what it is compared with (or "") and labelled scans.

    Of several classes it is their mean.
    """
    with (kept / table).open(encoding="utf-8", newline="") as file:
        rows = [row for row in DictReader(file) if row["metric"] == "dice" and row["scored"] == AS_PREDICTED]
    classes = {row["class"] for row in rows}
    found: dict[tuple[str, str, int], dict[str, str]] = {}
    for row in rows:
        if row["preset"] != PRESET or (len(classes) > 1 and row["class"] != ALL_CLASSES):
            continue
        key = row["method"], row.get("baseline", ""), int(row["labelled"])
        if key in found or row["seeds"] != row.get("seeds_planned", row["seeds"]):
            raise ValueError(f"{kept.name}: line {key} occurs twice, or misses draws")
        found[key] = row
    return found
