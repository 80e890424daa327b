"""Make the tables of all kept studies anew from their cells; no scans and no models are needed.

python benchmarks/tables.py
"""

from pathlib import Path

from fewscan.experiments.kept import write_tables

STUDIES = Path(__file__).parent / "results" / "studies"


def main() -> None:
    """Write every table of ``benchmarks/results/studies``."""
    for folder in sorted(path for path in STUDIES.iterdir() if path.is_dir()):
        outputs = write_tables(folder)
        print(f"{folder.name}: {len(outputs.results)} of {outputs.planned} cells")


if __name__ == "__main__":
    main()
