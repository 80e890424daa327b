"""What the anchor scripts share: read the list of pairs, time each registration, write the fields and the seconds.

These scripts run in the environment of the anchors, which has no fewscan. ``JOBS.json`` holds ``threads``, ``seed``,
``options`` and ``pairs``, each with the files ``fixed``, ``moving`` and ``out``; ``out`` becomes a vector image on the
fixed grid, in mm of ITK's world: warped(x) = moving(x + u(x)). The first pair is registered once more before the clock
runs, because libraries load much at their first call. Only the registration is timed, neither reading nor writing.
"""

import json
import sys
import time
from importlib.metadata import version

with open(sys.argv[1], encoding="utf-8") as file:
    JOBS = json.load(file)
THREADS, SEED, OPTIONS = JOBS["threads"], JOBS["seed"], JOBS["options"]


def serve(*, load, register, displacement, packages):
    """Register all pairs.

    Parameters
    ----------
    load : callable
        From the path of an image to what ``register`` wants.
    register : callable
        From the fixed and the moving image to any result; this is timed.
    displacement : callable
        From fixed, moving and that result to the world displacement in mm, ``(*spatial as x, y[, z], dimensions)``.
    packages : sequence of str
        Whose versions are reported.
    """
    import numpy as np
    import SimpleITK

    seconds = []
    for number, pair in enumerate([JOBS["pairs"][0], *JOBS["pairs"]]):
        fixed, moving = load(pair["fixed"]), load(pair["moving"])
        start = time.perf_counter()
        result = register(fixed, moving)
        elapsed = time.perf_counter() - start
        if number == 0:
            continue
        seconds.append(elapsed)
        field = np.asarray(displacement(fixed, moving, result), np.float32)
        axes = (*range(field.ndim - 2, -1, -1), field.ndim - 1)
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(field.transpose(axes)), isVector=True)
        image.CopyInformation(SimpleITK.ReadImage(pair["fixed"]))
        SimpleITK.WriteImage(image, pair["out"])
    versions = {name: version(name) for name in packages}
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"seconds": seconds, "versions": versions}, file)
