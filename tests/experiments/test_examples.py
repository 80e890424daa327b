"""The example studies: they read, their methods exist, and they ask for what they say."""

from pathlib import Path

import pytest

from fewscan.data.layouts import load_dataset
from fewscan.experiments.cells import list_cells
from fewscan.experiments.preparation import class_names, prepare_study
from fewscan.experiments.study import Study

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def brats(tmp_path):
    """335 case folders without content."""
    for number in range(335):
        folder = tmp_path / "brats" / ("HGG" if number < 259 else "LGG") / f"case{number}"
        folder.mkdir(parents=True)
        for kind in ("flair", "seg"):
            (folder / f"case{number}_{kind}.nii.gz").touch()
    return tmp_path / "brats"


def test_hippocampus(make_dataset, tmp_path):
    study = Study.read(EXAMPLES / "study_hippocampus.yaml")
    data = make_dataset(tmp_path / "hippocampus", cases=180)
    cells = list_cells(study, load_dataset(data))
    assert len(cells) == 39
    assert {len(cell.split.labelled) for cell in cells} == {2, 4, 9, 18, 180}
    assert {len(cell.split.labelled) + len(cell.split.unlabelled) for cell in cells} == {180}
    budgets = {(cell.settings.iterations, cell.settings.batch.labelled) for cell in cells}
    assert len(budgets) == 1


def test_brats_has_the_numbers_of_paper_2(brats):
    study = Study.read(EXAMPLES / "study_brats2019.yaml")
    dataset = load_dataset(brats)
    assert dataset.channel_names == ("flair",)
    cells = list_cells(study, dataset)
    assert len(cells) == 9
    for cell in cells:
        assert len(cell.split.labelled) == 25
        assert len(cell.split.unlabelled) == 225
        assert len(cell.split.test) == 85
        assert cell.settings.optimiser.name == "sgd"
        assert cell.settings.network.options["filters"] == [16, 32, 64, 128, 256]


def test_brats_planning_joins_the_labels(make_study, tmp_path):
    import numpy as np

    from fewscan.data.geometry import Geometry
    from fewscan.data.image_io import write_image

    size = (10, 10, 10)
    for number in range(3):
        folder = tmp_path / "brats" / f"case{number}"
        label = np.resize(np.array([0, 1, 2, 4], np.uint8), size)
        write_image(folder / f"case{number}_flair.nii.gz", label.astype(np.float32) + 1, Geometry.identity(size))
        write_image(folder / f"case{number}_seg.nii.gz", label, Geometry.identity(size))
    example = Study.read(EXAMPLES / "study_brats2019.yaml")
    study = example.model_copy(update={"data": str(tmp_path / "brats"), "labelled": (1,), "test": 1, "seeds": (0,)})
    dataset = load_dataset(tmp_path / "brats")
    prepare_study(study, dataset, list_cells(study, dataset), tmp_path / "study")
    assert class_names(tmp_path / "study") == {1: "whole tumour"}
