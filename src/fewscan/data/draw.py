"""Drawing whole units of cases from a seeded order: the parts of `make_split`.

A unit is what stays together: the scans of one patient (group), or a lone scan.
"""

import difflib
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from fewscan.data.case import Case, Part
from fewscan.errors import UsageError

Choice = int | float | Sequence[str]
"""A count of cases, a fraction of the cases that can be drawn, or the ids themselves."""


def unit_of(case: Case) -> str:
    """Name what stays together: the group, or the case alone."""
    return f"case:{case.id}" if case.group is None else f"group:{case.group}"


def usable(unit: Sequence[Case]) -> list[Case]:
    """Return the cases whose label may be used in training."""
    return [case for case in unit if case.label is not None and case.part in (None, Part.LABELLED)]


def seeded(units: Collection[str], seed: int) -> list[str]:
    """Return the units in the order of ``seed``; units that come or go do not move the others."""
    return sorted(units, key=lambda unit: hashlib.sha256(f"{seed}/{unit}".encode()).digest())


def count_of(part: Part, choice: Choice, pool: int, *, at_least: int = 0) -> int:
    """Turn a count or fraction into a count of cases; `UsageError` below ``at_least``."""
    if isinstance(choice, bool) or not isinstance(choice, int | float):
        raise UsageError(f"{part}: {choice!r} is neither a count nor a fraction", mend="write e.g. 4 or 0.1")
    if isinstance(choice, float):
        if not 0 <= choice <= 1:
            raise UsageError(
                f"{part}: the fraction {choice} is not between 0 and 1", mend="write a count without point"
            )
        choice = max(1, round(choice * pool)) if choice else 0
    if choice < at_least:
        mend = "at least one scan must be labelled" if at_least else "give a count from 0 up"
        raise UsageError(f"{part}: {choice} cases asked for", mend=mend)
    return choice


def take(
    part: Part,
    count: int,
    order: Sequence[str],
    units: Mapping[str, Sequence[Case]],
    out: Mapping[str, Part],
    notes: list[str],
) -> list[str]:
    """Return the first units that together have at least ``count`` usable cases.

    ``out`` says which units are taken already, for the message where too few are left.
    """
    taken: list[str] = []
    have = 0
    for unit in order:
        if have >= count:
            break
        taken.append(unit)
        have += len(usable(units[unit]))
    if have < count or (part is Part.LABELLED and not have):
        raise UsageError(
            f"{part}: {_cases(max(count, 1))} asked for: {_where_labels_are(order, units, out)}",
            mend="ask for fewer, or annotate more",
        )
    if have > count:
        notes.append(f"{part}: {have} cases instead of {count}, because groups stay whole")
    return taken


def _where_labels_are(order: Sequence[str], units: Mapping[str, Sequence[Case]], out: Mapping[str, Part]) -> str:
    """Say how many cases have labels, where they go, and how many are left in ``order``."""
    free = set(order)
    left = 0
    gone: Counter[Part] = Counter()
    for unit, cases in units.items():
        here = usable(cases) if unit in free else []
        left += len(here)
        gone.update(
            out.get(unit) or case.part or Part.LABELLED for case in cases if case.label is not None and case not in here
        )
    total = left + gone.total()
    parts = [f"{total} {'has a label' if total == 1 else 'have labels'}"]
    parts += [f"{count} {'goes' if count == 1 else 'go'} to {part}" for part, count in gone.items()]
    return ", ".join([*parts, f"{left} {'is' if left == 1 else 'are'} left"] if gone else parts)


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def named_labelled(choice: Choice | None, cases: Mapping[str, Case], out: Collection[str]) -> list[str]:
    """Return the ids that ``choice`` names as labelled, or nothing when it is a number."""
    if choice is None or not isinstance(choice, Sequence):
        return []
    ids = known_ids(Part.LABELLED, choice, cases)
    if not ids:
        raise UsageError("labelled: the list is empty", mend="at least one scan must be labelled")
    clash = [case_id for case_id in ids if unit_of(cases[case_id]) in out]
    if clash:
        raise UsageError(
            f"labelled: {', '.join(clash)} (or another scan of the same group) belongs to validation or test already",
            mend="a patient's scans go into one part only",
        )
    bare = [case_id for case_id in ids if not usable([cases[case_id]])]
    if bare:
        raise UsageError(f"labelled: {', '.join(bare)} has no label that may be used", mend="annotate it first")
    return ids


def name_part(
    part: Part,
    choice: Sequence[str],
    cases: Mapping[str, Case],
    units: Mapping[str, Sequence[Case]],
    out: dict[str, Part],
    notes: list[str],
) -> None:
    """Take the named cases, with all of their groups, out of training."""
    ids = known_ids(part, choice, cases)
    if part is Part.VALIDATION:
        bare = [case_id for case_id in ids if cases[case_id].label is None]
        if bare:
            raise UsageError(f"validation: {', '.join(bare)} has no label", mend="annotate it first")
    for unit in dict.fromkeys(unit_of(cases[case_id]) for case_id in ids):
        members = [case.id for case in units[unit]]
        parts = [*(case.part for case in units[unit]), out.get(unit)]
        other = {item for item in parts if item is not None and item is not part}
        if other:
            raise UsageError(
                f"{part}: {', '.join(members)} belongs to {', '.join(sorted(other))} already",
                mend="a patient's scans go into one part only",
            )
        out[unit] = part
        followers = sorted(set(members) - set(ids))
        if followers:
            notes.append(f"{part}: {', '.join(followers)} too, of the same group")


def known_ids(part: Part, choice: Sequence[str], cases: Mapping[str, Case]) -> list[str]:
    """Return ``choice`` as a list, after a check that all its ids exist and none is repeated."""
    if isinstance(choice, str):
        raise UsageError(f"{part}: {choice!r} is neither a count, a fraction nor a list", mend="write e.g. 4 or 0.1")
    unknown = []
    for case_id in choice:
        if case_id not in cases:
            near = difflib.get_close_matches(case_id, cases, n=1, cutoff=0.6)
            unknown.append(f"{case_id} (did you mean {near[0]}?)" if near else case_id)
    if unknown:
        raise UsageError(f"{part}: the data set has no case {', '.join(unknown)}", mend="correct the ids")
    if len(set(choice)) < len(choice):
        raise UsageError(f"{part}: an id is listed more than once", mend="remove the repetition")
    return list(choice)
