"""What the data set is: cases per part, sizes, spacings, intensities and labels, over all cases that could be read."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.check.case_check import CaseFindings
from fewscan.data.check.image_content import Intensities
from fewscan.data.check.problem import count_text, plain
from fewscan.data.geometry import Geometry
from fewscan.data.orientation import orientation_of


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Smallest, median and largest value along each axis, over all cases."""

    minimum: tuple[float, ...]
    median: tuple[float, ...]
    maximum: tuple[float, ...]

    def text(self, unit: str) -> str:
        """Return one line, short where all cases agree."""
        if self.minimum == self.maximum:
            return f"{_row(self.median)} {unit} in all cases"
        return f"{_row(self.median)} {unit} (median; from {_row(self.minimum)} to {_row(self.maximum)})"


@dataclass(frozen=True, kw_only=True)
class LabelCount:
    """How often one label value occurs: in voxels, and in how many of the cases that carry a label."""

    name: str
    value: int
    voxels: int
    cases: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The facts of a data set.

    Attributes
    ----------
    name, layout : str
        As in `fewscan.data.case.Dataset`.
    cases : mapping of str to int
        Cases per part; one without a part counts as labelled or unlabelled by its label file.
    size_vox, spacing_mm : Spread or None
        Of the first image of each case; None where no image was readable, or 2-D and 3-D are mixed.
    orientations : mapping of str to int
        Cases per orientation of the same images (see `fewscan.data.orientation`), the commonest first; none in 2-D.
    intensities : mapping of str to Intensities
        By channel name: the smallest minimum, the averages of mean and standard deviation, the largest maximum.
    labels : tuple of LabelCount
        In rising order of the values, over all cases with a readable label.
    labelled_cases : int
        Cases with a readable label.
    """

    name: str
    layout: str
    cases: Mapping[str, int]
    size_vox: Spread | None
    spacing_mm: Spread | None
    orientations: Mapping[str, int]
    intensities: Mapping[str, Intensities]
    labels: tuple[LabelCount, ...]
    labelled_cases: int

    def to_json(self) -> dict[str, Any]:
        """Return plain types; the keys are those of the attributes."""
        return {
            "name": self.name,
            "layout": self.layout,
            "cases": dict(self.cases),
            "size_vox": _spread_json(self.size_vox),
            "spacing_mm": _spread_json(self.spacing_mm),
            "orientations": dict(self.orientations),
            "intensities": {name: dict(vars(item)) for name, item in self.intensities.items()},
            "labels": [dict(vars(item)) for item in self.labels],
            "labelled_cases": self.labelled_cases,
        }

    def to_text(self) -> str:
        """Return a few aligned lines for people."""
        parts = ", ".join(f"{count} {part}" for part, count in self.cases.items())
        rows = [("cases", f"{sum(self.cases.values())} ({parts})"), ("layout", self.layout)]
        if self.size_vox is not None and self.spacing_mm is not None:
            rows += [("size", self.size_vox.text("voxels")), ("spacing", self.spacing_mm.text("mm"))]
        if self.orientations:
            rows.append(("axes", _orientation_text(self.orientations)))
        rows += [("channel", _channel_text(*item)) for item in self.intensities.items()]
        width = max(len(title) for title, _ in rows)
        lines = [self.name, *(f"  {title:<{width}}  {text}" for title, text in rows)]
        if self.labels:
            lines += ["", f"  labels of {count_text(self.labelled_cases, 'case')}", *self._label_table()]
        return "\n".join(lines)

    def _label_table(self) -> Iterable[str]:
        names = max(len("name"), *(len(item.name) for item in self.labels))
        voxels = max(len("voxels"), *(len(str(item.voxels)) for item in self.labels))
        yield f"  {'value':>5}  {'name':<{names}}  {'voxels':>{voxels}}  {'share':>8}  cases"
        total = sum(item.voxels for item in self.labels)
        for item in self.labels:
            share = f"{item.voxels / total:.3%}" if total else "-"
            yield f"  {item.value:>5}  {item.name:<{names}}  {item.voxels:>{voxels}}  {share:>8}  {item.cases:>5}"


def summarise(dataset: Dataset, findings: Sequence[CaseFindings]) -> Summary:
    """Gather the facts from what the check of each case found."""
    geometries = [finding.geometry for finding in findings if finding.geometry is not None]
    if len({geometry.dimensions for geometry in geometries}) != 1:
        geometries = []
    counts = [finding.label_voxels for finding in findings if finding.label_voxels is not None]
    return Summary(
        name=dataset.name,
        layout=dataset.layout,
        cases=Counter(
            part_of(case).value for case in sorted(dataset, key=lambda case: list(Part).index(part_of(case)))
        ),
        size_vox=_spread([geometry.size for geometry in geometries]),
        spacing_mm=_spread([geometry.spacing_mm for geometry in geometries]),
        orientations=count_orientations(geometries),
        intensities=_merge_intensities(dataset.channel_names, findings),
        labels=_count_labels(dataset.labels, counts),
        labelled_cases=len(counts),
    )


def count_orientations(geometries: Iterable[Geometry]) -> dict[str, int]:
    """Return how many 3-D grids have each orientation, the commonest first."""
    found = (orientation_of(geometry) for geometry in geometries)
    return dict(Counter(code for code in found if code is not None).most_common())


def part_of(case: Case) -> Part:
    """Return the part that the layout prescribes, or labelled or unlabelled by whether there is a label file."""
    return case.part or (Part.UNLABELLED if case.label is None else Part.LABELLED)


def _spread(rows: Sequence[tuple[float, ...]]) -> Spread | None:
    if not rows:
        return None
    table = np.asarray(rows, dtype=float)
    low, middle, high = (tuple(float(v) for v in f(table, axis=0)) for f in (np.min, np.median, np.max))
    return Spread(minimum=low, median=middle, maximum=high)


def _merge_intensities(names: Sequence[str], findings: Iterable[CaseFindings]) -> dict[str, Intensities]:
    by_channel: dict[str, list[Intensities]] = {name: [] for name in names}
    for finding in findings:
        for name, item in zip(names, finding.intensities, strict=False):
            if item is not None:
                by_channel[name].append(item)
    return {
        name: Intensities(
            minimum=min(item.minimum for item in items),
            mean=float(np.mean([item.mean for item in items])),
            std=float(np.mean([item.std for item in items])),
            maximum=max(item.maximum for item in items),
        )
        for name, items in by_channel.items()
        if items
    }


def _count_labels(names: Mapping[str, int], counts: Sequence[Mapping[int, int]]) -> tuple[LabelCount, ...]:
    name_of = {value: name for name, value in names.items()}
    values = sorted({value for voxels in counts for value in voxels} | (set(name_of) if counts else set()))
    return tuple(
        LabelCount(
            name=name_of.get(value, "background" if value == 0 else "undeclared" if names else f"label {value}"),
            value=value,
            voxels=sum(voxels.get(value, 0) for voxels in counts),
            cases=sum(1 for voxels in counts if voxels.get(value)),
        )
        for value in values
    )


def _orientation_text(counts: Mapping[str, int]) -> str:
    if len(counts) == 1:
        return f"{next(iter(counts))} in all cases"
    return ", ".join(f"{code} ({count_text(count, 'case')})" for code, count in counts.items())


def _channel_text(name: str, item: Intensities) -> str:
    range_text = f"{plain(item.minimum)} to {plain(item.maximum)}"
    return f"{name}: intensities {range_text}, mean {plain(item.mean)}, standard deviation {plain(item.std)}"


def _spread_json(spread: Spread | None) -> dict[str, list[float]] | None:
    return None if spread is None else {key: list(value) for key, value in vars(spread).items()}


def _row(values: Iterable[float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
