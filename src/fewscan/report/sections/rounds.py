"""Pseudo-masks over the rounds of a joint training."""

from functools import partial
from pathlib import Path

from fewscan.data.image_files import image_stem
from fewscan.data.layout_files import list_images
from fewscan.errors import DataError
from fewscan.experiments.tables import Table
from fewscan.pictures.soft_masks import save_strip
from fewscan.recipes.joint_pictures import read_planes, true_planes
from fewscan.recipes.joint_record import ROUNDS, RoundRecord, stage_path
from fewscan.report.charts.rounds import round_charts
from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import Block, Fold, Gallery, Text
from fewscan.report.document.embed import png_file, png_of
from fewscan.report.document.words import duration, number
from fewscan.report.found.kinds import read_json_list
from fewscan.training.run import Run, store_of

STRIP = "strip.png"
ABOUT = (
    "Both networks, segmentation and registration, make a soft mask of every unlabelled scan, and learn from the masks "
    "of the round before. Probability of being foreground is shown from black to white."
)


def round_blocks(run: Path, *, labels: Path | None = None) -> list[Block]:
    """Return table, charts and pictures of the rounds; nothing for a run without any.

    ``labels`` is a folder of label files named like the scans, whose truth is shown beside the masks.
    """
    if not (run / ROUNDS).is_file():
        return []
    return attempt("The rounds", lambda: _blocks(run, labels))


def _blocks(run: Path, labels: Path | None) -> list[Block]:
    history = [RoundRecord.parse(record, source=ROUNDS) for record in read_json_list(run / ROUNDS)]
    blocks: list[Block] = [Text(ABOUT), _table(history), Gallery(tuple(round_charts(history)))]
    places = run / "rounds"
    if (places / STRIP).is_file():
        alt = (
            f"Pseudo-masks of a few unlabelled scans over {len(history) - 1} rounds: for each scan a row for the "
            "segmentation network, the registration network and the mask that was used, and a column per round."
        )
        if labels is None:
            caption = "No true label of these scans was opened."
            blocks += attempt(STRIP, partial(_picture, places / STRIP, alt, caption))
        else:
            alt = f"{alt} The last column is the truth."
            blocks += attempt("The truth", partial(_with_truth, run, labels, len(history) - 1, alt))
    singles: list[Block] = []
    for record in history:
        path = places / f"round_{record.round}.png"
        if path.is_file():
            alt = (
                f"Round {record.round}: a few unlabelled scans with the mask of the segmentation network, of the "
                f"registration network, and the soft mask used; mean entropy {number(record.entropy)}, "
                f"mean disagreement {number(record.disagreement)}."
            )
            caption = f"Round {record.round}"
            singles += attempt(path.name, partial(_picture, path, alt, caption))
    return [*blocks, Fold("Every round on its own", tuple(singles))] if singles else blocks


def _with_truth(run: Path, labels: Path, rounds: int, alt: str) -> list[Block]:
    folders = [stage_path(run, number, "masks") for number in range(1, rounds + 1)]
    files = {image_stem(path): path for path in list_images(labels)}
    found = Run(run)
    truth = true_planes(folders[0], files, store_of(found), found.plan)
    if not truth:
        raise DataError(f"{labels}: has no label of a scan whose masks are shown")
    kept = [read_planes(folder) for folder in folders]
    title = "pseudo-masks over the rounds"
    caption = f"Truth from {labels.name}, opened for this picture alone: training did not read it."
    draw = partial(save_strip, rounds=kept, title=title, truth=truth)
    return [png_of(draw, alt=alt, caption=caption, look="scan")]


def _picture(path: Path, alt: str, caption: str) -> list[Block]:
    return [png_file(path, alt=alt, caption=caption, look="scan")]


def _table(history: list[RoundRecord]) -> Table:
    rows = tuple(
        (
            str(record.round), number(record.mean_dice), number(record.entropy), number(record.disagreement),
            str(record.scans), str(record.kept), str(sum(record.steps.values())),
            duration(sum(record.seconds.values())),
        )
        for record in history
    )  # fmt: skip
    head = ("round", "validation Dice", "entropy", "disagreement", "scans", "masks kept", "steps", "time")
    note = "Masks kept: those of an earlier round that stayed in use because this round's had collapsed."
    return Table("Rounds", head, rows, (note,))
