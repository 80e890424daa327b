"""The contrast with prototypes, recomputed on all voxels."""

import pytest
import torch

from fewscan.methods.class_separation import ClassSeparation, SeparationParameters


@pytest.mark.parametrize("highest", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_contrast_over_all_voxels(highest, classes):
    torch.manual_seed(0)
    hyper = SeparationParameters(voxels_per_class=1000, prototypes=3, highest_scored=highest)
    made = ClassSeparation(hyper, width=4, classes=classes).eval()
    features, labels = torch.randn(3, 4, 6, 6), torch.randint(classes, (2, 6, 6))
    predicted = torch.randint(classes, (3, 6, 6))
    rows = features.movedim(1, -1).reshape(-1, 4)
    projected = made.projection(rows)
    queries = made.prediction(projected)
    known, guessed = labels.flatten(), predicted[2:].flatten()
    total = 0.0
    for stream, classes_of in ((queries[:72], known), (queries[72:], guessed)):
        each = []
        for index in range(classes):
            of = torch.full((108,), index)
            memory_scores = made.prototype_scorer(projected, of)[:72]
            correct = ((known == index) & (predicted[:2].flatten() == index)).nonzero().flatten()
            order = memory_scores[correct].argsort(descending=highest)[:3]
            m, b = projected[:72][correct[order]], memory_scores[correct[order]]
            q = stream[classes_of == index]
            a = made.query_scorer(q, torch.full((len(q),), index))
            cosine = torch.nn.functional.cosine_similarity(q[:, None], m[None], dim=2)
            each.append(((1 - cosine) * (a / a.mean())[:, None] * (b / b.mean())).mean())
        total += sum(each) / classes
    assert made(features, predicted, labels).item() == pytest.approx(total.item(), rel=1e-4)


def test_without_a_correct_voxel_the_contrast_is_zero_and_every_part_has_a_gradient():
    made = ClassSeparation(SeparationParameters(), width=4, classes=3)
    features = torch.randn(2, 4, 6, 6, requires_grad=True)
    labels, predicted = torch.zeros(1, 6, 6, dtype=torch.long), torch.ones(2, 6, 6, dtype=torch.long)
    loss = made(features, predicted, labels)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in made.parameters())
