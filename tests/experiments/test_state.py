from fewscan.experiments.state import CELL_FILE, State, cell_folder, failure_text, left_over, note_failure, state_of
from fewscan.files import write_json


def test_states_in_order(cells, finish, tmp_path):
    folder = cell_folder(tmp_path, cells[0])
    assert state_of(folder) is State.WAITING
    folder.mkdir(parents=True)
    write_json(folder / CELL_FILE, {"state": "started"})
    assert state_of(folder) is State.STARTED
    note_failure(folder, "no memory", details="traceback")
    assert state_of(folder) is State.FAILED
    assert failure_text(folder) == "no memory"
    finish(tmp_path, cells[0], 0.5)
    assert state_of(folder) is State.FINISHED


def test_cells_of_an_earlier_study_are_named(cells, finish, tmp_path):
    assert left_over(tmp_path, cells) == []
    for cell in cells[:2]:
        finish(tmp_path, cell, 0.5)
    assert left_over(tmp_path, cells[1:]) == [cells[0].name]
