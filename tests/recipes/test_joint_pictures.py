"""What is drawn of the rounds, and the truth beside it, which the report alone may open."""

import numpy as np
import pytest

from fewscan.data.image_io import read_image
from fewscan.recipes.joint_pictures import read_planes, true_planes
from fewscan.report.page import report_html
from fewscan.training.run import store_of


@pytest.fixture
def labels(flat_store):
    return flat_store.parent / "data" / "labelsTr"


def test_the_truth_lies_in_the_planes_of_the_masks(finished, labels):
    masks = finished.folder / "stages" / "1-masks"
    planes = read_planes(masks)
    files = {case_id: labels / f"{case_id}.nii.gz" for case_id in planes}
    found = true_planes(masks, files, store_of(finished), finished.plan)
    assert found.keys() == planes.keys()
    for case_id, truth in found.items():
        assert truth.shape == planes[case_id].soft.shape
        # rows run along the second axis of the file
        assert np.array_equal(truth, (read_image(files[case_id]).array > 0).T)
        # the structures are bright
        assert planes[case_id].image[truth > 0].mean() > planes[case_id].image[truth == 0].mean() + 1
    assert list(true_planes(masks, dict([next(iter(files.items()))]), store_of(finished), finished.plan)) == [
        next(iter(files))
    ]


def test_a_report_with_labels_shows_the_truth(finished, labels, tmp_path):
    page = report_html(finished.folder, labels=labels)
    assert "The last column is the truth." in page
    assert "Truth from labelsTr, opened for this picture alone" in page
    without = report_html(finished.folder)
    assert "No true label of these scans was opened." in without
    assert "The last column is the truth." not in without
    empty = report_html(finished.folder, labels=tmp_path)
    assert "has no label of a scan whose masks are shown" in empty
