r"""Contrast between voxels and prototypes of their class (Alonso et al. 2021; SS-Net, Wu et al. 2022).

.. math:: L = 1/|K| \sum_{c \in K} mean over i, j of a_i b_j (1 - cos(q_i, m_j))

over the embeddings q of voxels of class c, its prototypes m, and learned weights a and b whose mean over the class is
1, for the classes K that have both. Of all voxels a random few are taken: the mean over them estimates that over all.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fewscan.losses.probabilities import at_least_float32


def sample_voxels(classes_of: Tensor, classes: int, *, per_class: int) -> Tensor:
    """Return the places of up to ``per_class`` random voxels of every class.

    Parameters
    ----------
    classes_of : Tensor
        ``(batch, *spatial)``, integer.
    classes : int
    per_class : int

    Returns
    -------
    Tensor
        ``(n,)``, indices into ``classes_of.flatten()``, class by class; random ones of a large class may come twice.
    """
    flat, chosen = classes_of.flatten(), []
    for index in range(classes):
        places = (flat == index).nonzero().flatten()
        if len(places) > per_class:
            # from the CPU generator, so that a device makes no difference
            places = places[torch.randint(len(places), (per_class,)).to(places.device)]
        chosen.append(places)
    return torch.cat(chosen)


def embeddings_at(features: Tensor, places: Tensor) -> Tensor:
    """Return the values ``(n, channel)`` of ``features (batch, channel, *spatial)`` at places of `sample_voxels`."""
    flat = features.flatten(2)
    return flat[places // flat.shape[2], :, places % flat.shape[2]]


def select_prototypes(scores: Tensor, classes_of: Tensor, eligible: Tensor, *, count: int, highest: bool) -> Tensor:
    """Return which embeddings are prototypes: of every class the ``count`` eligible ones of extreme score.

    Parameters
    ----------
    scores : Tensor
        ``(n,)``.
    classes_of : Tensor
        ``(n,)``, integer.
    eligible : Tensor
        ``(n,)``, bool.
    count : int
        Per class; fewer where there are not so many.
    highest : bool
        Take the highest scores, otherwise the lowest.

    Returns
    -------
    Tensor
        ``(m,)``, indices.
    """
    chosen = [eligible.nonzero().flatten()[:0]]
    for index in torch.unique(classes_of):
        places = (eligible & (classes_of == index)).nonzero().flatten()
        best = scores[places].topk(min(count, len(places)), largest=highest).indices
        chosen.append(places[best])
    return torch.cat(chosen)


def prototype_contrast(
    queries: Tensor,
    query_classes: Tensor,
    query_weights: Tensor,
    prototypes: Tensor,
    prototype_classes: Tensor,
    prototype_weights: Tensor,
) -> Tensor:
    """Return L.

    Parameters
    ----------
    queries, prototypes : Tensor
        ``(n, width)`` and ``(m, width)``.
    query_classes, prototype_classes : Tensor
        ``(n,)`` and ``(m,)``, integer.
    query_weights, prototype_weights : Tensor
        ``(n,)`` and ``(m,)``, positive; scaled to a mean of 1 within each class.

    Returns
    -------
    Tensor
        Scalar, in at least float32; 0, with a gradient of 0, where no class has both.
    """
    q, m = (F.normalize(at_least_float32(x), dim=1) for x in (queries, prototypes))
    a, b = at_least_float32(query_weights), at_least_float32(prototype_weights)
    terms = []
    for index in torch.unique(prototype_classes):
        mine, theirs = query_classes == index, prototype_classes == index
        if bool(mine.any()):
            # the mean over all pairs of products of weights, each set of which has a mean of 1
            weights = (a[mine] / a[mine].mean())[:, None] * (b[theirs] / b[theirs].mean())
            terms.append(((1 - q[mine] @ m[theirs].T) * weights).mean())
    # every input keeps a part in the result, as data-parallel training wants it
    nothing = 0.0 * (q.sum() + a.sum() + b.sum())
    return torch.stack(terms).mean() + nothing if terms else nothing
