"""Make the 2-D heart set: of every ACDC patient the mid-ventricular slice at end-diastole, 128x128 about the heart.

    python benchmarks/acdc_slices.py DATA/Dataset027_ACDC DATA/Dataset127_ACDCSlices

The slice is the middle one of those that hold a label, and the crop is centred on the labels' box in it. So the true
annotation of every patient places the crop, of test and unlabelled patients too: it stands in for a heart detector
that does not err, and results are to be read so. Which 70 patients train and which 10 test is in splits/; other
patients of the data set, and scans at end-systole, are left out. patient074 and patient076 hold the same pixels and
must be on one side.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from fewscan.data.case import Dataset, Part
from fewscan.data.layouts import load_dataset
from fewscan.data.slices import write_slices

SAME_PIXELS = {"patient074_ED", "patient076_ED"}
SPLIT = Path(__file__).parent / "splits" / "acdc_slices.json"


def end_diastole(source: Path) -> Dataset:
    """Return the scans of the split, all at end-diastole; those of the published validation part are test cases."""
    dataset = load_dataset(source)
    parts = json.loads(SPLIT.read_text(encoding="utf-8"))
    train, test = set(parts["train"]), set(parts["test"])
    if len(SAME_PIXELS & test) == 1:
        msg = f"{sorted(SAME_PIXELS)} hold the same pixels and are on two sides"
        raise ValueError(msg)
    missing = sorted((train | test) - {case.id for case in dataset})
    if missing:
        msg = f"{source} lacks {', '.join(missing)}"
        raise ValueError(msg)
    cases = tuple(
        replace(case, part=Part.TEST if case.id in test else None) for case in dataset if case.id in train | test
    )
    return replace(dataset, cases=cases)


def main() -> None:
    """Write the slices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    slices = write_slices(
        end_diastole(arguments.source), arguments.target, axis=2, at=0.5, size=(128, 128), about="label"
    )
    print(f"{arguments.target}: {len(slices)} slices")


if __name__ == "__main__":
    main()
