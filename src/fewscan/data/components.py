"""Connected components of label maps.

Voxels are connected when they share a face, an edge or a corner (26 neighbours in 3-D, 8 in 2-D), as is usual for
keeping the largest component in semi-supervised segmentation.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Labels = TypeVar("Labels", bound=npt.NDArray[np.integer])


def largest_component(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest connected component of a mask; of several equally large ones the first in array order."""
    connectivity = ndimage.generate_binary_structure(mask.ndim, mask.ndim)
    components, count = ndimage.label(mask, structure=connectivity)
    if count <= 1:
        return mask
    sizes = np.bincount(components.ravel())
    sizes[0] = 0  # not the background
    kept: npt.NDArray[np.bool_] = components == sizes.argmax()
    return kept


def keep_largest_components(labels: Labels) -> Labels:
    """Keep the largest connected component of every label; everything else becomes background, which is 0.

    Parameters
    ----------
    labels : integer array (*axes)
        Label map of any number of classes; not changed.

    Returns
    -------
    integer array (*axes)
        A new array of the same type.
    """
    kept = labels.copy()
    for value in np.unique(labels):
        if value == 0:
            continue
        mask = labels == value
        # labelling only the box that holds the class saves most of the time for small structures
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        lost = mask[box] & ~largest_component(mask[box])
        kept[box][lost] = 0
    return kept
