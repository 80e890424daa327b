"""Lay out a download as the nnU-Net raw data set on which the results were measured, training and test scans apart.

    python benchmarks/lay_out.py Task04_Hippocampus benchmarks/splits/hippocampus.json DATA/Dataset004_Hippocampus
    python benchmarks/lay_out.py LEFT_ATRIUM benchmarks/splits/left_atrium.json DATA/Dataset018_LeftAtrium
    python benchmarks/lay_out.py ACDC/training benchmarks/splits/acdc_slices.json DATA/Dataset027_ACDC

Scans are looked for, by the ids of the split, in two layouts:

- folders imagesTr and labelsTr with ID.nii.gz (or ID_0000.nii.gz), as the tasks of the Medical Segmentation Decathlon
  come; test scans of the split are training scans there, for the download's own test scans have no labels
- folders of patients with Info.cfg, patient003_frame01.nii.gz and patient003_frame01_gt.nii.gz, as the ACDC challenge
  comes; the split names the frame at end-diastole patient003_ED

The left atrium is the crop that the authors of UA-MT share as HDF5 files, one for each scan with the arrays image and
label. Write these as imagesTr/ID.nii.gz and labelsTr/ID.nii.gz with 0.625 mm along every axis first. The ACDC scans of
the results had lost their in-plane spacing and had 8 bits, so distances differ on the challenge's own files.

Nothing is converted: files are hard links where the file system has them, and copies elsewhere.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

# by the name of the split file: what nnU-Net's dataset.json says of channels and labels
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "hippocampus": {
        "channel_names": {"0": "T1w MRI"},
        "labels": {"background": 0, "anterior hippocampus": 1, "posterior hippocampus": 2},
    },
    "left_atrium": {"channel_names": {"0": "LGE-MRI"}, "labels": {"background": 0, "left atrium": 1}},
    "acdc_slices": {
        "channel_names": {"0": "cineMRI"},
        "labels": {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3},
    },
}
SUFFIXES = {"train": "Tr", "test": "Ts"}
PHASES = ("ED", "ES")


def candidates(download: Path, case_id: str) -> list[tuple[Path, Path]]:
    """Return where the scan of a case and its label may lie, in pairs."""
    labels = download / "labelsTr" / f"{case_id}.nii.gz"
    pairs = [(download / "imagesTr" / f"{case_id}{ending}.nii.gz", labels) for ending in ("_0000", "")]
    patient, _, phase = case_id.rpartition("_")
    info = download / patient / "Info.cfg"
    if phase in PHASES and info.is_file():
        lines = [line.split(":", 1) for line in info.read_text(encoding="utf-8").splitlines() if ":" in line]
        frame = int({key.strip(): value for key, value in lines}[phase])
        stem = f"{patient}_frame{frame:02d}"
        pairs.append((download / patient / f"{stem}.nii.gz", download / patient / f"{stem}_gt.nii.gz"))
    return pairs


def find_cases(download: Path, parts: dict[str, list[str]]) -> dict[str, tuple[Path, Path]]:
    """Return scan and label of every case of a split, or end the program with a list of all cases that lack one."""
    found: dict[str, tuple[Path, Path]] = {}
    missing = []
    for case_id in (case_id for part in SUFFIXES for case_id in parts[part]):
        # the best comes last: one of which both files are there, or else one of them
        pair = sorted(candidates(download, case_id), key=lambda pair: sum(path.is_file() for path in pair))[-1]
        absent = [f"no {path}" for path in pair if not path.is_file()]
        if absent:
            missing.append(f"{case_id}: {', '.join(absent)}")
        found[case_id] = pair
    if missing:
        sys.exit(
            "\n".join([*missing, f"{len(missing)} of {len(found)} cases are missing, nothing was written; see --help"])
        )
    return found


def place(source: Path, target: Path) -> None:
    """Make a hard link to a file, or a copy of it where that is impossible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def lay_out(download: Path, split: Path, data: Path) -> None:
    """Write the data set."""
    if split.stem not in DESCRIPTIONS:
        sys.exit(f"{split}: expected one of {', '.join(f'{name}.json' for name in DESCRIPTIONS)} of benchmarks/splits")
    if not download.is_dir():
        sys.exit(f"{download} is not a folder")
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        sys.exit(f"{data} is not an empty folder: give a new one")
    parts = json.loads(split.read_text(encoding="utf-8"))
    found = find_cases(download, parts)
    for part, suffix in SUFFIXES.items():
        for case_id in parts[part]:
            scan, label = found[case_id]
            place(scan, data / f"images{suffix}" / f"{case_id}_0000.nii.gz")
            place(label, data / f"labels{suffix}" / f"{case_id}.nii.gz")
    description = {**DESCRIPTIONS[split.stem], "numTraining": len(parts["train"]), "file_ending": ".nii.gz"}
    (data / "dataset.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    print(f"{data}: {len(parts['train'])} training scans, {len(parts['test'])} test scans")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("download", type=Path, help="folder of the unpacked download")
    parser.add_argument("split", type=Path, help="file of benchmarks/splits")
    parser.add_argument("data", type=Path, help="folder to make; an empty one may be there")
    arguments = parser.parse_args()
    lay_out(arguments.download, arguments.split, arguments.data)


if __name__ == "__main__":
    main()
