"""Case and Dataset: which files belong to which scan, and what part each scan plays.

Nothing here opens an image. A case without a label file is unlabelled; there are no dummy labels anywhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Part(StrEnum):
    """What a case is used for."""

    LABELLED = "labelled"
    UNLABELLED = "unlabelled"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One scan.

    Attributes
    ----------
    id : str
        Unique within its data set; used in file names.
    images : tuple of Path
        One file (or DICOM folder) per channel, in the order of the data set's channel names. A path that stands n times
        is one 4-D file with n channels along its last axis; see `fewscan.data.image_io.channel_volumes`.
    label : Path or None
        The label map, on the same grid as the images; None for an unlabelled case.
    group : str or None
        The patient, where several scans come from one; cases of one group never fall into two parts.
    part : Part or None
        The part that the layout itself prescribes (``imagesTs`` is test, a manifest has a column), else None.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None = None
    group: str | None = None
    part: Part | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The cases of one data set, as a layout describes them.

    Attributes
    ----------
    name : str
        For titles and file names.
    root : Path
        The folder or manifest that was read.
    cases : tuple of Case
        Sorted by id.
    channel_names : tuple of str
        One name per channel ("T1w MRI", "CT", ...).
    labels : mapping of str to int
        Declared label names and their values in the files, background included; empty where nothing declares them.
    layout : str
        Which layout was recognised: ``nnunet``, ``decathlon``, ``folders``, ``manifest``, ...
    """

    name: str
    root: Path
    cases: tuple[Case, ...]
    channel_names: tuple[str, ...] = ("image",)
    labels: Mapping[str, int] = field(default_factory=dict)
    layout: str = "folders"

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __getitem__(self, case_id: str) -> Case:
        for case in self.cases:
            if case.id == case_id:
                return case
        msg = f"data set {self.name!r} has no case {case_id!r}"
        raise KeyError(msg)
