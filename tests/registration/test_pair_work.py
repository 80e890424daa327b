from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewscan.data.geometry import Geometry
from fewscan.data.layouts import list_scans
from fewscan.errors import DataError
from fewscan.inference.outputs import Outcome
from fewscan.registration import pair_work
from fewscan.registration.classical import classical_plan
from fewscan.registration.one_pair import load_scan
from fewscan.registration.pair_work import PairWork, Shelf
from fewscan.registration.pairs import ScanPair
from fewscan.registration.registrar import Match


def test_the_shelf_gives_up_what_was_not_used_for_longest(
    tmp_path: Path, write_body: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write_body(name, Geometry.identity((20, 18)))
    a, b, c = list_scans(tmp_path / "scans")
    reads: list[str] = []
    true_load = load_scan

    def counted(case: Any, *args: Any, **options: Any) -> Any:
        reads.append(case.id)
        return true_load(case, *args, **options)

    monkeypatch.setattr(pair_work, "load_scan", counted)
    plan = classical_plan(dimensions=2, channels=1)
    shelf = Shelf(plan, limit_bytes=2 * true_load(a, plan).bytes)
    for case in (a, b, a, c, a, b):
        shelf.load(case, None)
    assert reads == ["a", "b", "c", "b"]


class Stub:
    """Moves nothing; the second pair meets ``trouble``."""

    plan = classical_plan(dimensions=2, channels=1)

    def __init__(self, trouble: BaseException | float) -> None:
        self.trouble, self.calls = trouble, 0

    def match(self, moving: Any, fixed: Any) -> Match:
        self.calls += 1
        if self.calls == 2 and isinstance(self.trouble, BaseException):
            raise self.trouble
        grid = fixed.meta.prepared
        field = np.full((2, *grid.size), self.trouble if self.calls == 2 else 0.0, np.float32)
        return Match(field, grid.affine(), np.eye(3))


def work_on_three(folder: Path, write_body: Callable[..., Path], trouble: BaseException | float) -> PairWork:
    for name in "abc":
        write_body(name, Geometry.identity((20, 18)))
    a, b, c = list_scans(folder / "scans")
    work = PairWork(folder / "out", Stub(trouble), {"moving": {}, "fixed": {}}, 0.005, Outcome(3))
    pairs = [ScanPair(a, b), ScanPair(a, c), ScanPair(b, c)]
    if isinstance(trouble, BaseException):
        with pytest.raises(type(trouble)):
            work.run(pairs)
    else:
        work.run(pairs)
    return work


def test_what_is_written_is_on_record_when_the_work_is_stopped(tmp_path: Path, write_body: Callable[..., Path]) -> None:
    work = work_on_three(tmp_path, write_body, KeyboardInterrupt())
    assert [record["id"] for record in work.outcome.done] == ["a_to_b"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a_to_b.nii.gz", "a_to_b_field.nii.gz"}


def test_a_displacement_that_is_not_finite_is_a_failure_of_its_pair(
    tmp_path: Path, write_body: Callable[..., Path]
) -> None:
    work = work_on_three(tmp_path, write_body, float("nan"))
    assert [record["id"] for record in work.outcome.done] == ["a_to_b", "b_to_c"]
    assert isinstance(work.outcome.first_error, DataError)
    assert "not finite" in work.outcome.failures["a_to_c"]
