"""Randomness as a function of what it is for.

Every random draw in fewscan comes from a generator keyed by the seed and by what is drawn (stream, rank, step, ...).
Nothing depends on how many numbers were drawn before, so a resumed run needs no saved generator state and a batch can
be made ahead of time in another thread.
"""

import hashlib

import numpy as np


def seed_for(seed: int, *keys: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and on every key."""
    text = "\x1f".join([str(seed), *(f"{type(key).__name__}:{key}" for key in keys)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator_for(seed: int, *keys: str | int) -> np.random.Generator:
    """Return a NumPy generator for ``seed`` and the keys."""
    return np.random.default_rng(seed_for(seed, *keys))
