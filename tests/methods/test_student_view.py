import torch

from fewscan.methods.student_view import StudentViewParameters, student_view

IMAGES = torch.arange(2.0)[:, None, None, None].expand(2, 1, 8, 8).contiguous()
TARGETS = torch.stack([IMAGES[:, 0], 1 - IMAGES[:, 0]], dim=1)


def test_nothing_changes_unless_told():
    images, targets = student_view(IMAGES, TARGETS, StudentViewParameters())
    assert images is IMAGES
    assert targets is TARGETS


def test_targets_follow_the_box():
    images, targets = student_view(IMAGES, TARGETS, StudentViewParameters(mix_box=0.5))
    assert [int((images[k] != k).sum()) for k in (0, 1)] == [48, 48]  # all but a box of 4 x 4 is from the other patch
    torch.testing.assert_close(targets[:, 0], images[:, 0])


def test_strong_changes_concern_the_image_alone():
    torch.manual_seed(3)
    images, targets = student_view(IMAGES, TARGETS, StudentViewParameters(strong_student=True))
    assert targets is TARGETS
    assert not torch.equal(images, IMAGES)
