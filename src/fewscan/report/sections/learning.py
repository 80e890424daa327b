"""Learning curves of a run, and its terms in numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from fewscan.experiments.tables import Table
from fewscan.pictures.curves import ADVERSARY, SMOOTH_OVER, as_arrays
from fewscan.report.charts.learning import learning_charts, mean_of_last
from fewscan.report.document.content import Block, Gallery, Note, Text
from fewscan.report.document.words import number

Record = Mapping[str, Any]


def learning_blocks(records: Sequence[Record]) -> list[Block]:
    """Return the curves of every term, validation and learning rate, and a table of first and last values."""
    if not any(record.get("kind") == "step" for record in records):
        return [Note("No training step is on record.", "warning")]
    share = f"{100 * SMOOTH_OVER:g} %"
    return [
        Text(
            f"Faint: every logged step, which is one batch; strong: mean over a centred window of {share} of the steps."
        ),
        Gallery(tuple(learning_charts(records))),
        term_table(records),
        *_validation_table(records),
    ]


def term_table(records: Sequence[Record]) -> Table:
    """Return first and last values of every term, and its share of the total loss at the end.

    Terms of a second step, which trains an adversary, have a loss of their own and no share in the other.
    """
    steps = [record for record in records if record.get("kind") == "step"]
    rows = []
    for stage in dict.fromkeys(record.get("stage", "") for record in steps):
        of_stage = [record for record in steps if record.get("stage", "") == stage]
        total = mean_of_last(as_arrays([(r["step"], r["loss"]) for r in of_stage])[1])
        groups = {group: dict.fromkeys(n for r in of_stage for n in r.get(group, {})) for group in ("terms", ADVERSARY)}
        for group, name in ((group, name) for group, names in groups.items() for name in names):
            found = [(record["step"], record[group][name]) for record in of_stage if name in record.get(group, {})]
            value, weight, product = (
                as_arrays([(step, term.get(key)) for step, term in found])[1] for key in ("value", "weight", "product")
            )
            last = mean_of_last(product)
            share = f"{100 * last / total:.0f} %" if total > 0 and group == "terms" else number(float("nan"))
            shown = name if group == "terms" else f"{ADVERSARY}: {name}"
            start = (stage, shown) if stage else (shown,)
            numbers = [float(value[0]), mean_of_last(value), mean_of_last(weight), last]
            rows.append((*start, *(number(v, 4) for v in numbers), share))
    staged = any("stage" in record for record in steps)
    head = (
        *(("stage",) if staged else ()),
        "term",
        "first value",
        "last value",
        "last weight",
        "last product",
        "share",
    )
    note = (
        f"Last: mean over the last {100 * SMOOTH_OVER:g} % of the logged steps. Share: of the total loss, at the end."
    )
    return Table("Loss terms", head, tuple(rows), (note,), text_columns=2 if staged else 1)


def _validation_table(records: Sequence[Record]) -> list[Block]:
    found = [record for record in records if record.get("kind") == "validation" and record.get("dice")]
    if not found:
        return []
    best = max(found, key=lambda record: record.get("mean_dice") or 0.0)
    names = list(found[-1]["dice"])
    rows = tuple(
        (
            title,
            str(record["step"] + 1),
            *(number(record["dice"].get(name)) for name in names),
            number(record["mean_dice"]),
        )
        for title, record in (("best", best), ("last", found[-1]))
    )
    note = "Validation scans chose nothing but the checkpoint called best; the last one predicts unless told otherwise."
    notes = () if "stage" in found[-1] else (note,)
    return [Table("Validation Dice", ("checkpoint", "steps", *names, "mean"), rows, notes)]
