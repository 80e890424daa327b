"""The table of registration results: fewscan and classical packages on the same pairs, from the kept JSON files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = {
    "Hippocampus, 3-D": ("Dataset004_Hippocampus", "hippocampus"),
    "Hippocampus slices, 2-D": ("Dataset104_HippocampusSlices", "hippocampus_slices"),
    "ACDC mid-ventricular slices, 2-D": ("Dataset127_ACDCSlices", "acdc_slices"),
}
OURS = {
    "0": "fewscan, no labels",
    "4": "fewscan, 4 labels",
    "joint_4": "fewscan, 4 labels, trained jointly (`joint`)",
    "all": "fewscan, all labels",
    "affine": "fewscan `--classical affine`",
    "demons": "fewscan `--classical demons`",
}
HEADING = (
    "| | Dice | SD of pairs | HD95 mm | folds % | SD log Jacobian | seconds a pair |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


def registration_table(results: Path) -> str:
    """Return one Markdown table per data set, from the files that ``registration*.py`` wrote into ``results``."""
    anchors = json.loads((results / "registration_anchors.json").read_text(encoding="utf-8"))["sets"]
    lines: list[str] = []
    for title, (data, name) in DATA.items():
        lines += [f"### {title}", "", *HEADING]
        lines += _anchor_rows(anchors.get(data, {}))
        lines += _own_rows(results, name)
        lines.append("")
    return "\n".join(lines)


def _anchor_rows(anchors: dict[str, Any]) -> Iterator[str]:
    for name, found in anchors.items():
        mean = found["mean"]
        label = "not registered, as filed" if name == "unregistered" else name
        folds = f"{100 * mean['fold_fraction']:.3f}" if "fold_fraction" in mean else ""
        seconds = f"{mean['seconds_median']:.2f}" if "seconds_median" in mean else ""
        yield f"| {label} | {mean['dice']:.3f} | {mean['dice_sd_of_pairs']:.3f} | | {folds} | | {seconds} |"


def _own_rows(results: Path, name: str) -> Iterator[str]:
    found = {key: results / f"registration_{name}_{key}-seed0.json" for key in OURS}
    read = {key: json.loads(path.read_text(encoding="utf-8")) for key, path in found.items() if path.is_file()}
    if read:
        before = next(iter(read.values()))["mean"]
        yield f"| centred | {before['dice_before']:.3f} | | {before['hd95_mm_before']:.2f} | | | |"
    for key, record in read.items():
        mean = record["mean"]
        seconds = [pair["seconds"]["register"] + pair["seconds"]["warp"] for pair in record["pairs"]]
        yield (
            f"| {OURS[key]} | {mean['dice_after']:.3f} | {mean['dice_after_sd_of_pairs']:.3f} "
            f"| {mean['hd95_mm_after']:.2f} | {100 * mean['fold_fraction']:.3f} | {mean['sd_log_jacobian']:.2f} "
            f"| {sorted(seconds)[len(seconds) // 2]:.2f} |"
        )
