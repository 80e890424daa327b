"""The pictures of a study beside its tables: training losses, and a few test scans as every method segments them.

    STUDY/training_loss.png       loss curves of all finished cells
    STUDY/cases_NAME.png          planes of the best, median and worst test case; NAME: n4, all, ...
    STUDY/surfaces_NAME.png       surfaces of the same cases, where scans are 3-D

Cases are ranked by the baseline's Dice in the first seed for which its cell is finished; ties go by id. All methods are
shown with this seed, and those without a finished cell of it are left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewscan.data.case import Dataset
from fewscan.errors import FewscanError
from fewscan.experiments.averages import Line
from fewscan.experiments.cells import Labelled
from fewscan.experiments.collect import Result
from fewscan.experiments.curve import line_colours
from fewscan.experiments.outputs import Outputs
from fewscan.experiments.preparation import TEST_LIST
from fewscan.experiments.ranking import best_median_worst
from fewscan.experiments.state import AS_PREDICTED, PREDICTIONS, cell_folder, run_folder
from fewscan.pictures.compared import ComparedCase
from fewscan.training.log import read_log

LOSSES, PLANES, SURFACES = "training_loss.png", "cases_{}.png", "surfaces_{}.png"


@dataclass
class Drawn:
    """What became of the pictures.

    Attributes
    ----------
    files : list of Path
        Those that were written.
    failed : dict of str to str
        Why the others were not, by file name; an earlier picture of this name may still be there.
    """

    files: list[Path] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def draw(self, path: Path, draw: Callable[[Path], None]) -> None:
        """Call ``draw(path)``; a picture is never worth a study, so any error is only written down."""
        try:
            draw(path)
        except Exception as error:
            text = str(error) if isinstance(error, FewscanError) else f"{type(error).__name__}: {error}"
            self.failed[path.name] = " ".join(text.split())
        else:
            self.files.append(path)


def draw_pictures(outputs: Outputs, dataset: Dataset | None, folder: Path) -> Drawn:
    """Draw all pictures that the finished cells of a study allow.

    Parameters
    ----------
    outputs : Outputs
        The finished cells.
    dataset : Dataset or None
        Its scans; only the few test cases that are shown are opened. Without them the losses alone are drawn.
    folder : Path
        The study's folder, with the cells' predictions and logs.
    """
    drawn = Drawn()
    lines = [line for line in outputs.lines if line.results]
    logs = [_log(folder, result) for line in lines for result in line.results]
    if any(log.is_file() for log in logs):  # an empty chart would replace one drawn while the logs were there
        drawn.draw(folder / LOSSES, lambda path: _draw_losses(path, outputs, lines, folder))
    if dataset is None:
        return drawn
    for labelled in dict.fromkeys(line.row.labelled for line in lines):
        shown = _shown(outputs, [line for line in lines if line.row.labelled == labelled])
        if shown is not None:
            _draw_cases(drawn, shown, outputs, dataset, folder, labelled)
    return drawn


@dataclass(frozen=True)
class Shown:
    """What the pictures of one labelled count show: the baseline's cell, and all cells of its seed by method."""

    baseline: Result
    by_title: dict[str, Result]


def choose_cases(result: Result, label: str) -> dict[str, tuple[str, float]]:
    """Return id and Dice of the best, the median and the worst case of a cell, fewer where there are fewer.

    Parameters
    ----------
    result : Result
        Of the baseline.
    label : str
        The class to rank by; see `main_label`. Cases without a score, as nothing is there to find, are passed over.
    """
    (dice,) = (c.by_case for c in result.columns(AS_PREDICTED) if (c.label, c.metric) == (label, "dice"))
    return best_median_worst(dice)


def _shown(outputs: Outputs, lines: Sequence[Line]) -> Shown | None:
    """Choose the seed; None while no cell of the baseline is finished."""
    own = [result for line in lines if line.row.method == outputs.study.baseline for result in line.results]
    for seed in outputs.study.seeds:
        for result in own:
            if result.cell.seed == seed:
                every = [each for line in lines for each in line.results if each.cell.seed == seed]
                return Shown(result, {outputs.maker.title(each.cell.row): each for each in every})
    return None


def _log(folder: Path, result: Result) -> Path:
    return run_folder(folder, result.cell) / "log.jsonl"


def _draw_losses(path: Path, outputs: Outputs, lines: Sequence[Line], folder: Path) -> None:
    from fewscan.pictures.loss_curves import LossCurve, save_loss_curves

    methods = {outputs.maker.title(line.row): line.row.method for line in lines}
    colours = line_colours([method == outputs.study.baseline for method in methods.values()])
    colour_of = dict(zip(methods, colours, strict=True))
    curves = []
    for line in lines:
        title = outputs.maker.title(line.row)
        logs = [read_log(_log(folder, result)) for result in line.results]
        curves.append(LossCurve(title, f"{line.row.labelled.title} labelled", colour_of[title], logs))
    save_loss_curves(path, curves, title=f"{outputs.study.name}: training loss")


def _draw_cases(
    drawn: Drawn, shown: Shown, outputs: Outputs, dataset: Dataset, folder: Path, labelled: Labelled
) -> None:
    from fewscan.pictures.compared_planes import save_planes
    from fewscan.pictures.compared_surfaces import save_surfaces

    names = shown.baseline.names
    seed, baseline = shown.baseline.cell.seed, outputs.maker.title(shown.baseline.cell.row)
    title = f"{outputs.study.name}: {labelled.title} labelled, seed {seed}; cases ranked by Dice of {baseline}"
    cases: list[ComparedCase] = []

    def draw_planes(path: Path) -> None:
        cases.extend(_read_cases(shown, outputs, dataset, folder))
        if cases:
            save_planes(path, cases, class_names=names, title=title)

    drawn.draw(folder / PLANES.format(labelled.name), draw_planes)
    if cases and all(case.truth.ndim == 3 for case in cases):
        path = folder / SURFACES.format(labelled.name)
        drawn.draw(path, lambda path: save_surfaces(path, cases, class_names=names, title=title))


def _read_cases(shown: Shown, outputs: Outputs, dataset: Dataset, folder: Path) -> list[ComparedCase]:
    from fewscan.data.image_io import read_channel_images, read_image
    from fewscan.metrics.pairing import pair_files

    chosen = choose_cases(shown.baseline, outputs.label)
    ids = [case_id for case_id, _ in chosen.values()]
    pairs = {
        title: pair_files(cell_folder(folder, result.cell) / PREDICTIONS, folder / TEST_LIST, case_ids=ids).pairs
        for title, result in shown.by_title.items()
    }
    files = {title: {pair.case_id: pair for pair in found} for title, found in pairs.items()}
    baseline = outputs.maker.title(shown.baseline.cell.row)
    cases = []
    for rank, (case_id, dice) in chosen.items():
        scan = next(read_channel_images(dataset[case_id].images))
        cases.append(
            ComparedCase(
                caption=f"{rank}\n{case_id}\nDice {dice:.3f}",
                image=scan.array,
                truth=read_image(files[baseline][case_id].label).array,
                predictions={title: read_image(found[case_id].prediction).array for title, found in files.items()},
                geometry=scan.geometry,
            )
        )
    return cases
