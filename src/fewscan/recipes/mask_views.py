"""Which views of a scan the segmentation half of a soft pseudo-mask is averaged over (paper 1, section 2.2).

Paper 1 names rotation, flipping and contrast and gives no ranges. Here: the scan as it is, and then one after the other
flips, rotations and gammas. Flips are those of training, and so are quarter turns; in 2-D there are rotations by a few
degrees both ways before them. In 3-D nothing is resampled.
"""

from collections.abc import Sequence
from itertools import chain, zip_longest

from fewscan.augment.rotated_view import RotatedView
from fewscan.augment.symmetry import turn
from fewscan.augment.views import View, views

GAMMAS = (0.8, 1.25, 0.65, 1.5)

MaskView = View | RotatedView


def mask_views(
    dimensions: int,
    count: int,
    *,
    flip_axes: Sequence[int],
    rotation_degrees: float,
    turn_planes: Sequence[tuple[int, int]] = (),
    spacing_mm: Sequence[float] | None = None,
) -> list[MaskView]:
    """Return at most ``count`` views, the scan as it is first; fewer where there are not as many.

    Parameters
    ----------
    dimensions : 2 or 3
        Of the images.
    count : int
        How many.
    flip_axes : sequence of int
        Axes that training mirrored.
    rotation_degrees : float
        In 2-D, how far views are turned to either side; 0 leaves them out.
    turn_planes : sequence of pairs of int
        Planes that training turned by quarters.
    spacing_mm : sequence of float, optional
        Of the images.
    """
    flips = 2 ** len(flip_axes)
    plain = views(dimensions, flips + len(GAMMAS), flip_axes=flip_axes, gammas=GAMMAS)
    turned: list[MaskView] = []
    if dimensions == 2 and rotation_degrees > 0:
        spacing = tuple(spacing_mm or (1.0, 1.0))
        turned = [RotatedView(angle, spacing) for angle in (rotation_degrees, -rotation_degrees)]
    turned += [
        View(f"turn {plane[0]}-{plane[1]} by {90 * quarters}", turn(dimensions, plane, quarters))
        for plane in turn_planes
        for quarters in (1, 3)
    ]
    in_turn = chain.from_iterable(zip_longest(plain[1:flips], turned, plain[flips:]))
    return [plain[0], *(view for view in in_turn if view is not None)][:count]
