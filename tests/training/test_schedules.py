import pytest

from fewscan.training.schedules import schedule_factor


def test_poly_by_hand():
    assert schedule_factor("poly", 0, 100) == 1
    # (1 - 1/2)^0.9 = 0.5359
    assert schedule_factor("poly", 50, 100) == pytest.approx(0.53589, abs=1e-5)


def test_step_divides_by_ten_every_2500_of_6000():
    factors = [schedule_factor("step", step, 6000) for step in (0, 2499, 2500, 4999, 5000, 5999)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_step_sixths_divides_by_ten_every_2500_of_15000():
    factors = [schedule_factor("step_sixths", step, 15000) for step in (0, 2499, 2500, 5000, 14999)]
    assert factors == pytest.approx([1, 1, 0.1, 0.01, 1e-5])


def test_onecycle_rises_then_falls():
    factors = [schedule_factor("onecycle", step, 1000) for step in range(1000)]
    assert max(factors) == pytest.approx(1.0)
    assert factors.index(max(factors)) == 100
    assert factors[0] == pytest.approx(0.04)
    assert factors[-1] < 0.002


def test_constant():
    assert schedule_factor("constant", 7, 10) == 1


def test_unknown_schedule():
    with pytest.raises(ValueError, match="unknown schedule 'cosine'"):
        schedule_factor("cosine", 0, 1)
