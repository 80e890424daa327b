import json

import numpy as np

from fewscan.data.geometry import Geometry
from fewscan.data.orientation import turn_to
from fewscan.data.scan_meta import ScanMeta

ORIGINAL = Geometry((10, 12, 8), (1.0, 1.0, 2.5), (-3.0, 4.5, 100.25), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
CROPPED = ORIGINAL.cropped((2, 0, 3), (6, 12, 5))


def meta(prepared=CROPPED):
    return ScanMeta(
        case_id="Müller_01",
        original=ORIGINAL,
        crop_start=(2, 0, 3),
        cropped=CROPPED,
        prepared=prepared,
        background=(-1.3550313711166382, 0.0),
        sources=("scans/Müller 01_0000.nii.gz", "scans/Müller 01_0001.nii.gz"),
    )


def test_json_round_trip():
    item = meta(CROPPED.resampled((1.0, 1.0, 1.0)))
    assert ScanMeta.from_json(item.to_json()) == item


def test_json_is_plain():
    assert json.loads(meta().to_json())["crop_start"] == [2, 0, 3]


def test_crop_slices_cut_the_crop_box():
    # start 2, 0, 3 and size 6, 12, 5: indices 2..7, 0..11, 3..7
    assert meta().crop_slices == (slice(2, 8), slice(0, 12), slice(3, 8))
    assert np.empty(ORIGINAL.size)[meta().crop_slices].shape == CROPPED.size


def test_the_turn_is_that_between_crop_and_prepared_grid():
    assert not meta().turn.changes
    assert not meta(CROPPED.resampled((1.0, 1.0, 1.0))).turn.changes
    way = turn_to(CROPPED, "SAR")
    assert way.changes
    item = meta(way.geometry(CROPPED).resampled((1.0, 1.0, 1.0)))
    assert ScanMeta.from_json(item.to_json()).turn == way
