"""ANTsPy: ``python run_ants.py JOBS.json SECONDS.json``; the options are those of ``ants.registration``."""

import os
import tempfile

import ants
import SimpleITK
from jobs import OPTIONS, SEED, serve


def register(fixed, moving):
    """Return the paths of the transforms from the moving to the fixed image."""
    return ants.registration(fixed, moving, random_seed=SEED, **OPTIONS)["fwdtransforms"]


def displacement(fixed, moving, transforms):
    """Return all transforms as one field."""
    with tempfile.TemporaryDirectory() as folder:
        path = ants.apply_transforms(fixed, moving, transforms, compose=os.path.join(folder, ""))
        field = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    for transform in transforms:
        os.remove(transform)
    return field.transpose(*range(field.ndim - 2, -1, -1), field.ndim - 1)


serve(load=ants.image_read, register=register, displacement=displacement, packages=["antspyx"])
