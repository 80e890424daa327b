"""Which files are images: names, suffixes and the first look at a file, without opening it as an image."""

import glob
import os
from pathlib import Path

from fewscan.errors import DataError

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", ".tif", ".tiff")
"""Suffixes of the files that `fewscan.data.image_io.read_image` opens, lower case; any letter case is understood."""


DETACHED_SUFFIXES = (".nhdr", ".mhd")
"""Headers whose voxels lie in a second file, by custom of the same stem: scan.mhd and scan.raw."""


def image_suffix(path: Path) -> str:
    """Return the image suffix of ``path`` in lower case (``.nii.gz`` in one piece), or "" when it has none."""
    name = path.name.lower()
    return next((suffix for suffix in IMAGE_SUFFIXES if name.endswith(suffix)), "")


def image_stem(path: Path) -> str:
    """Return the file name without its image suffix; the name itself for a DICOM folder."""
    suffix = image_suffix(path)
    return path.name[: -len(suffix)] if suffix else path.name


def is_image_file(path: Path) -> bool:
    """Tell by its name alone whether ``path`` is an image file; hidden files (``._scan.nii.gz``) are not."""
    return bool(image_suffix(path)) and not path.name.startswith(".")


def files_of(path: Path) -> list[Path]:
    """Return all files of an image, sorted: the slices of a DICOM folder, a header with its voxels, or just itself."""
    if path.is_dir():
        return sorted(item for item in path.iterdir() if item.is_file())
    if image_suffix(path) not in DETACHED_SUFFIXES:
        return [path]
    beside = path.parent.glob(f"{glob.escape(path.stem)}.*")
    return sorted({path, *(item for item in beside if item.is_file())})


def check_file(path: Path) -> str:
    """Return the image suffix of a file that exists, can be opened and is not empty; raise `DataError` otherwise."""
    suffix = image_suffix(path)
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path}: the link points to {os.readlink(path)}, which is not there", mend="restore that file")
    if not path.exists():
        raise DataError(f"{path}: no such file", mend="check the path")
    if not suffix:
        raise DataError(f"{path}: not an image format that fewscan reads", mend=f"use {', '.join(IMAGE_SUFFIXES)}")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}", mend="check the rights of the file") from None
    if empty:
        raise DataError(f"{path}: the file is empty (0 bytes)", mend="copy or export it again")
    return suffix
