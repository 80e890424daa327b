"""Keep what a study found, without its models, scans and predictions: small enough for benchmarks/results/studies.

    python benchmarks/keep_study.py STUDY.yaml --out STUDY benchmarks/results/studies/NAME

`benchmarks/tables.py` makes its tables anew.
"""

import argparse
from pathlib import Path

from fewscan.experiments.compare import open_study
from fewscan.experiments.kept import keep


def main() -> None:
    """Copy the small files of a study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study's YAML file")
    parser.add_argument("--out", type=Path, required=True, help="the folder that `fewscan compare` filled")
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    done = keep(open_study(arguments.study, arguments.out), arguments.target)
    print(f"{arguments.target}: {len(done)} finished cells")


if __name__ == "__main__":
    main()
