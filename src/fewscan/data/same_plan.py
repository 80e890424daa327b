"""require_same_plan: a store that runs were made from keeps the plan it was made with."""

from pathlib import Path

from fewscan.data.plan import Plan
from fewscan.data.store_format import INDEX_NAME, PLAN_NAME, StoreIndex, image_settings, label_settings, plan_digest
from fewscan.errors import FewscanError, UsageError


def require_same_plan(out: Path, plan: Plan, *, arrays_only: bool = False) -> None:
    """Refuse to prepare anew, with another plan, a store that runs may have been made from.

    A store whose preparation never ended, one of another version, and edits of its plan.yaml are left to
    `fewscan.data.store.prepare_store`.

    Parameters
    ----------
    out : Path
        Where the store is, or is to be.
    plan : Plan
        The plan to prepare with.
    arrays_only : bool
        Accept a plan that prepares the same arrays and differs in the rest, such as the size of patches, which every
        run keeps in a plan of its own.

    Raises
    ------
    UsageError
    """
    path = out / PLAN_NAME
    if not ((out / INDEX_NAME).is_file() and path.is_file()):
        return
    try:
        before = StoreIndex.load(out)
    except FewscanError:
        return
    there = Plan.read(path)
    if not before.complete or there == plan or plan_digest(there) != before.plan:
        return
    if arrays_only and (before.image_settings, before.label_settings) == (image_settings(plan), label_settings(plan)):
        return
    differ = [name for name in Plan.model_fields if getattr(there, name) != getattr(plan, name)]
    raise UsageError(
        f"{out}: was prepared with another plan (not the same: {', '.join(differ)}); with a new one, runs made from it "
        "could not be repeated",
        mend=f"choose another folder, or delete this one; --plan {path} keeps its plan and brings it up to date",
    )
