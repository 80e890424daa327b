"""The cases most in need of a human look: which, how they were chosen, and their pictures."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import isnan

from scipy import stats

from fewscan.data.workers import available_workers
from fewscan.errors import FewscanError
from fewscan.experiments.tables import Table
from fewscan.report.document.content import Block, Note, Text
from fewscan.report.document.words import count, number
from fewscan.report.found.predicted import Predicted
from fewscan.report.review import ATYPICAL, Looks, Review, choose
from fewscan.report.sections.cases import case_blocks

LISTED, PICTURED = 10, 3
READERS = 4
"""Threads at most: each holds a whole label map and confidence map."""


def read_looks(predicted: Predicted) -> tuple[dict[str, Looks], dict[str, str]]:
    """Read all cases; return what is known of each, and why some could not be read."""
    dice = predicted.dice()

    def read(case_id: str) -> Looks | str:
        try:
            return predicted.looks(case_id, dice)
        except FewscanError as error:
            return error.message

    ids = list(predicted.files)
    with ThreadPoolExecutor(min(READERS, available_workers())) as pool:
        found = dict(zip(ids, pool.map(read, ids), strict=True))
    looks = {case: value for case, value in found.items() if isinstance(value, Looks)}
    return looks, {case: value for case, value in found.items() if isinstance(value, str)}


def review_blocks(predicted: Predicted, *, shown: Collection[str]) -> list[Block]:
    """Return the list and the pictures of its first cases that are not ``shown`` elsewhere.

    Parameters
    ----------
    predicted : Predicted
        The predictions.
    shown : collection of str
        Cases whose pictures the page has already.
    """
    looks, unread = read_looks(predicted)
    review = choose(looks)
    blocks: list[Block] = [Text(review.rule)]
    blocks += [Note(f"{case} could not be read: {why}", "warning") for case, why in unread.items()]
    if not review.order:
        return blocks
    blocks.append(_table(review, looks))
    blocks += agreement(looks)
    already = [case for case in review.order[:PICTURED] if case in shown]
    if already:
        places = ", ".join(f"{review.order.index(case) + 1} ({case})" for case in already)
        blocks.append(Text(f"Pictured above already: {places}."))
    pictured = [case for case in review.order[:LISTED] if case in predicted.scans and case not in shown][:PICTURED]
    for case_id in pictured:
        rank = review.order.index(case_id) + 1
        facts = _facts(looks[case_id], review.atypical.get(case_id))
        blocks += case_blocks(predicted, case_id, title=f"Look at {rank}: {case_id}", facts=facts, surfaces=not shown)
    return blocks


def agreement(looks: Mapping[str, Looks]) -> list[Block]:
    """Say how far confidence tells the Dice, where both are known: then the order can be judged."""
    both = [(item.confidence, item.dice) for item in looks.values() if not isnan(item.confidence + item.dice)]
    if len(both) < 5 or len({pair[0] for pair in both}) < 2 or len({pair[1] for pair in both}) < 2:
        return []
    found = float(stats.spearmanr(*zip(*both, strict=True)).statistic)
    text = (
        f"Here truth is known too: over {count(len(both), 'case')} the rank correlation of this confidence with Dice "
        f"is {found:+.2f} (1: it orders the cases as Dice does, 0: not at all)."
    )
    return [Note(text)]


def _table(review: Review, looks: Mapping[str, Looks]) -> Table:
    columns = {
        "confidence": {case: item.confidence for case, item in looks.items()},
        "Dice": {case: item.dice for case, item in looks.items()},
        "volume score": review.atypical,
    }
    known = {name: values for name, values in columns.items() if any(not isnan(value) for value in values.values())}
    rows = []
    for case in review.order[:LISTED]:
        numbers = (number(values.get(case), 1 if name == "volume score" else 3) for name, values in known.items())
        rows.append((case, *numbers, _remark(looks[case], review.atypical.get(case))))
    note = (
        "Volume score: how unlike the others the predicted volumes are; "
        f"above {ATYPICAL} is commonly called an outlier."
    )
    notes = (note,) if "volume score" in known else ()
    title = f"First {len(rows)} of {len(looks)} cases"
    return Table(title, ("case", *known, "remark"), tuple(rows), notes)


def _remark(item: Looks, score: float | None) -> str:
    return "nothing was predicted" if item.empty else "unusual volume" if (score or 0.0) > ATYPICAL else ""


def _facts(item: Looks, score: float | None) -> str:
    values = {"mean confidence": item.confidence, "Dice": item.dice}
    known = [f"{name} {number(value)}" for name, value in values.items() if not isnan(value)]
    known += [] if score is None else [f"volume score {number(score, 1)}"]
    return "; ".join(text for text in (*known, _remark(item, score)) if text)
