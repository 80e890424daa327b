"""``fewscan prepare``: from a data set to a prepared store."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewscan.cli.console import emit, progress, say
from fewscan.errors import UsageError

if TYPE_CHECKING:
    from fewscan.data.case import Dataset
    from fewscan.data.plan import Plan
    from fewscan.data.prepared import PreparedStore


def prepare(
    data: Annotated[Path, typer.Argument(help="The data set: a folder or a manifest, in any layout.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the prepared store; new, or an earlier one to bring up to date.")
    ],
    dimensions: Annotated[
        int | None, typer.Option(min=2, max=3, help="Of the network; 2 on 3-D scans trains slice by slice.")
    ] = None,
    spacing: Annotated[
        str | None, typer.Option(help='Resample to this, in mm: "1.25,1.25,1.25"; "own" keeps each scan\'s own.')
    ] = None,
    slice_axis: Annotated[
        int | None, typer.Option(min=0, max=2, help="Axis that counts the slices, when training slice by slice.")
    ] = None,
    normalisation: Annotated[str | None, typer.Option(help="zscore, minmax or none.")] = None,
    join_labels: Annotated[bool, typer.Option("--join-labels", help="Join all labels into one class.")] = False,
    plan: Annotated[Path | None, typer.Option(help="A plan.yaml, edited by you; used instead of deriving one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all available processors unless told.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Prepare a data set for training: crop, clip, normalise, resample where needed.

    Test cases are left alone. Finished cases are skipped, so an interrupted preparation goes on where it was. To change
    anything, edit plan.yaml in the store and run again with --plan; any other plan needs another folder, because runs
    made from a store can only be repeated from the same.
    """
    from fewscan.data.case import Part
    from fewscan.data.layouts import load_dataset
    from fewscan.data.plan import Plan
    from fewscan.data.same_plan import require_same_plan
    from fewscan.data.store import forecast_bytes, prepare_store
    from fewscan.data.store_format import PLAN_NAME
    from fewscan.data.workers import available_workers

    wishes = {
        "dimensions": dimensions,
        "spacing_mm": _parse_spacing(spacing),
        "slice_axis": slice_axis,
        "normalisation": normalisation,
        "join_labels": join_labels or None,
    }
    wishes = {key: value for key, value in wishes.items() if value is not None}
    if plan is not None and wishes:
        raise UsageError(f"--plan leaves nothing to {', '.join(wishes)}", mend="edit the plan, or leave --plan out")
    dataset = load_dataset(data)
    cases = [case for case in dataset if case.part is not Part.TEST]
    workers = workers or available_workers()
    facts: dict[str, Any] = {}
    if plan is not None:
        chosen = Plan.read(plan)
    else:
        chosen, facts = _derive(dataset, wishes, workers=workers, quiet=as_json)
    require_same_plan(out, chosen)
    needed = sum(forecast_bytes(case, chosen, label=case.label is not None) for case in cases)
    if not as_json:
        say(_describe(chosen))
        say(f"disk: at most {needed / 1e6:.1f} MB for {len(cases)} cases")
    store = prepare_store(
        dataset,
        chosen,
        out,
        image_ids=[case.id for case in cases],
        workers=workers,
        progress=partial(progress, quiet=as_json),
    )
    content = _content(store)
    payload = {
        "store": str(out),
        "plan": chosen.model_dump(mode="json"),
        "fingerprint": facts,
        **content,
        "forecast_bytes": needed,
    }
    size = f"{content['bytes'] / 1e6:.1f} MB"
    text = f"{content['cases']} cases ready, {content['labelled']} of them with labels, {size}\n"
    emit(payload, as_json=as_json, text=f"{text}plan: {out / PLAN_NAME}\nstore: {out}")


def _parse_spacing(text: str | None) -> Any:
    if text is None or text == "own":
        return text
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--spacing {text!r}: not a list of numbers", mend="write it like 1.25,1.25,1.25") from None


def _derive(dataset: "Dataset", wishes: dict[str, Any], *, workers: int, quiet: bool) -> tuple["Plan", dict[str, Any]]:
    """Take the fingerprint of the training cases, print its gist, and derive the plan."""
    from fewscan.data.case import Part
    from fewscan.data.fingerprint import take_fingerprint
    from fewscan.data.planning import derive_plan

    training = [case for case in dataset if case.part is not Part.TEST]
    fingerprint = take_fingerprint(
        dataset,
        [case.id for case in training],
        label_ids=[case.id for case in training if case.label is not None],
        workers=workers,
        progress=partial(progress, quiet=quiet),
    )
    if not quiet:
        size, spacing = " x ".join(map(str, fingerprint.median_size)), _row(fingerprint.median_spacing_mm)
        say(
            f"{dataset.name}: {fingerprint.case_count} training scans, {fingerprint.dimensions}-D, "
            f"median size {size}, median spacing {spacing} mm, {fingerprint.nonzero_share:.0%} of voxels non-zero"
        )
        for name, values in zip(dataset.channel_names, fingerprint.intensities, strict=True):
            say(f"  {name}: intensities {_row(values)} (0.5th, 50th, 99.5th percentile)")
    return derive_plan(dataset, fingerprint, **wishes), fingerprint.model_dump(
        mode="json", exclude={"sizes", "spacings_mm"}
    )


def _content(store: "PreparedStore") -> dict[str, int]:
    """Return how many cases a store holds, how many of them with labels, and its size on the disk."""
    return {
        "cases": len(store),
        "labelled": sum(store.case(case_id).has_label for case_id in store.ids),
        "bytes": sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file()),
    }


def _describe(plan: "Plan") -> str:
    spacing = "each scan's own" if plan.preparation.spacing_mm is None else f"{_row(plan.preparation.spacing_mm)} mm"
    axes = f", axes turned to {plan.orientation}" if plan.orientation is not None else ""
    slices = f", slices along axis {plan.slice_axis}" if plan.slice_axis is not None else ""
    return (
        f"plan: {plan.dimensions}-D network{slices}{axes}, spacing {spacing}, patch {_row(plan.patch_size)}, "
        f"classes {', '.join(item.name for item in plan.classes)}, {plan.preparation.normalisation}"
    )


def _row(values: Any) -> str:
    return " x ".join("own" if value is None else f"{value:g}" for value in values)
