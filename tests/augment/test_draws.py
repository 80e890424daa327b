import math

import pytest
import torch

from fewscan.augment.draws import check_generator, draw
from fewscan.augment.settings import Effect


def test_probability_and_range(generator):
    chosen, strength = draw(Effect(probability=0.25, low=2, high=6), (4000, 2), generator=generator)
    # binomial: 1000 expected, standard deviation sqrt(4000 * 0.25 * 0.75) = 27; five of them
    assert abs(len(chosen) - 1000) < 137
    assert strength.shape == (4000, 2)
    assert strength.min() >= 2
    assert strength.max() <= 6
    # mean of U(2, 6) is 4, standard error 4 / sqrt(12) / sqrt(8000) = 0.013
    assert abs(strength.mean().item() - 4) < 0.07


def test_logarithmic_draw_is_even_about_one(generator):
    _, strength = draw(Effect(probability=1, low=0.5, high=2), (4000,), generator=generator, logarithmic=True)
    # log is U(-ln 2, ln 2): mean 0, standard error 2 ln 2 / sqrt(12) / sqrt(4000) = 0.0063
    assert abs(strength.log().mean().item()) < 0.032
    assert strength.log().abs().max() <= math.log(2) + 1e-6


@pytest.mark.parametrize(("probability", "count"), [(0, 0), (1, 7)])
def test_certain_probabilities(generator, probability, count):
    chosen, _ = draw(Effect(probability=probability, low=0, high=1), (7,), generator=generator)
    assert len(chosen) == count


def test_samples_get_their_own_strength(generator):
    _, strength = draw(Effect(probability=1, low=0, high=1), (8, 2), generator=generator)
    assert len(set(strength.flatten().tolist())) == 16


def test_only_generators_of_the_cpu_are_taken(generator):
    check_generator(generator)

    class Elsewhere:
        device = torch.device("cuda")

    with pytest.raises(ValueError, match="CPU generator"):
        check_generator(Elsewhere())
