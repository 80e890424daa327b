import shutil

import numpy as np
import pytest
import yaml
from matplotlib.image import imsave

from fewscan.experiments.compare import open_study
from fewscan.experiments.kept import keep
from fewscan.experiments.state import State
from fewscan.experiments.tables import Table
from fewscan.files import write_json
from fewscan.report.document.content import Code, Facts, Fold, Gallery, Note, Picture, Text
from fewscan.report.document.embed import png_file
from fewscan.report.found.study_cells import find_study
from fewscan.report.page import compose, report_html


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_study):
    return make_study(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def report(folder):
    before = snapshot(folder)
    found = compose(folder)
    assert snapshot(folder) == before  # a report changes nothing
    return found


def test_a_whole_study(report, blocks_in):
    assert (report.title, report.state, report.complete) == ("balls", "finished: all 4 cells", True)
    tables = blocks_in(report, "tables", Table)
    assert [table.title.split(" (")[0] for table in tables] == [
        "Overlap and cost",
        "Against supervised with the same labels",
    ]
    # cases score 0.6 + 0.01 k, mean over k = 0..5: 0.625; seeds 0.625 and 0.645
    assert report.figures["rows"][0]["dice"] == pytest.approx(0.635)
    assert report.tiles[1].value == "73.5"
    assert report.tiles[1].note == "Teacher; supervised 63.5"
    [curve] = blocks_in(report, "curve", Picture)
    assert "supervised with 1 labelled: 63.5 %" in curve.alt


def test_its_cases(report, blocks_in):
    [gallery] = blocks_in(report, "spread", Gallery)
    assert len(gallery.pictures) == 2
    assert "6 better, 0 worse, 0 equal" in gallery.pictures[1].alt
    [planes] = blocks_in(report, "cases", Picture)
    assert "1 labelled" in planes.alt
    [listed] = blocks_in(report, "review", Table)
    # t0: 0.61 and 0.71 over both seeds, 0.66 on the mean; their standard deviation is 0.1 / sqrt 2
    assert listed.rows[0] == ("t0", "0.660", "0.071", "0.610", "0.710")


def test_its_time_settings_and_command(report, blocks_in):
    [time] = blocks_in(report, "time", Table)
    assert time.rows[0] == ("supervised", "1", "1 min 00 s", "99 MiB", "0.25 s")
    assert time.notes == ("All finished trainings in sum: 4 min 00 s.",)
    assert any("name: balls" in code.text for code in blocks_in(report, "settings", Code))
    versions = dict(item for facts in blocks_in(report, "reproduce", Facts) for item in facts.items)
    assert versions["fewscan"] == "9.8.7"
    assert any(fold.summary.startswith("Every loss term: Teacher") for fold in blocks_in(report, "losses", Fold))


def test_failed_and_missing_cells_are_said(tmp_path, make_study, blocks_in):
    folder = make_study(tmp_path, skip=[("mean_teacher", 0), ("mean_teacher", 1)])
    cells = find_study(folder).cells
    failed = next(cell.name for cell in cells if cell.row.method == "mean_teacher" and cell.seed == 0)
    write_json(folder / "cells" / failed / "failed.json", {"error": "out of memory", "details": ""})
    report = compose(folder)
    assert report.state == "NOT FINISHED: 2 of 4 cells, 1 failed. Rows with missing seeds are provisional."
    notes = " ".join(note.text for note in blocks_in(report, "standing", Note))
    assert f"{failed} FAILED: out of memory" in notes
    [standing] = blocks_in(report, "standing", Table)
    assert ("Teacher", "1", "FAILED", "waiting") in standing.rows
    assert report.figures["failed"] == {failed: "out of memory"}


def test_a_study_that_was_only_begun_is_reported_on(tmp_path, make_study, blocks_in):
    folder = make_study(tmp_path, skip=[(method, seed) for method in ("supervised", "mean_teacher") for seed in (0, 1)])
    report = compose(folder)
    assert report.state.startswith("NOT FINISHED: 0 of 4 cells")
    assert blocks_in(report, "review", Note)[0].text == "No cell is finished yet."


def test_without_the_data_its_tables_are_there_all_the_same(tmp_path, make_study, blocks_in):
    folder = make_study(tmp_path)
    whole = find_study(folder)
    shutil.rmtree(tmp_path / "Dataset001_Balls")
    found = find_study(folder)
    assert found.dataset is None
    assert {cell.name for cell in found.cells} == {cell.name for cell in whole.cells}
    assert set(found.states.values()) == {State.FINISHED}
    report = compose(folder)
    assert "4 finished cells; the data are not at hand" in report.state
    assert report.figures["rows"][0]["dice"] == pytest.approx(0.635)
    assert [type(block) for block in blocks_in(report, "cases")] == [Note]
    assert "no case can be shown" in blocks_in(report, "cases", Note)[0].text
    # the losses need no scan
    [losses] = blocks_in(report, "losses", Picture)
    assert losses.alt.startswith("Training loss, total and weighted terms, of supervised, Teacher")


def test_pictures_that_cannot_be_drawn_are_said(tmp_path, make_study, blocks_in):
    report = compose(make_study(tmp_path, pictures=False))
    assert "could not be drawn" in blocks_in(report, "cases", Note)[-1].text


def test_a_hostile_name_is_text(tmp_path, make_study, hostile):
    folder = make_study(tmp_path, pictures=False)
    study = folder / "study.yaml"
    changed = yaml.safe_load(study.read_text()) | {"name": hostile}
    study.write_text(yaml.safe_dump(changed))
    page = report_html(folder)
    assert "<script" not in page
    assert "Tables and tests" in page


def test_what_was_kept_of_a_study_gives_its_tables(tmp_path, make_study, blocks_in, of_kind):
    folder = make_study(tmp_path, skip=[("mean_teacher", 1)])
    keep(open_study(folder / "study.yaml", folder), tmp_path / "kept")
    shutil.rmtree(tmp_path / "Dataset001_Balls")
    report, before = compose(tmp_path / "kept"), snapshot(tmp_path / "kept")
    assert report.state.startswith("NOT FINISHED: 3 of 4 cells")
    assert report.figures["rows"][0]["dice"] == pytest.approx(0.635)
    assert snapshot(tmp_path / "kept") == before
    # settings, scans and machine are kept, logs are not; nothing is said of what no one stopped
    [losses] = [block.text for block in blocks_in(report, "losses", Note)]
    assert losses == "The logs of the trainings are not in this folder, so that their curves cannot be shown."
    assert not blocks_in(report, "losses", Picture)
    [full] = [fold for fold in blocks_in(report, "setup", Fold) if fold.summary.startswith("One training in full")]
    assert [dict(facts.items)["method"] for facts in of_kind(Facts, full.blocks)] == [
        "Supervised training on the labelled scans alone (supervised)"
    ]
    scans = {row[0]: row[1] for table in of_kind(Table, full.blocks) for row in table.rows}
    assert scans == {"labelled": "1", "test": "6"}
    versions = dict(item for facts in blocks_in(report, "reproduce", Facts) for item in facts.items)
    assert versions["fewscan"] == "9.8.7"
    assert (
        dict(item for facts in blocks_in(report, "time", Facts) for item in facts.items)["processor"] == "a processor"
    )
    assert "cells.json holds every cell's settings" in " ".join(
        block.text for block in blocks_in(report, "reproduce", Text)
    )


@pytest.mark.parametrize("data", ["at hand", "gone"])
def test_the_chart_of_losses_that_was_kept_is_shown(tmp_path, make_study, blocks_in, data):
    folder = make_study(tmp_path, pictures=False)
    imsave(folder / "training_loss.png", np.zeros((4, 6, 3)))
    keep(open_study(folder / "study.yaml", folder), tmp_path / "kept")
    if data == "gone":
        shutil.rmtree(tmp_path / "Dataset001_Balls")
    report = compose(tmp_path / "kept")
    [chart] = blocks_in(report, "losses", Picture)
    assert chart.source == png_file(folder / "training_loss.png", alt="").source
    assert chart.caption == "Drawn while the logs of the trainings were at hand."
    [note] = blocks_in(report, "losses", Note)
    assert note.text.endswith("so that the curves of single trainings cannot be shown.")


def test_a_kept_chart_that_is_no_picture_is_said(tmp_path, make_study, blocks_in):
    folder = make_study(tmp_path, pictures=False)
    (folder / "training_loss.png").write_bytes(b"torn")
    keep(open_study(folder / "study.yaml", folder), tmp_path / "kept")
    first, _ = blocks_in(compose(tmp_path / "kept"), "losses", Note)
    assert first.text == "training_loss.png could not be shown: ValueError: training_loss.png is not a PNG picture"
