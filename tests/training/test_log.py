from fewscan.training.log import RunLog, read_log


def _records(log, steps):
    for step in steps:
        log.write({"kind": "step", "step": step})


def test_round_trip(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    _records(log, range(3))
    assert [record["step"] for record in read_log(log.path)] == [0, 1, 2]


def test_torn_last_line_is_left_out_and_repaired(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    _records(log, range(3))
    with log.path.open("a") as file:
        file.write('{"kind": "st')
    assert len(read_log(log.path)) == 3
    log.rewind(10)
    _records(log, [3])
    assert [record["step"] for record in read_log(log.path)] == [0, 1, 2, 3]


def test_rewind_drops_what_a_resumed_run_writes_again(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    _records(log, [0, 10, 20, 30])
    log.rewind(20)
    assert [record["step"] for record in read_log(log.path)] == [0, 10]


def test_missing_log_is_empty(tmp_path):
    assert read_log(tmp_path / "log.jsonl") == []
