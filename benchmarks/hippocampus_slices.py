"""Make the 2-D benchmark set: one coronal slice of every hippocampus scan, both labels joined, 64x64.

python benchmarks/hippocampus_slices.py DATA/Dataset004_Hippocampus DATA/Dataset104_HippocampusSlices
"""

import argparse
from pathlib import Path

from fewscan.data.layouts import load_dataset
from fewscan.data.slices import write_slices


def main() -> None:
    """Write the slices at 55 % of the second axis."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    slices = write_slices(
        load_dataset(arguments.source), arguments.target, axis=1, at=0.55, size=(64, 64), join_labels=True
    )
    print(f"{arguments.target}: {len(slices)} slices")


if __name__ == "__main__":
    main()
