"""Scans whose intensities are of another scale than those of most: of another scanner, sequence or unit, or broken."""

from collections.abc import Sequence

import numpy as np

from fewscan.data.check.case_check import CaseFindings
from fewscan.data.check.problem import Problem, Source, count_text, first_names, plain

FEWEST_CASES = 5
"""With fewer there is no "most"."""
FACTOR = 20.0
"""Below it scanners of one kind differ, above it hardly."""


def check_intensity_scale(channels: Sequence[str], findings: Sequence[CaseFindings]) -> list[Problem]:
    """Return a note for every channel in which cases differ from the median one by more than `FACTOR`.

    The scale of a case is the standard deviation of its intensities. Normalisation of each scan takes the scale away,
    so that these cases can be trained on; but they are the ones to look at.
    """
    problems = []
    for number, name in enumerate(channels):
        scales = {
            finding.case.id: item.std
            for finding in findings
            if (item := dict(enumerate(finding.intensities)).get(number)) is not None and item.std > 0
        }
        if len(scales) < FEWEST_CASES:
            continue
        median = float(np.median(list(scales.values())))
        apart = {case_id: scale for case_id, scale in scales.items() if not median / FACTOR <= scale <= median * FACTOR}
        if apart:
            farthest = sorted(apart, key=lambda case_id: -abs(np.log(apart[case_id] / median)))
            shown = first_names(f"{case_id} ({plain(apart[case_id])})" for case_id in farthest)
            message = (
                f"channel {name}: the intensities of {len(apart)} of {count_text(len(scales), 'case')} are of another "
                f"scale than the others' (standard deviation {plain(median)} in the median case): {shown}"
            )
            mend = "see that they are scans of the same kind; each scan is normalised by itself unless told otherwise"
            problems.append(Source().note("intensity-scale", message, mend=mend))
    return problems
