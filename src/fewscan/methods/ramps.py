"""How the weight of an unlabelled term grows: a factor between 0 and 1 as a function of the step.

With t the share of the ramp that is done, between 0 and 1:

    sigmoid   exp(-5 (1 - t)^2)     Laine & Aila 2017; starts at 0.0067, half way at 0.287
    linear    t
    none      1

Steps are counted in iterations. (Public code counts "epochs" of 150 iterations whatever the data, so that its ramp of
"200 epochs" is full only at iteration 30 000, the last one.)
"""

import math
from typing import Literal

RampKind = Literal["sigmoid", "linear", "none"]


def ramp(kind: RampKind, step: int, *, length: float, iterations: int) -> float:
    """Return the factor at ``step``.

    Parameters
    ----------
    kind : "sigmoid", "linear" or "none"
        Shape of the ramp.
    step : int
        Iterations done, from 0.
    length : float
        Where the ramp is full: in iterations if above 1, otherwise as a share of the run.
    iterations : int
        Length of the run.

    Raises
    ------
    ValueError
        If the length is not positive.
    """
    if length <= 0:
        msg = f"a ramp needs a positive length, got {length}"
        raise ValueError(msg)
    full = length if length > 1 else length * iterations
    t = min(step / full, 1.0)
    if kind == "sigmoid":
        return math.exp(-5.0 * (1.0 - t) ** 2)
    return t if kind == "linear" else 1.0
