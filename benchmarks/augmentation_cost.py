"""Time of each augmentation, and of the presets, per training batch.

Run with ``python benchmarks/augmentation_cost.py [--size 48 64 48] [--batch 4] [--channels 1] [--threads 2]``. Single
effects are timed with probability 1; presets as they are, averaged over many draws.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from fewscan.augment.pipeline import augment
from fewscan.augment.settings import PRESETS, Augmentation, Effect

EFFECTS = ("rotation", "scaling", "elastic", "noise", "blur", "brightness", "contrast", "low_resolution", "gamma")


def milliseconds(call: Callable[[], object], *, repeats: int) -> tuple[float, float]:
    """Return the mean and the median time of a call."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.mean(times), statistics.median(times)


def single_effects() -> dict[str, Augmentation]:
    """Return settings that apply one effect to every sample, and all spatial ones together."""
    certain: dict[str, Effect] = {
        name: getattr(Augmentation(), name).model_copy(update={"probability": 1.0}) for name in EFFECTS
    }
    every = {name: Augmentation().model_copy(update={name: effect}) for name, effect in certain.items()}
    spatial = {name: certain[name] for name in ("rotation", "scaling", "elastic")}
    every["rotation + scaling + elastic"] = Augmentation().model_copy(update=spatial)
    every["the same, linear labels"] = Augmentation().model_copy(update=spatial | {"label_interpolation": "linear"})
    every["everything, every sample"] = Augmentation().model_copy(update=certain)
    return every


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs="+", default=[48, 64, 48])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(arguments.batch, arguments.channels, *arguments.size, generator=generator)
    labels = torch.randint(0, 3, (arguments.batch, *arguments.size), generator=generator)
    background = torch.zeros(arguments.batch, arguments.channels)

    print(f"batch {tuple(images.shape)}, {arguments.threads} threads: mean and median milliseconds per batch")
    presets = {f"preset {name}": settings for name, settings in PRESETS.items()}
    for name, settings in (single_effects() | presets).items():
        mean, median = milliseconds(
            lambda settings=settings: augment(  # type: ignore[misc]
                images, labels, settings=settings, generator=generator, background=background
            ),
            repeats=arguments.repeats,
        )
        print(f"{name:32s} {mean:8.2f} {median:8.2f}")


if __name__ == "__main__":
    main()
