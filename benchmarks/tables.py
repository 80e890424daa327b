"""Make the tables of all kept studies, the overview of them, and the table of registration anew from what is kept.

No scans and no models are needed.

python benchmarks/tables.py
"""

from pathlib import Path

from fewscan.experiments.kept import write_tables
from overview_table import overview_table
from registration_table import registration_table

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Write every table of ``benchmarks/results``."""
    (RESULTS / "registration.md").write_text(registration_table(RESULTS), encoding="utf-8")
    for folder in sorted(path for path in (RESULTS / "studies").iterdir() if path.is_dir()):
        outputs = write_tables(folder)
        print(f"{folder.name}: {len(outputs.results)} of {outputs.planned} cells")
    (RESULTS / "overview.md").write_text(overview_table(RESULTS), encoding="utf-8")


if __name__ == "__main__":
    main()
