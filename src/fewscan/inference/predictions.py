"""What `fewscan.predict` returns: the label maps that were written."""

from collections.abc import Iterable
from pathlib import Path

from fewscan.notebook import html_result, html_table

CONFIDENCE = "_confidence"
"""What follows the id of a case in the name of its confidence map."""
SHOWN = 10


class Predictions(list[Path]):
    """A list of files, in the order of the scans, that shows itself in Jupyter.

    Parameters
    ----------
    out : Path
        The folder of the predictions.
    files : iterable of Path
        The label maps.
    record : Path
        What says how and with which model they were made.
    removed : iterable of str
        Names of scores and reports that were removed from the folder, because they were of its predictions before.
    """

    def __init__(self, out: Path, files: Iterable[Path], *, record: Path, removed: Iterable[str] = ()) -> None:
        super().__init__(files)
        self.out, self.record, self.removed = out, record, tuple(removed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, in plain lines."""
        gone = ", ".join(self.removed)
        return (f"removed {gone}: made of the predictions that were here before",) if gone else ()

    def _repr_html_(self) -> str:
        rows = [(path.name,) for path in self[:SHOWN]]
        more = [f"and {len(self) - SHOWN} more"] if len(self) > SHOWN else []
        title = f"{len(self)} {'prediction' if len(self) == 1 else 'predictions'}"
        places = {"folder": self.out, "model, settings and times": self.record}
        return html_result(title, html_table(("label map",), rows), notes=[*more, *self.notes], places=places)
