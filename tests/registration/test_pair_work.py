from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.layouts import list_scans
from fewscan.registration import pair_work
from fewscan.registration.classical import classical_plan
from fewscan.registration.pair_work import Shelf


def test_the_shelf_gives_up_what_was_not_used_for_longest(
    tmp_path: Path, write_body: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write_body(name, Geometry.identity((20, 18)))
    a, b, c = list_scans(tmp_path / "scans")
    reads: list[str] = []
    true_load = pair_work.load_scan

    def counted(case: Any, *args: Any, **options: Any) -> Any:
        reads.append(case.id)
        return true_load(case, *args, **options)

    monkeypatch.setattr(pair_work, "load_scan", counted)
    plan = classical_plan(dimensions=2, channels=1)
    shelf = Shelf(plan, limit_bytes=2 * true_load(a, plan).bytes)
    for case in (a, b, a, c, a, b):
        shelf.load(case, None)
    assert reads == ["a", "b", "c", "b"]
