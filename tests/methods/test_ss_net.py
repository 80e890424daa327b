"""SS-Net's terms, recomputed on all voxels."""

import math

import pytest
import torch

from fewscan.networks.registry import NetworkSpec

VNET = NetworkSpec(name="vnet", options={"filters": [4, 8, 8], "convolutions": [1, 1, 1], "dropout": 0.0})


def test_smoothness_leaves_the_statistics_alone(method, batch):
    made = method("ss_net", network=VNET)
    given = batch()
    images = torch.cat([given.images, given.unlabelled])
    before = {name: value.clone() for name, value in made.network.named_buffers()}
    logits = made.network.head(made.network.features(images))
    after = {name: value.clone() for name, value in made.network.named_buffers()}
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
    made.smoothness(images, logits).backward()
    assert all(torch.equal(value, after[name]) for name, value in made.network.named_buffers())


@pytest.mark.parametrize("preset", ["paper", "recommended"])
def test_smoothness_is_the_distance_between_the_answers(preset, method, batch, monkeypatch):
    made, images = method("ss_net", preset=preset).eval(), batch().images
    r = 0.1 * torch.randn_like(images)
    monkeypatch.setattr("fewscan.methods.ss_net.adversarial_direction", lambda *_, **options: r * options["radius"])
    p, q = (torch.softmax(made.network(x), 1) for x in (images, images + 10 * r))
    wanted = {
        "paper": 1 - 2 * (p * q).sum() / ((p * p).sum() + (q * q).sum()),
        "recommended": (p * (p / q).log()).sum(1).mean(),
    }[preset]
    assert made.smoothness(images, made.network(images)).item() == pytest.approx(wanted.item(), rel=1e-3)


@pytest.mark.parametrize("preset", ["paper", "recommended"])
@pytest.mark.parametrize("classes", [2, 3])
def test_contrast_over_all_voxels(preset, classes, method):
    made = method("ss_net", preset=preset, classes=classes, dimensions=2, voxels_per_class=1000, prototypes=3).eval()
    torch.manual_seed(0)
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
            order = memory_scores[correct].argsort(descending=preset == "recommended")[:3]
            m, b = projected[:72][correct[order]], memory_scores[correct[order]]
            q = stream[classes_of == index]
            a = made.query_scorer(q, torch.full((len(q),), index))
            cosine = torch.nn.functional.cosine_similarity(q[:, None], m[None], dim=2)
            each.append(((1 - cosine) * (a / a.mean())[:, None] * (b / b.mean())).mean())
        total += sum(each) / classes
    assert made.contrast(features, predicted, labels).item() == pytest.approx(total.item(), rel=1e-4)


def test_without_a_correct_voxel_the_contrast_is_zero_and_every_part_has_a_gradient(method):
    made = method("ss_net", dimensions=2)
    features = torch.randn(2, 4, 6, 6, requires_grad=True)
    labels, predicted = torch.zeros(1, 6, 6, dtype=torch.long), torch.ones(2, 6, 6, dtype=torch.long)
    loss = made.contrast(features, predicted, labels)
    loss.backward()
    assert loss.item() == 0
    parts = (made.projection, made.prediction, made.query_scorer, made.prototype_scorer)
    assert all(p.grad is not None and p.grad.abs().max() == 0 for part in parts for p in part.parameters())


def test_weights_and_terms(method, batch):
    made = method("ss_net", preset="paper", iterations=15000)
    assert made.weights(3000) == pytest.approx({"smoothness": math.exp(-5 / 4), "contrast": 0.1 * math.exp(-5 / 4)})
    assert list(made(batch(unlabelled=0), 0)) == ["supervised"]
