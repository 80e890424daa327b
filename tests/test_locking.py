import json
import os
import socket
import subprocess
import sys

import psutil
import pytest

from fewscan.errors import UsageError
from fewscan.locking import LOCK_NAME, folder_lock


def test_holds_and_releases(tmp_path):
    folder = tmp_path / "new" / "store"
    with folder_lock(folder, purpose="testing") as path:
        holder = json.loads(path.read_text(encoding="utf-8"))
        assert (holder["pid"], holder["host"]) == (os.getpid(), socket.gethostname())
    assert list(folder.iterdir()) == []


def test_released_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="inside"), folder_lock(tmp_path, purpose="testing"):
        raise ValueError("inside")
    assert list(tmp_path.iterdir()) == []


def test_refused_while_held(tmp_path):
    with (
        folder_lock(tmp_path, purpose="training"),
        pytest.raises(UsageError, match=rf"in use by process {os.getpid()} .*training"),
        folder_lock(tmp_path, purpose="testing"),
    ):
        pass


def write_lock(folder, **changes):
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": psutil.Process().create_time(), "token": "x"}
    (folder / LOCK_NAME).write_text(json.dumps(holder | changes))


def dead_pid():
    return subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("case", ["dead process", "process id used again", "damaged", "not an object"])
def test_stale_lock_is_taken_over(tmp_path, case):
    if case == "dead process":
        write_lock(tmp_path, pid=int(dead_pid()))
    elif case == "process id used again":
        write_lock(tmp_path, started=psutil.Process().create_time() - 1000)
    else:
        (tmp_path / LOCK_NAME).write_text("{" if case == "damaged" else "[]")
    with folder_lock(tmp_path, purpose="testing") as path:
        assert json.loads(path.read_text(encoding="utf-8"))["purpose"] == "testing"
    assert list(tmp_path.iterdir()) == []


def test_lock_of_another_host_is_respected(tmp_path):
    write_lock(tmp_path, host="elsewhere", pid=1)
    with pytest.raises(UsageError, match="on elsewhere"), folder_lock(tmp_path, purpose="testing"):
        pass
    assert (tmp_path / LOCK_NAME).exists()


def test_without_hard_links(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with folder_lock(tmp_path, purpose="testing") as path:
        assert json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid()
        with pytest.raises(UsageError, match="in use"), folder_lock(tmp_path, purpose="testing"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_taken_from_us_is_left_alone(tmp_path):
    with folder_lock(tmp_path, purpose="testing"):
        write_lock(tmp_path, host="elsewhere")
    assert json.loads((tmp_path / LOCK_NAME).read_text(encoding="utf-8"))["host"] == "elsewhere"
