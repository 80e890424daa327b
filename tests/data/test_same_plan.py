"""A store that runs were made from keeps its plan."""

import json

import pytest

from fewscan.data.same_plan import require_same_plan
from fewscan.data.store import prepare_store
from fewscan.errors import UsageError


def test_another_plan_is_refused_for_a_whole_store_alone(dataset, plan, tmp_path):
    place, other = tmp_path / "store", plan.model_copy(update={"patch_size": (4, 4, 4)})
    require_same_plan(place, plan)
    prepare_store(dataset, plan, place)
    require_same_plan(place, plan)
    with pytest.raises(UsageError, match=r"was prepared with another plan \(not the same: patch_size\)"):
        require_same_plan(place, other)
    index = json.loads((place / "store.json").read_text())
    (place / "store.json").write_text(json.dumps(index | {"complete": False}))
    require_same_plan(place, other)
    (place / "store.json").write_text("torn")
    require_same_plan(place, other)


def test_arrays_alone_may_be_asked_for(dataset, plan, tmp_path):
    place, patch = tmp_path / "store", plan.model_copy(update={"patch_size": (4, 4, 4)})
    prepare_store(dataset, plan, place)
    require_same_plan(place, patch, arrays_only=True)
    coarser = plan.preparation.model_copy(update={"spacing_mm": (3.0, 3.0, 3.0)})
    with pytest.raises(UsageError, match=r"not the same: preparation"):
        require_same_plan(place, plan.model_copy(update={"preparation": coarser}), arrays_only=True)
    joined = plan.classes[0].model_copy(update={"values": (1, 2)})
    with pytest.raises(UsageError, match=r"not the same: classes"):
        require_same_plan(place, plan.model_copy(update={"classes": (joined,)}), arrays_only=True)
