"""What a student sees of an unlabelled patch: a harder view than its target was made from.

A box of the patch is laid into another one, image and target alike (CutMix); then intensities are changed strongly
(FixMatch).
"""

from pydantic import Field
from torch import Tensor

from fewscan.methods.base import HyperParameters
from fewscan.methods.mixing import box_mask, mix
from fewscan.methods.perturbation import strong_view


class StudentViewParameters(HyperParameters):
    """How much harder; the defaults leave the patch as it is."""

    strong_student: bool = Field(False, description="student sees strong intensity changes; FixMatch, Sohn et al. 2020")
    mix_box: float | None = Field(None, gt=0, le=1, description="side of the box laid into another patch; CutMix")


def student_view(images: Tensor, targets: Tensor, hyper: StudentViewParameters) -> tuple[Tensor, Tensor]:
    """Return images and their targets as the student sees them.

    Images are ``(batch, channel, *spatial)``, targets ``(batch, class, *spatial)``. The patch that a box is laid
    into is the one before in the batch.
    """
    if hyper.mix_box is not None:
        mask = box_mask(images.shape[2:], side=hyper.mix_box, device=images.device)
        images, targets = mix(images, images.roll(1, 0), mask), mix(targets, targets.roll(1, 0), mask)
    if hyper.strong_student:
        images = strong_view(images)
    return images, targets
