"""ScanMeta: where a prepared array came from, so that a prediction can go back onto the scan's own grid.

Three grids follow one another: ``original`` (the file's), ``cropped`` (a box of whole voxels of the original, starting
at voxel ``crop_start``) and ``prepared`` (the cropped box, its axes swapped and flipped to the orientation of the plan,
and resampled where the plan asks for it; else the same grid).
"""

import json
from dataclasses import dataclass

from fewscan.data.geometry import Geometry
from fewscan.data.orientation import Turn, turn_between


@dataclass(frozen=True)
class ScanMeta:
    """The geometry and background of one prepared scan.

    Attributes
    ----------
    case_id : str
        The case.
    original : Geometry
        Grid of the image files.
    crop_start : tuple of int
        First voxel of the crop box on the original grid.
    cropped : Geometry
        Grid of the crop box.
    prepared : Geometry
        Grid of the prepared array.
    background : tuple of float
        Per channel, the prepared value of an empty voxel; whoever pads, pads with it.
    sources : tuple of str
        The image files, one per channel.
    """

    case_id: str
    original: Geometry
    crop_start: tuple[int, ...]
    cropped: Geometry
    prepared: Geometry
    background: tuple[float, ...]
    sources: tuple[str, ...]

    @property
    def crop_slices(self) -> tuple[slice, ...]:
        """The crop box as an index into an array on the original grid."""
        return tuple(slice(a, a + n) for a, n in zip(self.crop_start, self.cropped.size, strict=True))

    @property
    def turn(self) -> Turn:
        """The way from the scan's own order and sense of axes to those of the prepared array."""
        return turn_between(self.cropped, self.prepared)

    def to_json(self) -> str:
        """Return a JSON document."""
        data = {
            "case_id": self.case_id,
            "original": self.original.to_json(),
            "crop_start": list(self.crop_start),
            "cropped": self.cropped.to_json(),
            "prepared": self.prepared.to_json(),
            "background": list(self.background),
            "sources": list(self.sources),
        }
        return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "ScanMeta":
        """Inverse of `to_json`."""
        data = json.loads(text)
        return cls(
            case_id=str(data["case_id"]),
            original=Geometry.from_json(data["original"]),
            crop_start=tuple(int(v) for v in data["crop_start"]),
            cropped=Geometry.from_json(data["cropped"]),
            prepared=Geometry.from_json(data["prepared"]),
            background=tuple(float(v) for v in data["background"]),
            sources=tuple(str(v) for v in data["sources"]),
        )
