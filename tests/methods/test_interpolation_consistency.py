import pytest
import torch

NAME = "interpolation_consistency"


@pytest.mark.parametrize(("count", "temperature"), [(1, 1.0), (2, 0.5), (3, 1.0)])
def test_the_consistency_of_eqs_1_and_2(count, temperature, method, batch, monkeypatch):
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self: torch.tensor(0.3))
    made = method(NAME, preset="paper", teacher_mode="eval", temperature=temperature).eval()
    given = batch(unlabelled=count)
    with torch.no_grad():
        for parameter in made.student.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        terms, u = made.loss(given, 0), given.unlabelled
        q = torch.softmax(made.teacher.network(u) / temperature, dim=1)
        expected = 0.0
        for k in range(count):  # each patch with the one before it
            p = torch.softmax(made.student(0.3 * u[k : k + 1] + 0.7 * u[k - 1 : k or None]), dim=1)[0]
            expected += (p - (0.3 * q[k] + 0.7 * q[k - 1])).square().mean() / count
    torch.testing.assert_close(terms["consistency"], expected)


def test_shares_follow_the_beta_distribution(method, batch):
    """Beta(0.2, 0.2) has mean 1/2 and variance 1 / (4 * 1.4)."""
    made, given, shares = method(NAME, preset="paper"), batch(unlabelled=2), []
    made.student.forward = lambda images: images.expand(-1, 3, -1, -1, -1) * 1.0
    made.teacher.network.forward = made.student.forward
    a, b = given.unlabelled
    seen = []
    made.student.register_forward_pre_hook(lambda _, images: seen.append(images[0][2]))
    torch.manual_seed(0)
    for _ in range(300):
        made.loss(given, 0)
        shares.append((((seen[-1] - b) * (a - b)).sum() / (a - b).square().sum()).item())
    found = torch.tensor(shares)
    assert found.mean().item() == pytest.approx(0.5, abs=0.07)
    assert found.var().item() == pytest.approx(1 / 5.6, abs=0.03)
