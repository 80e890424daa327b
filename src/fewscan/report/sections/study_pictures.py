"""The pictures of a study, drawn anew from its finished cells without writing into its folder."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fewscan.experiments.outputs import CURVE
from fewscan.experiments.study_pictures import LOSSES, PLANES, SURFACES, draw_pictures
from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import Block, Fold, Note, Picture, Text
from fewscan.report.document.embed import png_file
from fewscan.report.found.study_cells import FoundStudy, drawing_place
from fewscan.report.listening import announce


@dataclass
class StudyPictures:
    """Blocks with pictures, by section."""

    curve: list[Block] = field(default_factory=list)
    cases: list[Block] = field(default_factory=list)
    losses: list[Block] = field(default_factory=list)


def draw_all(found: FoundStudy) -> StudyPictures:
    """Draw what the finished cells allow; what cannot be drawn is said."""
    pictures = StudyPictures()
    with drawing_place(found) as place:
        pictures.curve += attempt("The curve", lambda: [_curve(found, place)])
        if not found.outputs.results:
            return pictures
        announce("pictures of cases and losses")
        drawn = draw_pictures(found.outputs, found.dataset, place)
        for path in drawn.files:
            _sort(pictures, found, path)
        for name, reason in drawn.failed.items():
            where = pictures.losses if name == LOSSES else pictures.cases
            where.append(Note(f"{name} could not be drawn: {reason}", "warning"))
    stored = found.folder / LOSSES
    if not pictures.losses and stored.is_file():  # as in what is kept of a study
        caption = "Drawn while the logs of the trainings were at hand."
        pictures.losses += attempt(LOSSES, lambda: [_losses(found, stored, caption)])
    if found.dataset is None:
        pictures.cases.append(Note("The scans are not at hand, so that no case can be shown.", "warning"))
    elif pictures.cases:
        baseline = found.study.entry(found.study.baseline).label
        text = (
            f"Test cases ranked by the Dice of {baseline} in the first finished seed; every method is shown with that "
            "seed. A method's column: outline of its classes, filled where it differs from the truth."
        )
        pictures.cases.insert(0, Text(text))
    return pictures


def _sort(pictures: StudyPictures, found: FoundStudy, path: Path) -> None:
    if path.name == LOSSES:
        pictures.losses += attempt(path.name, lambda: [_losses(found, path)])
        return
    for line in found.outputs.lines:
        name = line.row.labelled.name
        if path.name == PLANES.format(name):
            pictures.cases += attempt(path.name, partial(_planes, found, path, name))
            return
        if path.name == SURFACES.format(name):
            blocks = attempt(path.name, partial(_surfaces, found, path, name))
            pictures.cases.append(
                Fold(f"3-D surfaces of these cases, {_labelled(found, name)}", tuple(blocks), is_open=True)
            )
            return


def _labelled(found: FoundStudy, name: str) -> str:
    titles = {line.row.labelled.name: line.row.labelled.title for line in found.outputs.lines}
    return f"{titles.get(name, name)} labelled"


def _methods(found: FoundStudy) -> str:
    return ", ".join(dict.fromkeys(found.outputs.maker.title(line.row) for line in found.outputs.lines if line.results))


def _curve(found: FoundStudy, place: Path) -> Picture:
    found.outputs.write(place)
    dice = found.outputs.dice
    parts = [
        f"{found.outputs.maker.title(line.row)} with {line.row.labelled.title} labelled: "
        f"{100 * line.averages[dice].mean:.1f} %"
        for line in found.outputs.lines
        if dice in line.averages
    ]
    alt = (
        "Mean Dice on the test scans against the number of labelled scans. "
        f"{'; '.join(parts) or 'No cell is finished'}."
    )
    caption = "Line: mean over seeds; band: one standard deviation; dots: single seeds."
    return png_file(place / CURVE, alt=alt, caption=caption, look="render")


def _losses(found: FoundStudy, path: Path, caption: str = "") -> Picture:
    alt = f"Training loss, total and weighted terms, of {_methods(found)}, a column per labelled count."
    return png_file(path, alt=alt, caption=caption, look="render")


def _planes(found: FoundStudy, path: Path, name: str) -> list[Block]:
    alt = (
        f"Planes of the best, median and worst test case, {_labelled(found, name)}: a column for the truth and one "
        f"for each of {_methods(found)}, with the voxels marked where it differs from the truth."
    )
    return [png_file(path, alt=alt, caption=_labelled(found, name), look="scan")]


def _surfaces(found: FoundStudy, path: Path, name: str) -> list[Block]:
    alt = (
        f"3-D surfaces of the same cases, {_labelled(found, name)}: truth, and the surface of each of "
        f"{_methods(found)} coloured by its distance to the true one."
    )
    return [png_file(path, alt=alt, look="render")]
