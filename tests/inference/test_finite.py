import pytest
import torch

from fewscan.errors import DataError
from fewscan.inference.finite import require_finite


def test_finite_numbers_pass() -> None:
    x = torch.tensor([1.0, -3e38])
    assert require_finite(x, "the answer") is x


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_one_wrong_number_is_told(wrong: float) -> None:
    x = torch.zeros(2, 3)
    x[1, 2] = wrong
    with pytest.raises(DataError, match="the answer is not finite") as caught:
        require_finite(x, "the answer")
    assert "--precision fp32" in str(caught.value.mend)
