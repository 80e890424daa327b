"""Which planes of which unlabelled scans are drawn after each round, and their files.

Training opens no label for them: the truth of an unlabelled scan is nothing that it may know. Whoever has it gives it
to the report (`fewscan report RUN --labels LABELS`), which `true_planes` serves.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewscan.data.plan import Plan
from fewscan.data.prepare import prepare_label
from fewscan.data.prepared import PreparedCase, PreparedStore
from fewscan.pictures.orientation import planes, upright
from fewscan.pictures.soft_masks import Array, SoftMaskPlane, save_round, save_strip
from fewscan.recipes.mask_store import MaskStore
from fewscan.recipes.pseudo_masks import MaskMaker
from fewscan.tensor_file import read_tensors, write_tensors

SHOWN = 3
PLANES = "planes.safetensors"
SHOWN_ARRAYS = ("image", "segmentation", "registration", "soft")


def shown_cases(cases: Sequence[PreparedCase]) -> list[PreparedCase]:
    """Return the scans that are drawn, the same in every round: evenly spread over the ids."""
    ordered = sorted(cases, key=lambda case: case.id)
    places = np.linspace(0, len(ordered) - 1, min(SHOWN, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def write_planes(folder: Path, maker: MaskMaker, store: MaskStore, cases: Sequence[PreparedCase]) -> None:
    """Keep what is drawn of a round beside its masks; the plane of a volume is the one that the first round chose."""
    shown = shown_cases(cases)
    first = folder if maker.previous is None else maker.previous.folder
    chosen = read_tensors(first / PLANES)[1]["centres"] if maker.previous is not None else {}
    tensors: dict[str, Tensor] = {}
    for case, segmented, registered in zip(shown, *maker.halves(shown), strict=True):
        soft = 1 - store.mask(case.id)[0]
        geometry = case.meta.prepared
        standing = [
            upright(array, geometry)[0]
            for array in (np.array(case.image()[0]), 1 - segmented[0].numpy(), 1 - registered[0].numpy(), soft)
        ]
        spacing = upright(soft, geometry)[1]
        centre = chosen.setdefault(case.id, [int(place) for place in _fullest(standing[3])])
        for name, array in zip(SHOWN_ARRAYS, standing, strict=True):
            plane, aspect = planes(array, spacing, tuple(centre))[0]
            tensors[f"{case.id}/{name}"] = torch.from_numpy(np.ascontiguousarray(plane, np.float32))
        tensors[f"{case.id}/aspect"] = torch.tensor([aspect])
    write_tensors(folder / PLANES, tensors, {"round": store.round_number, "centres": chosen})


def read_planes(folder: Path) -> dict[str, SoftMaskPlane]:
    """Return what `write_planes` kept, by id."""
    tensors, description = read_tensors(folder / PLANES)
    found = {}
    for case_id in description["centres"]:
        arrays = {name: tensors[f"{case_id}/{name}"].numpy() for name in SHOWN_ARRAYS}
        found[case_id] = SoftMaskPlane(**arrays, aspect=float(tensors[f"{case_id}/aspect"]))
    return found


def draw(place: Path, folders: Sequence[Path]) -> None:
    """Draw the last of the rounds ``folders``, from round 1, and before it the strip of all of them.

    The picture of the round is written last: where it is, both are.
    """
    rounds = [read_planes(folder) for folder in folders]
    number = len(rounds)
    save_strip(place / "strip.png", rounds, title="pseudo-masks over the rounds")
    save_round(place / f"round_{number}.png", rounds[-1], title=f"pseudo-masks of round {number}")


def true_planes(folder: Path, labels: Mapping[str, Path], store: PreparedStore, plan: Plan) -> dict[str, Array]:
    """Return the true foreground of the scans that `write_planes` kept, in the same planes; of those that have a label.

    Parameters
    ----------
    folder : Path
        Of the masks of a round.
    labels : mapping
        Label files by id.
    store, plan : PreparedStore, Plan
        Of the run: where the prepared scans lie in the files, and which values are foreground.
    """
    found = {}
    for case_id, centre in read_tensors(folder / PLANES)[1]["centres"].items():
        if case_id in labels:
            meta = store.case(case_id).meta
            label = prepare_label(labels[case_id], plan, meta)
            standing, spacing = upright((label > 0).astype(np.float32), meta.prepared)
            found[case_id] = np.ascontiguousarray(planes(standing, spacing, tuple(centre))[0][0])
    return found


def _fullest(mask: npt.NDArray[np.float32]) -> tuple[int, ...]:
    """Return per axis the plane with the most foreground."""
    return tuple(
        int(mask.sum(tuple(other for other in range(mask.ndim) if other != axis)).argmax()) for axis in range(mask.ndim)
    )
