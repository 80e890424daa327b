"""Where the scans and true labels of predictions are, as far as the user or the records tell."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fewscan.data.case import Case
from fewscan.data.image_files import image_stem, is_image_file
from fewscan.data.layouts import list_scans, load_dataset
from fewscan.errors import FewscanError
from fewscan.inference.predictions import CONFIDENCE
from fewscan.metrics.pairing import pair_files
from fewscan.registration.pairs import scan_channels


def label_maps(folder: Path) -> dict[str, Path]:
    """Return the predicted label maps of a folder by case; confidence maps are passed over."""
    files = _images(folder)
    return {stem: path for stem, path in files.items() if not _is_confidence(stem, files)}


def confidence_maps(folder: Path) -> dict[str, Path]:
    """Return the confidence maps of a folder by case."""
    files = _images(folder)
    return {stem.removesuffix(CONFIDENCE): path for stem, path in files.items() if _is_confidence(stem, files)}


def given_scans(place: Path) -> dict[str, tuple[Path, ...]]:
    """Return the image files of each scan at a place that the user gave.

    Raises
    ------
    DataError
        If there are none.
    """
    return _of_cases(list_scans(place, channels=scan_channels(place)))


def recorded_scans(places: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """Return the image files of each scan in the data sets that records name, as far as they are still there."""
    found: dict[str, tuple[Path, ...]] = {}
    for place in places:
        try:
            found = _of_cases(load_dataset(place)) | found
        except (FewscanError, OSError):
            continue  # it has moved, or was a folder of labels or a prepared store
    return {case: paths for case, paths in found.items() if all(path.exists() for path in paths)}


def place_of_scans(scans: Mapping[str, tuple[Path, ...]]) -> Path | None:
    """Return the one file or folder that gives these scans under their ids and no others; None where there is none."""
    files = {path for images in scans.values() for path in images}
    for places in (files, {path.parent for path in files}):
        if len(places) != 1:
            continue
        [place] = places
        try:
            found = _of_cases(list_scans(place, channels=max(map(len, scans.values()))))
        except (FewscanError, OSError):
            continue
        if found == dict(scans):
            return place
    return None


def given_labels(predictions: Path, place: Path) -> dict[str, Path]:
    """Return the true label of each predicted case at a place that the user gave, see `pair_files`.

    Raises
    ------
    DataError
        If no prediction has a label there.
    """
    return {pair.case_id: pair.label for pair in pair_files(predictions, place, allow_missing=True).pairs}


def recorded_labels(predictions: Path, place: Path) -> dict[str, Path]:
    """Return the true label of each predicted case at the place that an evaluation names; nothing if it has moved."""
    try:
        return {case: path for case, path in given_labels(predictions, place).items() if path.exists()}
    except (FewscanError, OSError):
        return {}


def _of_cases(cases: Iterable[Case]) -> dict[str, tuple[Path, ...]]:
    return {case.id: case.images for case in cases}


def _images(folder: Path) -> dict[str, Path]:
    files = sorted(path for path in folder.iterdir() if is_image_file(path) and path.is_file())
    return {image_stem(path): path for path in files}


def _is_confidence(stem: str, files: dict[str, Path]) -> bool:
    """Tell whether a file is the confidence map of another one, rather than a case of such a name."""
    return stem.endswith(CONFIDENCE) and stem.removesuffix(CONFIDENCE) in files
