"""How a virtual scanner shows a virtual patient: contrast, shading, resolution and noise, all random.

The image is painted from the tissues, so that the contrast can differ between patients and the true labels stay exact::

    I = ( b * blur( (sum_t mean_t * share_t + detail) ^ gamma ) ) , then Rician noise                       (1)

with b a smooth shading (bias field) and Rician noise |I + n1 + i n2| for normal n1, n2 (Gudbjartsson and Patz, "The
Rician distribution of noisy MRI data", Magn. Reson. Med. 34 (1995)). Outside the head the image is exactly zero, as in
a skull-stripped scan.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fewscan.data.cohort_deformation import smooth_noise

FloatArray = npt.NDArray[np.float32]

SHADING_PERIOD_MM = 90.0
SHADING_LOG = 0.20
NOISE = (0.015, 0.06)
BLUR_VOX = (0.0, 0.7)
GAMMA_LOG = 0.25
SCANNER_SCALE = (300.0, 1200.0)


def random_contrast(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a mean intensity in [0, 1] for each of `cohort_anatomy.TISSUES`, ordered as in T1-weighted MRI.

    Fluid is darker than cortex, cortex than deep grey matter, deep grey matter than white matter.
    """
    fluid = generator.uniform(0.15, 0.32)
    white = generator.uniform(0.80, 0.95)
    cortex = fluid + (white - fluid) * generator.uniform(0.45, 0.65)
    deep = cortex + (white - cortex) * generator.uniform(0.25, 0.60)
    return np.array([fluid, cortex, white, deep, fluid])


def paint(generator: np.random.Generator, tissues: FloatArray, detail: FloatArray, *, spacing_mm: float) -> FloatArray:
    """Return the scan of a patient, equation (1).

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of everything that differs between scans.
    tissues : ndarray, shape (5, *axes)
        Share of each tissue per voxel.
    detail : ndarray, shape (*axes)
        Added to the tissue means.
    spacing_mm : float
        Voxel size of the (isotropic) grid.

    Returns
    -------
    ndarray, shape (*axes), float32
        Intensities in the arbitrary units of a scanner, zero outside the head.
    """
    size = detail.shape
    image = np.einsum("t,t...->...", random_contrast(generator), tissues) + detail
    image = np.clip(image, 0, None) ** np.exp(GAMMA_LOG * generator.standard_normal())
    image = ndimage.gaussian_filter(image, generator.uniform(*BLUR_VOX))
    image *= np.exp(SHADING_LOG * smooth_noise(generator, size, period_vox=SHADING_PERIOD_MM / spacing_mm))
    real, imaginary = generator.uniform(*NOISE) * generator.standard_normal((2, *size))
    image = np.hypot(image + real, imaginary)
    head = tissues.sum(axis=0) > 0.5
    return np.asarray(np.where(head, image * generator.uniform(*SCANNER_SCALE), 0), np.float32)
