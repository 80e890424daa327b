"""convexAdam in float32 on the processor: ``python run_convexadam.py JOBS.json SECONDS.json``; 3-D only.

It wants images of one size and cuts what is left over by its grid; so both are continued by their border values to the
size that holds both, rounded up to whole grid cells, and the field is cut to the fixed image. (Zeros instead would be
an edge that the features see.)
"""

import numpy as np
import SimpleITK
import torch
from convexAdam.convex_adam_MIND import convex_adam_pt
from jobs import OPTIONS, SEED, THREADS, serve


def load(path):
    """Return the image with its header."""
    return SimpleITK.ReadImage(path, SimpleITK.sitkFloat32)


def register(fixed, moving):
    """Return the displacement in voxels, on the padded grid."""
    cell = OPTIONS["grid_sp"]
    size = [-(-max(sides) // cell) * cell for sides in zip(fixed.GetSize(), moving.GetSize(), strict=True)]
    images = []
    for image in (fixed, moving):
        array = SimpleITK.GetArrayFromImage(image).transpose()
        images.append(np.pad(array, [(0, to - of) for of, to in zip(array.shape, size, strict=True)], mode="edge"))
    torch.manual_seed(SEED)
    return convex_adam_pt(*images, dtype=torch.float32, device=torch.device("cpu"), **OPTIONS)


def displacement(fixed, moving, field_vox):
    """Return it in mm, on the fixed grid."""
    inside = field_vox[tuple(slice(side) for side in fixed.GetSize())]
    return inside * fixed.GetSpacing() @ np.reshape(fixed.GetDirection(), (3, 3)).T


torch.set_num_threads(THREADS)
serve(load=load, register=register, displacement=displacement, packages=["convexAdam", "torch"])
