"""Learning-rate schedules as pure functions of the step: nothing to save, nothing to restore."""

import math


def schedule_factor(name: str, step: int, iterations: int) -> float:
    """Return the factor on the base learning rate at ``step`` of ``iterations``.

    - ``poly``: (1 - t/T)^0.9 (paper 2, section 4.3)
    - ``step``: 1/10 more after each 2 500/6 000 of the run (paper 3, section III)
    - ``step_sixths``: 1/10 more after each sixth of the run (public code of BCP, SS-Net: 2 500 of 15 000)
    - ``onecycle``: linear rise over the first 10 %, then cosine descent to 0.1 % (after Smith & Topin 2017)
    - ``constant``: 1
    """
    progress = step / max(iterations, 1)
    if name == "poly":
        return float((1.0 - progress) ** 0.9)
    if name == "step":
        return float(0.1 ** math.floor(progress * 6000 / 2500))
    if name == "step_sixths":
        return float(0.1 ** math.floor(6 * progress))
    if name == "onecycle":
        start, rise, end = 0.04, 0.1, 0.001
        if progress < rise:
            return start + (1.0 - start) * progress / rise
        return end + (1.0 - end) * (1.0 + math.cos(math.pi * (progress - rise) / (1.0 - rise))) / 2.0
    if name == "constant":
        return 1.0
    msg = f"unknown schedule {name!r}"
    raise ValueError(msg)
