"""The log of a run: one JSON object per line, safe against a torn last line."""

import json
from pathlib import Path
from typing import Any

from fewscan.files import write_atomically


class RunLog:
    """Appends records to ``log.jsonl``.

    Two kinds of record: ``step`` (terms with value, weight and product; those of the second step as ``adversary``, in a
    method that has one; loss; lr; seconds; samples per second; peak memory in MiB) and ``validation`` (Dice per class
    and mean).
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: dict[str, Any]) -> None:
        """Append one record."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def rewind(self, step: int) -> None:
        """Drop a torn last line and every record of ``step`` or later, which a resumed run will write again."""
        kept = [record for record in read_log(self.path) if record["step"] < step]
        write_atomically(self.path, "".join(json.dumps(record) + "\n" for record in kept).encode())


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log; a torn last line is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break  # only the last line can be torn
    return records
