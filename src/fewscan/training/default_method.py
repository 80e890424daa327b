"""Which method a data set suits: what a training does when nobody names one.

The rules are few and rest on the measurements in ``benchmarks/results``; each gives its reason in one line. Dimensions
do not count: no measurement asks for another choice on slices than on volumes. How alike the scans are decides no
method either, as Mean Teacher and the joint framework were level where they are very much alike; it is told for the
sake of registration.
"""

from typing import NamedTuple

from fewscan.data.draw import Choice
from fewscan.data.likeness import coarse_likeness
from fewscan.data.split import Split
from fewscan.training.data import TrainingData

LOOKED_AT = 8
"""Training scans whose images are opened to see how alike they are."""
ALIKE = 0.6
"""`coarse_likeness` of scans that registration lays onto each other well: cropped hippocampi have 0.62 (3-D) and 0.94
(one slice), left atria 0.41, cine hearts 0.34."""
MANY = 10
"""Labelled scans up to which Mean Teacher is taken to be worth twice the time of supervised training: its gain was
clear with 2, 4 and 9 hippocampi and could not be shown with 18."""


class Facts(NamedTuple):
    """What the choice rests on.

    Attributes
    ----------
    labelled, unlabelled : int
        Scans of the training.
    likeness : float
        `coarse_likeness` of a few training scans.
    """

    labelled: int
    unlabelled: int
    likeness: float


class Chosen(NamedTuple):
    """A method and, in one line, why it was taken."""

    method: str
    reason: str


def choose_method(facts: Facts) -> Chosen:
    """Return the method for a data set."""
    alike = f"coarse likeness of the scans {facts.likeness:.2f}"
    if not facts.labelled:
        alike += ", enough to lay them onto each other" if facts.likeness >= ALIKE else ", so look at the pairs first"
        return Chosen("registration", f"no labels are wanted and it needs none; {alike}")
    scans = f"{facts.labelled} of {facts.labelled + facts.unlabelled} scans are labelled"
    if not facts.unlabelled:
        return Chosen("supervised", f"{scans}, so none is left to learn from without label")
    if facts.labelled > MANY:
        return Chosen("supervised", f"{scans}, and beyond {MANY} labels no gain was shown that pays for twice the time")
    compare = "; as they look alike, compare joint" if facts.likeness >= ALIKE else ""
    return Chosen("mean_teacher", f"{scans}, and with few labels it was above supervised training; {alike}{compare}")


def facts_of(
    data: TrainingData, *, labelled: Choice | None, validation: Choice | None, test: Choice | None, seed: int
) -> Facts:
    """Count the scans of a training as it will be drawn, and look at a few of them.

    Labels and test scans stay unread. ``labelled`` and the others are those of `fewscan.training.run.train`.

    Raises
    ------
    UsageError, DataError
        As `fewscan.data.split.make_split` and reading of images.
    """
    without = isinstance(labelled, int | float) and labelled == 0
    split: Split = data.split(labelled=labelled, validation=validation, test=test, seed=seed, needs_labels=not without)
    ids = sorted([*split.labelled, *split.unlabelled])
    step = max(1, len(ids) // LOOKED_AT)
    images = data.first_channels(ids[::step][:LOOKED_AT])
    return Facts(
        labelled=len(split.labelled),
        unlabelled=len(split.unlabelled),
        likeness=coarse_likeness(images),
    )
