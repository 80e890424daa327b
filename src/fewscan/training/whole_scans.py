"""Training on whole scans instead of patches: the common grid, and whether its memory will do."""

import math
from contextlib import nullcontext

import psutil
import torch
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedStore
from fewscan.data.split import Split
from fewscan.errors import UsageError
from fewscan.methods.base import Method

PROBE_SIDE = 24
# Beside what backward keeps there are gradients, weights and work space. Measured with MrRegNet at half resolution on
# the CPU, grids of 43x59x47 and 96x96x80: 1.5 to 1.9.
OVERHEAD = 1.7


def check_plan(method: type[Method], plan: Plan, *, patch_size: tuple[int, ...] | None) -> None:
    """Raise `UsageError` where plan and wishes contradict the method."""
    if method.needs_labels and plan.class_count < 2:
        raise UsageError(
            f"method {method.name} needs a class besides the background, and the plan has none",
            mend="Add the label's values to the classes of the plan.",
        )
    if not method.whole_scans:
        return
    if plan.slice_axis is not None:
        raise UsageError(
            f"method {method.name} takes whole scans and cannot train slice by slice",
            mend="Leave --dimensions 2 out, or make a data set of single slices.",
        )
    if patch_size is not None:
        raise UsageError(
            f"method {method.name} takes whole scans, so there is no patch size to choose",
            mend="Leave patch_size out; coarser scans (fewscan prepare --spacing) take less time and memory.",
        )


def whole_scan_plan(plan: Plan, store: PreparedStore, split: Split) -> Plan:
    """Return the plan with the smallest patch that holds every training scan whole."""
    sizes = [store.case(case_id).meta.prepared.size for case_id in (*split.labelled, *split.unlabelled)]
    return plan.model_copy(update={"patch_size": tuple(max(sides) for sides in zip(*sizes, strict=True))})


def check_memory(
    method: Method, plan: Plan, *, labelled: int, unlabelled: int, device: torch.device, dtype: torch.dtype
) -> None:
    """Raise `UsageError` if a step on whole scans would need more memory than is free.

    Parameters
    ----------
    method : Method
        On the device.
    plan : Plan
        Its patch is the common grid.
    labelled, unlabelled : int
        Scans in a batch.
    device : torch.device
    dtype : torch.dtype
        What the networks compute in.
    """
    needed = forecast_step_bytes(method, plan, labelled=labelled, unlabelled=unlabelled, device=device, dtype=dtype)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    if needed > free:
        grid = " x ".join(map(str, plan.patch_size))
        raise UsageError(
            f"a step on {labelled + unlabelled} whole scans of up to {grid} voxels takes about "
            f"{needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free",
            mend="Prepare coarser scans (fewscan prepare --spacing), or lower batch.labelled and batch.unlabelled.",
        )


def forecast_step_bytes(
    method: Method, plan: Plan, *, labelled: int, unlabelled: int, device: torch.device, dtype: torch.dtype
) -> float:
    """Return about how much memory a step takes: what backward keeps of a small step, scaled up by the voxels.

    The small step draws random numbers; training seeds them anew for every step.
    """
    small = tuple(min(PROBE_SIDE, side) for side in plan.patch_size)
    shape = (labelled + unlabelled, len(plan.channels), *small)
    images = torch.zeros(shape, device=device)
    inside = torch.ones((shape[0], 1, *small), device=device)
    labels = torch.zeros((labelled, *small), dtype=torch.long, device=device)
    names = tuple(str(k) for k in range(shape[0]))
    batch = Batch(
        images[:labelled], labels, images[labelled:], names[:labelled], names[labelled:], inside[:labelled],
        inside[labelled:],
    )  # fmt: skip
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    cast = torch.autocast(device.type, dtype=dtype) if dtype == torch.bfloat16 else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), cast:
        terms = method(batch, 0)  # must live until the sum: it keeps the counted memory from being used again
        total = sum(kept.values())
        del terms
    return OVERHEAD * total * math.prod(plan.patch_size) / math.prod(small)
