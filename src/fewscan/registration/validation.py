"""What is measured on pairs of validation cases while a registration trains."""

from collections.abc import Sequence

import numpy as np
import torch

from fewscan.data.boxes import centred_part, cut_centred
from fewscan.data.prepared import PreparedCase
from fewscan.displacement import warp_labels
from fewscan.registration.jacobian import fold_fraction, jacobian_determinant, sd_log_jacobian
from fewscan.registration.objective import Pairs, image_distance
from fewscan.registration.predictor import RegistrationPredictor
from fewscan.training.validation import Validation, class_dice, mean_by_class

_NOTHING = np.zeros(1, np.uint8)


def validate_pairs(predictor: RegistrationPredictor, cases: Sequence[PreparedCase]) -> Validation:
    """Register every case to the next one, the last to the first, and return the means over these pairs.

    Labels are warped linearly as one-hot maps, and the largest entry is the label. Everything is measured on the voxels
    of the fixed scan, not on padding.

    Returns
    -------
    Validation
        Dice by class; ``similarity``, the correlation of warped and fixed image; ``folds``, the share of voxels where
        the field folds; ``sd_log_jacobian``. Without any Dice the similarity chooses the best model.
    """
    plan = predictor.spec.plan
    dice, quality = [], []
    for moving, fixed in zip(cases, [*cases[1:], *cases[:1]], strict=True):
        pair = predictor.place(
            np.array(moving.image()),
            np.array(fixed.image()),
            moving_background=moving.background,
            fixed_background=fixed.background,
        )
        field = predictor.field(pair)
        quality.append(field_quality(predictor, pair, field))
        grid = tuple(field.shape[2:])
        labels = torch.from_numpy(cut_centred(moving.label()[None], grid, _NOTHING)).to(field.device).long()
        # several times faster than argmax on the CPU
        warped = warp_labels(labels, field, classes=plan.class_count).max(1).indices[0].cpu().numpy()
        # what lands in the padding of the fixed scan is nowhere
        truth = np.array(fixed.label())
        dice.append(class_dice(warped[centred_part(truth.shape, grid)], truth, plan))
    means = {name: float(np.mean([one[name] for one in quality])) for name in quality[0]}
    return Validation(mean_by_class(dice), means, fallback="similarity")


def field_quality(predictor: RegistrationPredictor, pair: Pairs, field: torch.Tensor) -> dict[str, float]:
    """Return similarity, folds and sd_log_jacobian of the field of one placed pair."""
    assert pair.fixed_inside is not None  # noqa: S101  # place gives it
    distance = image_distance(field, pair, predictor.objective)
    determinant, inside = jacobian_determinant(field), pair.fixed_inside[:, 0] > 0
    return {
        "similarity": 1 - float(distance),
        "folds": float(fold_fraction(determinant, mask=inside)),
        "sd_log_jacobian": float(sd_log_jacobian(determinant, mask=inside)),
    }
