"""Which scans of a batch are registered to which, drawn anew at every step."""

import torch
from torch import Tensor

from fewscan.data.batch import Batch
from fewscan.errors import UsageError
from fewscan.losses.probabilities import one_hot
from fewscan.registration.objective import Pairs


def draw_pairs(labelled: int, unlabelled: int) -> tuple[Tensor, Tensor]:
    """Return the moving and the fixed scan of each pair, as indices into labelled and then unlabelled scans.

    Every scan is the fixed one of one pair, and never its own partner. That of a labelled scan is drawn among the other
    labelled ones, so that with two or more of them every step has pairs with labels on both sides; that of an
    unlabelled scan among all others. A single labelled scan finds its partner among the unlabelled ones, and no pair
    has labels on both sides. Numbers come from torch's global generator.

    Returns
    -------
    moving, fixed : Tensor, (labelled + unlabelled,), int64
        On the CPU; the first ``labelled`` pairs are those of labelled scans.

    Raises
    ------
    UsageError
        For fewer than two scans.
    """
    count = labelled + unlabelled
    if count < 2:
        raise UsageError(
            f"registration learns from pairs, but a batch holds {count} scan(s)",
            mend="Train on two scans or more; raise batch.labelled or batch.unlabelled.",
        )
    fixed = torch.arange(count)
    among = torch.full((count,), count)
    if labelled > 1:
        among[:labelled] = labelled
    steps = 1 + (torch.rand(count) * (among - 1)).long()
    return (fixed + steps) % among, fixed


def make_pairs(batch: Batch, moving: Tensor, fixed: Tensor, *, classes: int, with_masks: bool = True) -> Pairs:
    """Return the pairs of a batch, with one-hot masks where both scans have labels.

    With soft masks of the unlabelled scans, every pair has masks: true ones of labelled scans, soft ones of the others.

    Parameters
    ----------
    batch : Batch
        With or without ``inside``.
    moving, fixed : Tensor, (pairs,), int64
        From `draw_pairs`.
    classes : int
        Background included.
    with_masks : bool
        False leaves them out.
    """
    device = batch.images.device
    known = one_hot(batch.labels if with_masks else batch.labels[:0], classes)
    if with_masks and batch.unlabelled_masks is not None:
        known = torch.cat([known, batch.unlabelled_masks])
    with_labels = ((moving < len(known)) & (fixed < len(known))).nonzero().flatten()
    masks = [known[side[with_labels].to(device)] for side in (moving, fixed)]
    moving, fixed = moving.to(device), fixed.to(device)
    images = torch.cat([batch.images, batch.unlabelled])
    inside = [part for part in (batch.inside, batch.unlabelled_inside) if part is not None]
    insides = torch.cat(inside) if inside else None
    return Pairs(
        images[moving],
        images[fixed],
        None if insides is None else insides[moving],
        None if insides is None else insides[fixed],
        masks[0] if len(with_labels) else None,
        masks[1] if len(with_labels) else None,
        with_labels.to(device),
    )
