"""What shows only across cases: copies, leaks between parts, classes that are lacking, axes that lie differently.

A leak is a scan, or a patient, that serves both training and its measurement: the numbers would be worth nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.check.case_check import CaseFindings
from fewscan.data.check.intensity_scale import check_intensity_scale
from fewscan.data.check.problem import Problem, Source, count_text, first_names
from fewscan.data.orientation import orientation_of

LARGEST_UINT8 = 255
IGNORE = "ignore"
"""Name of a declared label that is no class (nnU-Net)."""

_DATASET = Source()


def check_listing(dataset: Dataset) -> list[Problem]:
    """Check what the list of cases alone tells; no image is opened.

    Ids, images and labels that do not fit together are refused by `fewscan.data.layouts` already.
    """
    return [*_shared_label_problems(dataset.cases), *_group_problems(dataset.cases)]


def check_findings(dataset: Dataset, findings: Sequence[CaseFindings]) -> list[Problem]:
    """Check what the contents of all cases together tell."""
    return [
        *_same_content_problems(findings),
        *_dimension_problems(findings),
        *_orientation_problems(findings),
        *check_intensity_scale(dataset.channel_names, findings),
        *_class_problems(dataset, findings),
    ]


def role(part: Part | None) -> str:
    """Return what a part serves: training, validation or test; a case without a part serves training."""
    return part.value if part in (Part.TEST, Part.VALIDATION) else "training"


def _shared_label_problems(cases: Sequence[Case]) -> list[Problem]:
    images = {path.resolve() for case in cases for path in case.images}
    users: dict[Path, list[str]] = defaultdict(list)
    for case in cases:
        if case.label is not None:
            users[case.label.resolve()].append(case.id)
    problems = []
    for path, ids in users.items():
        source = Source(case_id=ids[0], file=str(path))
        if path in images:
            message, mend = "the file is listed both as an image and as a label", "give the path of the label map"
            problems.append(source.error("label-is-image", message, mend=mend))
        elif len(ids) > 1:
            message, mend = f"one label file for several cases: {first_names(ids)}", "give each case its own"
            problems.append(source.error("label-listed-twice", message, mend=mend))
    return problems


def _group_problems(cases: Sequence[Case]) -> list[Problem]:
    by_group: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.group is not None:
            by_group[case.group].append(case)
    problems = []
    for group, members in by_group.items():
        if len({role(case.part) for case in members}) > 1:
            message = f"patient {group!r} is in more than one part: {_with_roles(members)}"
            mend = "move all scans of the patient into one part"
            problems.append(_DATASET.error("patient-leak", message, mend=mend))
    return problems


def _same_content_problems(findings: Iterable[CaseFindings]) -> list[Problem]:
    by_digest: dict[str, list[tuple[Case, Path]]] = defaultdict(list)
    for finding in findings:
        # a case whose check failed has no digests
        for path, digest in zip(finding.case.images, finding.digests, strict=False):
            if digest:
                by_digest[digest].append((finding.case, path))
    problems = []
    for users in by_digest.values():
        if len(users) == 1:
            continue
        members = list({case.id: case for case, _ in users}.values())
        source = Source(case_id=members[0].id, file=str(users[0][1]))
        if len({role(case.part) for case in members}) > 1:
            message = f"the same voxels are in more than one part: {_with_roles(members)}"
            problems.append(source.error("content-leak", message, mend="remove the scan from all parts but one"))
        elif len(members) > 1:
            message = f"the same voxels under several ids: {first_names(case.id for case in members)}"
            mend = "remove the copies, or give them one group so that no split separates them"
            problems.append(source.warning("same-content", message, mend=mend))
        else:
            message = f"{len(users)} channels hold the same voxels: {first_names(path.name for _, path in users)}"
            problems.append(source.warning("same-channels", message, mend="check the channels of this case"))
    return problems


def _dimension_problems(findings: Iterable[CaseFindings]) -> list[Problem]:
    by_dimensions: dict[int, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.geometry is not None:
            by_dimensions[finding.geometry.dimensions].append(finding.case.id)
    if len(by_dimensions) < 2:
        return []
    message = "; ".join(f"{n}-D: {first_names(ids)}" for n, ids in sorted(by_dimensions.items()))
    mend = "split the data set into a 2-D and a 3-D one"
    return [_DATASET.error("mixed-dimensions", f"2-D and 3-D images in one data set ({message})", mend=mend)]


def _orientation_problems(findings: Iterable[CaseFindings]) -> list[Problem]:
    by_orientation: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.geometry is not None and (orientation := orientation_of(finding.geometry)) is not None:
            by_orientation[orientation].append(finding.case.id)
    if len(by_orientation) < 2:
        return []
    ordered = sorted(by_orientation.items(), key=lambda item: -len(item[1]))
    message = "; ".join(f"{orientation}: {first_names(ids)}" for orientation, ids in ordered)
    message = f"array axes lie differently by the headers ({message}); preparation brings all scans to the commonest"
    message += (
        " orientation of the training scans by swapping and flipping axes, and predictions back to the scan's own"
    )
    mend = "look at one scan of each in a viewer: is the patient upright there, and left where left should be?"
    return [_DATASET.warning("mixed-orientations", message, mend=mend)]


def _class_problems(dataset: Dataset, findings: Iterable[CaseFindings]) -> list[Problem]:
    counts = {
        finding.case.id: finding.label_voxels
        for finding in findings
        if finding.label_voxels is not None and role(finding.case.part) == "training"
    }
    if not counts:
        if any(case.label for case in dataset):
            return []  # the labels could not be read, which was said already, or all belong to the test part
        mend = "annotate at least one case; training needs one"
        return [_DATASET.warning("no-labels", "no case has a label", mend=mend)]
    found = {value for voxels in counts.values() for value in voxels}
    names = {value: name for name, value in dataset.labels.items() if name != IGNORE}
    return [*_absent_problems(sorted(set(names) - {0}), names, counts), *_value_notes(set(names) or found)]


def _absent_problems(
    values: Iterable[int], names: Mapping[int, str], counts: Mapping[str, Mapping[int, int]]
) -> list[Problem]:
    problems = []
    for value in values:
        lacking = [case_id for case_id, voxels in counts.items() if not voxels.get(value)]
        if len(lacking) == len(counts):
            message = f"class {names[value]!r} (value {value}) is in none of {count_text(len(counts), 'label map')}"
            mend = "annotate it in at least one training case, or take it out of the declared labels"
            problems.append(_DATASET.error("class-absent", message, mend=mend))
        elif lacking:
            message = f"class {names[value]!r} (value {value}) is absent from {len(lacking)} of {len(counts)} labelled"
            message += f" cases: {first_names(lacking)}"
            problems.append(_DATASET.note("class-absent-in-some", message))
    return problems


def _value_notes(values: Collection[int]) -> list[Problem]:
    problems = []
    positive = sorted(value for value in values if value > 0)
    if positive and positive != list(range(1, len(positive) + 1)):
        message = f"label values are not consecutive: {first_names(map(str, sorted(values)), limit=20)};"
        message += " training maps them to 0, 1, 2, ... and predictions get the values back"
        problems.append(_DATASET.note("labels-not-consecutive", message))
    if positive and positive[-1] > LARGEST_UINT8:
        message = f"label values up to {positive[-1]}: predictions are written as uint16 instead of uint8"
        problems.append(_DATASET.note("labels-above-255", message))
    return problems


def _with_roles(cases: Iterable[Case]) -> str:
    return first_names(f"{case.id} ({role(case.part)})" for case in cases)
