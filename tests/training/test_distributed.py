"""Data-parallel processes over gloo on the CPU, started as a user would with torchrun.

Three of them, and scans that are not prepared yet: the first prepares them, and the others must not meet at its lock.
"""

import json
import socket
import subprocess
import sys

import pytest
import torch

from fewscan.training.checkpoint import newest_checkpoint
from fewscan.training.log import read_log
from fewscan.training.run import Run


def _free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def _torchrun(processes, *arguments):
    command = [
        sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--master_addr=127.0.0.1",
        f"--master_port={_free_port()}", "-m", "fewscan", "train", *arguments, "--device", "cpu",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_processes_train_one_model(dataset, fast, tmp_path):
    out = tmp_path / "run"
    settings = [text for key, value in fast.items() for text in ("--set", f"{key}={json.dumps(value)}")]
    finished = _torchrun(3, str(dataset), "--out", str(out), "--validation", "1", *settings)
    assert finished.returncode == 0, finished.stderr[-3000:]
    run = Run(out)
    assert run.finished
    steps = [record for record in read_log(out / "log.jsonl") if record["kind"] == "step"]
    assert [record["step"] for record in steps] == list(range(8))
    assert steps[-1]["loss"] < steps[0]["loss"]
    weights = newest_checkpoint(out / "checkpoints").parts["method"]
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.slow
def test_processes_train_one_adversary(store, fast, tmp_path):
    out = tmp_path / "run"
    fast = fast | {"iterations": 3, "hyper": {"discriminator_width": 4}}
    settings = [text for key, value in fast.items() for text in ("--set", f"{key}={json.dumps(value)}")]
    finished = _torchrun(2, str(store), "--out", str(out), "--labelled", "2", "--method", "sassnet", *settings)
    assert finished.returncode == 0, finished.stderr[-3000:]
    steps = [record for record in read_log(out / "log.jsonl") if record["kind"] == "step"]
    assert all("discriminator" in record["adversary"] for record in steps)


@pytest.mark.slow
def test_a_mistake_ends_all_processes_with_a_message(store, tmp_path):
    finished = _torchrun(2, str(store), "--out", str(tmp_path / "run"), "--labelled", "99")
    assert finished.returncode != 0
    assert "99 cases asked for" in finished.stderr
    assert "fewscan/cli/app.py" not in finished.stderr  # torchrun's own traceback is there, none of ours
