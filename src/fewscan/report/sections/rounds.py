"""Pseudo-masks over the rounds of a joint training."""

from functools import partial
from pathlib import Path

from fewscan.experiments.tables import Table
from fewscan.recipes.joint_record import ROUNDS, RoundRecord
from fewscan.report.charts.rounds import round_charts
from fewscan.report.document.attempt import attempt
from fewscan.report.document.content import Block, Fold, Gallery, Text
from fewscan.report.document.embed import png_file
from fewscan.report.document.words import duration, number
from fewscan.report.found.kinds import read_json_list

STRIP = "strip.png"
ABOUT = (
    "Both networks, segmentation and registration, make a soft mask of every unlabelled scan, and learn from the masks "
    "of the round before. Probability of being foreground is shown from black to white."
)


def round_blocks(run: Path) -> list[Block]:
    """Return table, charts and pictures of the rounds; nothing for a run without any."""
    if not (run / ROUNDS).is_file():
        return []
    return attempt("The rounds", lambda: _blocks(run))


def _blocks(run: Path) -> list[Block]:
    history = [RoundRecord.parse(record, source=ROUNDS) for record in read_json_list(run / ROUNDS)]
    blocks: list[Block] = [Text(ABOUT), _table(history), Gallery(tuple(round_charts(history)))]
    places = run / "rounds"
    if (places / STRIP).is_file():
        alt = (
            f"Pseudo-masks of a few unlabelled scans over {len(history) - 1} rounds: for each scan a row for the "
            "segmentation network, the registration network and the mask that was used, and a column per round."
        )
        caption = "No true label of these scans was opened."
        blocks += attempt(STRIP, partial(_picture, places / STRIP, alt, caption))
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
