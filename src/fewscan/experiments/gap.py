"""How much of the gap between N labels and all labels a method recovers, in mean Dice over cases and seeds.

    share = (method on N - supervised on N) / (supervised on all - supervised on N)

0 means no better than supervised training on the same labels, 1 as good as with every scan annotated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from fewscan.experiments.against_baseline import baseline_line, upper_bound_line
from fewscan.experiments.averages import Key, Line
from fewscan.experiments.cells import Row
from fewscan.metrics.statistics import mean_of

TINY_GAP = 0.01
"""Below one point of Dice between N and all labels, the share is mostly noise."""


@dataclass(frozen=True)
class GapShare:
    """How much of the gap one line recovers.

    Attributes
    ----------
    row : Row
        Method, preset and labelled count.
    gap : float
        Dice of the baseline with all labels minus that with N.
    share : float
        NaN where the gap is not positive, or a cell is missing.
    """

    row: Row
    gap: float
    share: float

    @property
    def tiny(self) -> bool:
        """Whether the gap is too small for the share to mean anything."""
        return not self.gap >= TINY_GAP


def gap_shares(lines: Sequence[Line], baseline: str, key: Key) -> list[GapShare]:
    """Return the share of every line that is neither the baseline nor trained on all labels.

    Method and baseline are averaged over the seeds that both have.
    """
    shares = []
    for line in lines:
        own = baseline_line(line, lines, baseline)
        full = upper_bound_line(line, lines, baseline)
        if line.row.method == baseline or line.row.labelled.is_all or own is None or full is None:
            continue
        if not all(key in each.averages for each in (line, own, full)):
            continue
        seeds = line.averages[key].by_seed.keys() & own.averages[key].by_seed.keys()
        method, supervised = (mean_of([each.averages[key].by_seed[seed] for seed in seeds]) for each in (line, own))
        gap = full.averages[key].mean - supervised
        shares.append(GapShare(line.row, gap, (method - supervised) / gap if gap > 0 else nan))
    return shares
