from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewscan.data.case import Case
from fewscan.data.geometry import Geometry
from fewscan.data.image_io import write_image
from fewscan.data.plan import Plan
from fewscan.registration.align import ALIGNMENTS, Effort
from fewscan.registration.learned import LearnedRegistrar
from fewscan.registration.one_pair import load_scan
from fewscan.registration.physical import physical_displacement

FIXED = Geometry((26, 24), (1.0, 1.5), (4.0, -7.0), (1.0, 0.0, 0.0, 1.0))
MOVING = {
    "same": FIXED,
    "elsewhere": Geometry((26, 24), (1.0, 1.5), (-300.0, 52.0), (1.0, 0.0, 0.0, 1.0)),
    "larger": Geometry((31, 29), (1.0, 1.5), (4.5, -9.0), (1.0, 0.0, 0.0, 1.0)),
    "flipped": Geometry((26, 24), (1.0, 1.5), (29.0, -7.0), (-1.0, 0.0, 0.0, 1.0)),
    "swapped": Geometry((24, 26), (1.5, 1.0), (4.0, -7.0), (0.0, 1.0, 1.0, 0.0)),
    "finer": Geometry((52, 60), (0.5, 0.6), (4.0, -7.0), (1.0, 0.0, 0.0, 1.0)),
    "oblique": Geometry((28, 30), (1.0, 1.0), (-3.0, 6.75), (0.8, 0.6, -0.6, 0.8)),
}


class CentreOfMass:
    """A stand-in network that shifts the centre of mass of one array onto that of the other."""

    def __init__(self, plan: Plan) -> None:
        self.spec = type("Spec", (), {"plan": plan})
        self.calls: list[dict[str, Any]] = []

    def displacement(self, moving: np.ndarray, fixed: np.ndarray, **options: Any) -> np.ndarray:
        self.calls.append(options)
        shift = mass_centre(moving[0]) - mass_centre(fixed[0])
        return np.broadcast_to(shift.reshape(-1, 1, 1), (2, *fixed.shape[1:])).astype(np.float32)


def mass_centre(array: np.ndarray) -> np.ndarray:
    weight = array - array.min()
    return np.array([(weight * index).sum() for index in np.indices(array.shape)]) / weight.sum()


@pytest.fixture
def plan() -> Callable[..., Plan]:
    def make(**preparation: Any) -> Plan:
        return Plan.model_validate(
            {
                "name": "test",
                "dimensions": 2,
                "image_dimensions": 2,
                "channels": ("T1",),
                "classes": [{"name": str(v), "values": (v,), "output": v} for v in (0, 1)],
                "preparation": {"normalisation": "none", "clip_percentiles": None} | preparation,
                "patch_size": (16, 16),
            }
        )

    return make


@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.0)])
@pytest.mark.parametrize("crop", ["none", "nonzero"])
@pytest.mark.parametrize("align", ALIGNMENTS)
@pytest.mark.parametrize("name", MOVING)
def test_a_blob_lands_on_the_blob_whatever_the_grids(
    name: str, align: str, crop: str, spacing_mm: Any, tmp_path: Path, plan: Callable[..., Plan],
    points: Callable[[Geometry], np.ndarray],
) -> None:  # fmt: skip
    if align == "none" and name == "elsewhere":
        pytest.skip("as they lie, the two do not overlap")
    centres = {}
    for which, grid, offset in (("fixed", FIXED, (1.0, -2.0)), ("moving", MOVING[name], (-1.5, 1.0))):
        world = points(grid)
        middle = world.reshape(2, -1).mean(axis=1) if align != "none" else FIXED_CENTRE
        centres[which] = middle + offset
        # two blobs on a line, so that there is a direction
        image = sum(
            np.exp(-np.square(world - (centres[which] + side).reshape(2, 1, 1)).sum(axis=0) / 8)
            for side in (np.array([2.0, 0.0]), np.array([-2.0, 1.0]))
        )
        image = np.where(image > 1e-2, image, 0)
        write_image(tmp_path / f"{which}.mha", image.astype(np.float32), grid)
    chosen = plan(crop=crop, spacing_mm=spacing_mm)
    scans = [load_scan(Case(id=w, images=(tmp_path / f"{w}.mha",)), chosen) for w in ("moving", "fixed")]
    network = CentreOfMass(chosen)
    registrar = LearnedRegistrar(network, align=align, refine_steps=3, effort=Effort("correlation"))  # type: ignore[arg-type]
    match = registrar.match(scans[0].prepared, scans[1].prepared)
    field = physical_displacement(match, scans[1].prepared.meta)
    # at the voxel next to the fixed blob's middle
    index = np.linalg.solve(FIXED.affine(), np.append(centres["fixed"], 1))[:2].round().astype(int)
    found = field[(slice(None), *index)]
    # that an affine map also turns and scales does not matter at the middle, but next to it
    tolerance = 0.6 if align == "affine" else 0.25
    np.testing.assert_allclose(found, centres["moving"] - centres["fixed"], atol=tolerance)
    assert network.calls[0]["refine_steps"] == 3
    assert network.calls[0]["moving_background"] == scans[0].prepared.meta.background


FIXED_CENTRE = np.array([4.0 + 12.5, -7.0 + 11.5 * 1.5])
