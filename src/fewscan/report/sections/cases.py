"""Pictures of cases: planes with every overlay, and surfaces of volumes."""

from collections.abc import Mapping

import numpy as np

from fewscan.pictures.compared import ComparedCase
from fewscan.pictures.compared_surfaces import save_surfaces
from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import Block, Fold, Picture
from fewscan.report.document.embed import png_of
from fewscan.report.document.words import for_picture, number
from fewscan.report.found.predicted import Predicted
from fewscan.report.panels.cases import PicturedCase, case_panels
from fewscan.report.panels.label_surfaces import label_rendering


def case_blocks(predicted: Predicted, case_id: str, *, title: str, facts: str, surfaces: bool = True) -> list[Block]:
    """Return the pictures of one case, or why there are none.

    Parameters
    ----------
    predicted : Predicted
        What the case belongs to.
    case_id : str
        A case whose scan is known.
    title, facts : str
        Above the pictures.
    surfaces : bool
        Also render surfaces of a volume.
    """

    def make() -> list[Block]:
        case = predicted.pictured(case_id)
        names = predicted.names or unnamed(case)
        blocks: list[Block] = [case_panels(case, names, title=title, facts=facts)]
        if surfaces and case.image.ndim == 3:
            blocks += attempt(f"Surfaces of {case_id}", lambda: [surface_picture(case, names)])
        return blocks

    return attempt(f"Case {case_id}", make)


def surface_picture(case: PicturedCase, names: Mapping[int, str]) -> Picture:
    """Return shaded surfaces: predicted ones coloured by their distance to the truth, or by class without any truth."""
    shown = {value: for_picture(name) for value, name in names.items()}
    if case.truth is None:
        return label_rendering(case, shown)
    compared = ComparedCase("", case.image, case.truth, {"prediction": case.prediction}, case.geometry)
    alt = (
        f"3-D surfaces of case {case.case_id}: for each of {', '.join(names.values())}, the true surface and beside it "
        "the predicted one, red where it lies inside the truth, blue where outside."
    )
    return png_of(
        lambda path: save_surfaces(path, [compared], class_names=shown), alt=alt, look="render",
        caption=f"Surfaces of {case.case_id}",
    )  # fmt: skip


def unnamed(case: PicturedCase) -> dict[int, str]:
    """Return the values of label maps whose classes nobody named."""
    values = {int(v) for array in (case.prediction, case.truth) if array is not None for v in np.unique(array)} - {0}
    return {value: f"label {value}" for value in sorted(values)}


def ranked_blocks(predicted: Predicted, chosen: Mapping[str, tuple[str, float]]) -> list[Block]:
    """Return best, median and worst case, each under its rank, surfaces behind a line that opens them."""
    blocks: list[Block] = []
    for rank, (case_id, dice) in chosen.items():
        facts = f"Dice {number(dice)} ({predicted.main_label})"
        if case_id not in predicted.scans:
            continue
        found = case_blocks(predicted, case_id, title=f"{rank.capitalize()}: {case_id}", facts=facts)
        blocks += found[:1]
        if len(found) > 1:
            blocks.append(Fold(f"3-D surfaces of the {rank} case", tuple(found[1:]), is_open=True))
    return blocks
