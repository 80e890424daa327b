"""How long ``fewscan --help`` and every ``fewscan COMMAND --help`` take, as whole processes.

python benchmarks/start_up.py --out benchmarks/results/start_up.json
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from fewscan.cli.app import app
from fewscan.training.environment import describe_environment


def median_seconds(arguments: list[str], runs: int) -> float:
    """Return the median wall time of ``fewscan ARGUMENTS``, after one run that fills the file cache."""
    script = Path(sys.executable).with_name("fewscan")
    seconds = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run([str(script), *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds[1:]), 3)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    calls = [["--help"], *([name, "--help"] for name in names)]
    result = {
        "environment": describe_environment(torch.device("cpu")),
        "median_seconds": {" ".join(call): median_seconds(call, arguments.runs) for call in calls},
    }
    print(json.dumps(result, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
