"""Keep what a study found, without its models, scans and predictions: small enough for benchmarks/results/studies.

python benchmarks/keep_study.py STUDY benchmarks/results/studies/NAME

The copy is a study folder again: `fewscan compare STUDY.yaml --out COPY --tables-only` makes its tables anew, and after
copying it elsewhere the study can be continued there, where its finished cells count.
"""

import argparse
import shutil
from pathlib import Path

KEPT = (".csv", ".json", ".jsonl", ".yaml", ".md", ".tex", ".png")
LEFT_OUT = ("checkpoints", "predictions", "store", "prepared", "__pycache__")


def main() -> None:
    """Copy the small files of a study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()

    copied = 0
    for path in sorted(arguments.study.rglob("*")):
        relative = path.relative_to(arguments.study)
        if path.is_file() and path.suffix in KEPT and not set(relative.parts) & set(LEFT_OUT):
            target = arguments.target / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            copied += 1
    print(f"{arguments.target}: {copied} files")


if __name__ == "__main__":
    main()
