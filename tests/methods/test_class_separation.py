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


def test_features_learn_from_queries_alone(monkeypatch):
    """Neither prototypes nor the weights of voxels and prototypes send a gradient into features and projections."""
    module = "fewscan.methods.class_separation"
    made = ClassSeparation(SeparationParameters(prototypes=3), width=4, classes=2)
    features = torch.randn(2, 4, 6, 6, requires_grad=True)
    labels = torch.randint(2, (1, 6, 6))
    predicted = torch.cat([labels, labels])
    learning = [features, *made.projection.parameters(), *made.prediction.parameters()]

    def without_queries(queries, classes, weights, prototypes, prototype_classes, prototype_weights):
        return weights.sum() + prototypes.sum() + prototype_weights.sum()

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.prototype_contrast", without_queries)
        term = made(features, predicted, labels)
    scorers = [*made.query_scorer.parameters(), *made.prototype_scorer.parameters()]
    found = torch.autograd.grad(term, [*learning, *scorers], allow_unused=True)
    assert found[: len(learning)] == (None,) * len(learning)
    assert None not in found[len(learning) :]
    (into_features,) = torch.autograd.grad(made(features, predicted, labels), features)
    assert into_features.any()
