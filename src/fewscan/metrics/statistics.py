"""Statistics of paired scores: bootstrap interval, Wilcoxon signed-rank test, Holm correction, effect size.

All functions take plain sequences of floats. Infinite scores are legal (an empty prediction has infinite surface
distance) and count as what they are: the worst.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan

import numpy as np
from scipy import stats

Values = Sequence[float]


def mean_of(values: Values) -> float:
    """Return the mean of the values that are not NaN; infinite if one of them is, NaN if there are none."""
    present = [value for value in values if not isnan(value)]
    if not present:
        return nan
    return inf if inf in present else float(np.mean(present))


def bootstrap_interval(
    values: Values, *, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> tuple[float, float]:
    """Return the bootstrap confidence interval of the mean (bias-corrected and accelerated, Efron 1987).

    Parameters
    ----------
    values : sequence of float
        Independent scores: one per case, or per patient where some have several.
    confidence : float
        Wanted coverage.
    resamples, seed : int
        Number of resamples and seed of their draw; equal input gives equal output.

    Returns
    -------
    low, high : float
        The bounds. Both equal the value where all values are equal; both are NaN for fewer than two values and where
        a value is infinite, because the mean then has no spread to estimate.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size < 2 or not np.isfinite(data).all():
        return nan, nan
    if np.ptp(data) == 0:
        return float(data[0]), float(data[0])
    with warnings.catch_warnings():
        # two or three values can be too few for the correction: the percentile interval replaces it below
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        for method in ("BCa", "percentile"):
            interval = stats.bootstrap(
                (data,),
                np.mean,
                n_resamples=resamples,
                batch=1000,
                confidence_level=confidence,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
            if np.isfinite(interval).all():
                break
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two methods on the same cases.

    Attributes
    ----------
    n : int
        Pairs compared.
    mean_difference, median_difference : float
        Of candidate minus baseline; infinite or NaN where infinite scores make it so.
    higher, lower : int
        Pairs in which the candidate's value is the higher (lower) one; the others are equal to twelve decimals.
    rank_biserial : float
        Effect size of the signed-rank test, (W+ - W-) / (W+ + W-), -1 (all lower) to 1 (all higher); Kerby 2014.
    p : float
        Two-sided Wilcoxon signed-rank test; pairs without difference are left out, 1 if none is left.
    """

    n: int
    mean_difference: float
    median_difference: float
    higher: int
    lower: int
    rank_biserial: float
    p: float


def paired_test(candidate: Values, baseline: Values) -> PairedTest:
    """Compare paired scores by the Wilcoxon signed-rank test (exact for up to 50 pairs without ties).

    Two equal scores, two infinite ones included, have no difference; a finite and an infinite one have an infinite
    difference, which takes the highest rank.

    Raises
    ------
    ValueError
        If the lengths differ or a score is NaN.
    """
    first, second = np.asarray(candidate, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if first.shape != second.shape or np.isnan(first).any() or np.isnan(second).any():
        msg = f"paired scores must be as many and not NaN, got {first.size} and {second.size}"
        raise ValueError(msg)
    if first.size == 0:
        return PairedTest(0, nan, nan, 0, 0, nan, nan)
    difference = np.zeros(first.size)
    np.subtract(first, second, out=difference, where=first != second)  # inf - inf is no difference here
    # differences that are equal but for rounding must tie, or the exact test would rank the rounding errors; what is
    # nothing but rounding is no difference, and leaves nothing to rank
    rounded = np.round(difference, 12)
    changed = rounded[rounded != 0]
    ranks = stats.rankdata(np.abs(changed))
    total = float(ranks.sum())
    infinite_both_ways = np.isposinf(difference).any() and np.isneginf(difference).any()
    return PairedTest(
        n=int(first.size),
        mean_difference=nan if infinite_both_ways else float(difference.mean()),
        median_difference=_median(difference.tolist()),
        higher=int((changed > 0).sum()),
        lower=int((changed < 0).sum()),
        rank_biserial=float((ranks * np.sign(changed)).sum()) / total if total else 0.0,
        p=float(stats.wilcoxon(changed).pvalue) if changed.size else 1.0,
    )


def holm(p_values: Values) -> list[float]:
    """Return p-values corrected for multiple testing (Holm 1979); NaN entries stay NaN and do not count as tests."""
    p = np.asarray(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    corrected = p.copy()
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(v) for v in corrected]


def _median(values: Values) -> float:
    """Median that is NaN, without a warning, where it falls between minus and plus infinity."""
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2
