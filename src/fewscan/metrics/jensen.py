"""Can a mean Dice and a mean Jaccard belong to the same cases? A check for every table read or written.

Per case J = D / (2 - D), a convex function with J = 0 at D = 0 and J = 1 at D = 1. By Jensen's inequality the mean
Jaccard is at least D / (2 - D) at the mean Dice D, and by convexity it is at most D. A row outside these bounds cannot
come from any set of cases; published tables hold such rows.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class JensenCheck:
    """Result of the check, in fractions.

    Attributes
    ----------
    mean_dice, mean_jaccard : float
        What was checked.
    lower, upper : float
        Bounds of the mean Jaccard at the mean Dice as given, D / (2 - D) and D.
    possible : bool
        Whether the mean Jaccard keeps the bounds, to within rounding.
    """

    mean_dice: float
    mean_jaccard: float
    lower: float
    upper: float
    possible: bool


def jensen_check(mean_dice: float, mean_jaccard: float, *, rounding: float = 1e-9) -> JensenCheck:
    """Check one row of a table.

    Parameters
    ----------
    mean_dice, mean_jaccard : float
        Means over the same cases, as fractions.
    rounding : float
        How far each number may lie from the unrounded one: 0.00005 for percent printed with two decimals.

    Examples
    --------
    >>> jensen_check(0.8253, 0.7062, rounding=0.00005).possible
    True
    >>> jensen_check(0.8796, 0.7764, rounding=0.00005).possible
    False
    """
    lowest_dice = mean_dice - rounding
    possible = mean_jaccard + rounding >= _jaccard_at(lowest_dice) and mean_jaccard - rounding <= mean_dice + rounding
    return JensenCheck(mean_dice, mean_jaccard, _jaccard_at(mean_dice), mean_dice, possible)


def _jaccard_at(dice: float) -> float:
    return dice / (2.0 - dice)
