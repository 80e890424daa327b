"""Register scans from files to files: warped images, warped labels, displacement fields, and how good they are.

A pair that cannot be registered stops none of the others; all failures are told together at the end.

Beside the files lies ``registration.json``: settings, versions, and measurements of every pair. It is written first of
all, so that it also tells a folder of registrations, which may be replaced, from any other.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewscan import __version__
from fewscan.data.image_io import channel_volumes, read_geometry
from fewscan.errors import UsageError
from fewscan.inference.outputs import Outcome, guard_folder
from fewscan.registration.affine import Effort
from fewscan.registration.align import check_alignment
from fewscan.registration.classical import ClassicalRegistrar, classical_plan
from fewscan.registration.pair_work import PairWork
from fewscan.registration.pairs import ScanPair, find_labels, find_pairs, scan_channels
from fewscan.registration.record import RECORD_NAME, TABLE_NAME, Registration, write_record
from fewscan.registration.registrar import Registrar


def register(
    model: Path | str | None = None,
    *,
    out: Path | str,
    moving: Path | str | None = None,
    fixed: Path | str | None = None,
    all_pairs: Path | str | None = None,
    pairs: Path | str | None = None,
    moving_labels: Path | str | None = None,
    fixed_labels: Path | str | None = None,
    classical: str | None = None,
    align: str = "centre",
    refine: int = 0,
    max_folds: float = 0.005,
    metric: str = "mutual-information",
    seed: int = 0,
    threads: int = 1,
    device: str = "auto",
    precision: str = "auto",
    progress: Callable[[str, int], None] | None = None,
) -> Registration:
    """Register scans, with a trained model or classically.

    Parameters
    ----------
    model : path, optional
        Run folder or model file of a registration network; left out with ``classical``.
    out : path
        Folder for the results; made as needed. Results of the same names are replaced.
    moving, fixed : path, optional
        A scan or a folder of scans, and the scan that they are registered to.
    all_pairs : path, optional
        Instead: a folder, every ordered pair of which is registered.
    pairs : path, optional
        Instead: a CSV file with the columns ``moving`` and ``fixed`` (see `fewscan.registration.pairs`).
    moving_labels, fixed_labels : path, optional
        A label file, or a folder of label files named like the scans' ids. Moving labels are warped; with both,
        overlaps are measured.
    classical : "affine", "bspline" or "demons", optional
        Registration without a model.
    align : "centre", "affine" or "none"
        How the moving scan is laid before (see `fewscan.registration.align`).
    refine : int
        Steps of optimisation of the network's field on each pair.
    max_folds : float
        Share of folded voxels above which a pair is flagged.
    metric : "mutual-information" or "correlation"
        What the classical methods and the affine alignment maximise (see `fewscan.registration.affine`).
    seed, threads : int
        Of the same; one thread gives the same result bit for bit.
    device, precision : str
        As for `fewscan.predict`.
    progress : callable, optional
        Called with the id of every pair that is done and the number of all pairs.

    Returns
    -------
    Registration
        Measurements and flags. Written for each pair, on the fixed scan's grid: ``<moving>_to_<fixed>.nii.gz`` (one per
        channel, with ``_0000``, ..., where there are several), ``..._labels.nii.gz`` and ``..._field.nii.gz``.

    Raises
    ------
    UsageError
        For settings that do not go together, or an output folder that holds inputs or files that are no registrations.
    DataError
        If scans are missing or pairs could not be registered; all others are.
    """
    out, given = Path(out), {"moving": moving, "fixed": fixed, "all_pairs": all_pairs, "pairs": pairs}
    places = {name: Path(place) for name, place in given.items() if place is not None}
    _check(model, classical, align=align, refine=refine, max_folds=max_folds)
    effort = Effort(metric=metric, seed=seed, threads=threads)
    if classical is None:
        registrar = _learned(
            Path(str(model)), align=align, refine=refine, effort=effort, device=device, precision=precision
        )
        found = _pairs(places, channels=len(registrar.plan.channels))
    else:
        found, registrar = _classical(classical, places, align=align, effort=effort)
    sides = {"moving": moving_labels, "fixed": fixed_labels}
    label_places = {side: Path(place) for side, place in sides.items() if place is not None}
    labels = {
        side: find_labels(label_places.get(side), [getattr(pair, side) for pair in found], option=f"--{side}-labels")
        for side in sides
    }
    guard_folder(
        out,
        places=[*places.values(), *label_places.values()],
        inputs=[
            *(path for pair in found for case in (pair.moving, pair.fixed) for path in case.images),
            *(path for side in labels.values() for path in side.values()),
            *([places["pairs"]] if places.get("pairs", Path()).name == TABLE_NAME else []),
        ],
        stems=[stem for pair in found for stem in pair.stems],
        record=RECORD_NAME,
        what="registrations",
        others=[TABLE_NAME],
    )
    record: dict[str, Any] = {
        "model": None if model is None else str(model),
        "classical": classical,
        "settings": {
            "align": align, "refine": refine, "max_folds": max_folds,
            "metric": metric, "seed": seed, "threads": threads,
            "device": None if classical else device, "precision": None if classical else precision,
        },
        "versions": {"fewscan": __version__},
        "labels": {side: str(place) for side, place in label_places.items()},
        "without_labels": {side: _unlabelled(found, labels[side], side=side) for side in label_places},
    }  # fmt: skip
    outcome = Outcome(len(found), progress)
    work = PairWork(out, registrar, labels, max_folds, outcome)
    write_record(out, {**record, "pairs": [], "failures": {}})
    try:
        work.run(found)
    finally:  # also when it is stopped: what is written is on record
        record |= {"pairs": outcome.done, "failures": outcome.failures}
        write_record(out, record)
    if outcome.failures:
        raise outcome.summary(out, what="pairs", done="registered") from outcome.first_error
    return Registration(out, record, work.reports)


def _unlabelled(pairs: Sequence[ScanPair], labels: Mapping[str, Path], *, side: str) -> list[str]:
    """Return the ids of the moving or fixed scans for which no label file was found."""
    return sorted({getattr(pair, side).id for pair in pairs} - set(labels))


def _classical(
    method: str, places: Mapping[str, Path], *, align: str, effort: Effort
) -> tuple[list[ScanPair], Registrar]:
    """Return the pairs, and the registrar for scans like the first of them."""
    scans = next((places[name] for name in ("all_pairs", "fixed", "moving") if name in places), None)
    channels = 1 if scans is None else scan_channels(scans)
    found = _pairs(places, channels=channels)
    images = found[0].fixed.images
    grid = read_geometry(images[0], volume=channel_volumes(images)[0])
    plan = classical_plan(dimensions=grid.dimensions, channels=channels)
    return found, ClassicalRegistrar(method, plan, align, effort)


def _check(model: Path | str | None, classical: str | None, *, align: str, refine: int, max_folds: float) -> None:
    check_alignment(align)
    if (model is None) == (classical is None):
        what = (
            "neither a model nor --classical is given"
            if model is None
            else "a model and --classical exclude each other"
        )
        raise UsageError(what, mend="give the folder of a run, or --classical affine, bspline or demons")
    if refine < 0:
        raise UsageError(f"--refine {refine}: must be 0 or more")
    if not 0 <= max_folds <= 1:
        raise UsageError(f"--max-folds {max_folds}: must be a share between 0 and 1")
    if classical is not None and refine:
        raise UsageError("--refine works on the field of a network, not with --classical", mend="leave it out")
    if classical is not None and align == "affine":
        raise UsageError(
            "--classical registers by an affine map in any case",
            mend="--align centre or none says from where it starts",
        )


def _pairs(places: Mapping[str, Path], *, channels: int) -> list[ScanPair]:
    return find_pairs(
        moving=places.get("moving"),
        fixed=places.get("fixed"),
        all_pairs=places.get("all_pairs"),
        pairs=places.get("pairs"),
        channels=channels,
    )


def _learned(model: Path, *, align: str, refine: int, effort: Effort, device: str, precision: str) -> Registrar:
    # classical registration needs no network
    from fewscan.registration.learned import LearnedRegistrar
    from fewscan.training.device import resolve_device

    return LearnedRegistrar.load(
        model,
        device=resolve_device(device),
        precision=precision,
        align=align,
        refine_steps=refine,
        effort=effort,
    )
