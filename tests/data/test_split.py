import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewscan.data.case import Case, Dataset, Part
from fewscan.data.split import Split, make_split, read_id_list
from fewscan.errors import DataError, UsageError


def case(case_id: str, *, label: bool = True, group: str | None = None, part: Part | None = None) -> Case:
    return Case(
        id=case_id,
        images=(Path(f"/d/{case_id}.nii"),),
        label=Path(f"/d/{case_id}_l.nii") if label else None,
        group=group,
        part=part,
    )


def dataset(*cases: Case) -> Dataset:
    return Dataset(name="made", root=Path("/d"), cases=tuple(sorted(cases, key=lambda item: item.id)))


TEN = dataset(*(case(f"l{k}") for k in range(10)), *(case(f"u{k}", label=False) for k in range(5)))


def parts(split: Split) -> tuple[set[str], ...]:
    return set(split.labelled), set(split.unlabelled), set(split.validation), set(split.test)


def test_everything_by_default() -> None:
    split = make_split(TEN)
    assert parts(split) == ({f"l{k}" for k in range(10)}, {f"u{k}" for k in range(5)}, set(), set())
    assert split.annotation_cost == 10
    assert split.notes == ()


def test_cases_that_are_not_chosen_become_unlabelled() -> None:
    split = make_split(TEN, labelled=3, validation=2, test=4)
    assert [len(part) for part in parts(split)] == [3, 1 + 5, 2, 4]
    assert set().union(*parts(split)) == {item.id for item in TEN}
    assert split.annotation_cost == 5
    assert all(case_id.startswith("l") for case_id in (*split.validation, *split.test))


def test_fractions_are_of_the_cases_with_labels() -> None:
    # 10 carry a label: 0.3 * 10 = 3, 0.2 * 10 = 2, 0.01 * 10 = 0.1 -> at least 1
    split = make_split(TEN, labelled=0.3, validation=0.2, test=0.01)
    assert [len(part) for part in (split.labelled, split.validation, split.test)] == [3, 2, 1]
    assert len(make_split(TEN, labelled=1.0).labelled) == 10
    assert len(make_split(TEN, labelled=1).labelled) == 1


def test_the_drawing_never_changes() -> None:
    # sorted by `printf 0/case:l3 | sha256sum` and so on: the same on every machine and with every version
    assert make_split(TEN, seed=0).labelled == ("l3", "l5", "l7", "l9", "l0", "l8", "l2", "l6", "l4", "l1")


def test_the_labelled_do_not_depend_on_how_many_others_are_drawn() -> None:
    alone = make_split(TEN, labelled=4, seed=3)
    assert make_split(TEN, labelled=4, validation=3, test=2, seed=3).labelled == alone.labelled


def test_seeds_differ() -> None:
    assert len({make_split(TEN, seed=seed).labelled for seed in range(5)}) == 5


def test_a_scan_added_later_moves_no_other() -> None:
    more = dataset(*TEN, case("new"))
    assert tuple(item for item in make_split(more).labelled if item != "new") == make_split(TEN).labelled


@settings(max_examples=25, deadline=None)
@given(
    groups=st.lists(st.integers(0, 6), min_size=4, max_size=14),
    seed=st.integers(0, 99),
    validation=st.integers(0, 1),
    test=st.integers(0, 1),
)
def test_subsets_are_nested_and_groups_stay_whole(groups: list[int], seed: int, validation: int, test: int) -> None:
    data = dataset(*(case(f"c{k:02d}", group=f"p{g}" if g else None) for k, g in enumerate(groups)))
    group = {item.id: item.group or item.id for item in data}
    splits = []
    for count in range(1, len(data) + 1):
        try:
            splits.append(make_split(data, labelled=count, validation=validation, test=test, seed=seed))
        except UsageError:
            break
        assert len(splits[-1].labelled) >= count
    for fewer, more in itertools.pairwise(splits):
        assert more.labelled[: len(fewer.labelled)] == fewer.labelled
        assert (more.validation, more.test) == (fewer.validation, fewer.test)
    for split in splits:
        found = [{group[case_id] for case_id in part} for part in parts(split)]
        assert all(a.isdisjoint(b) for a, b in itertools.combinations(found, 2))


def test_a_group_that_exceeds_the_count_is_noted() -> None:
    data = dataset(case("a", group="p"), case("b", group="p"), case("c", group="p"))
    split = make_split(data, labelled=2)
    assert set(split.labelled) == {"a", "b", "c"}
    assert split.notes == ("labelled: 3 cases instead of 2, because groups stay whole",)


def test_prescribed_parts_are_kept() -> None:
    data = dataset(
        case("t1", part=Part.TEST),
        case("t2", label=False, part=Part.TEST),
        case("v", part=Part.VALIDATION),
        case("u", part=Part.UNLABELLED),
        case("l", part=Part.LABELLED),
        case("free"),
    )
    split = make_split(data, validation=1)
    # "free" alone may be drawn: "l" is prescribed as labelled
    assert parts(split) == ({"l"}, {"u"}, {"v", "free"}, {"t1", "t2"})
    assert split.annotation_cost == 3


@pytest.mark.parametrize("test", [1, 0.5])
def test_no_test_cases_are_drawn_where_the_data_set_names_its_own(test: float) -> None:
    data = dataset(case("t1", part=Part.TEST), case("t2", part=Part.TEST), case("a"), case("b"))
    with pytest.raises(UsageError, match=r"names its own test cases \(2: t1, t2\)") as caught:
        make_split(data, test=test)
    assert "leave the number of test cases out" in caught.value.mend
    # none more is no contradiction, and those that are named are added on purpose
    for none in (None, 0, 0.0, ()):
        assert make_split(data, test=none).test == ("t1", "t2")
    assert make_split(data, test=["b", "t1"]).test == ("b", "t1", "t2")


def test_scans_of_a_test_patient_follow_into_the_test_part() -> None:
    data = dataset(case("a", group="p", part=Part.TEST), case("b", group="p"), case("c"))
    assert parts(make_split(data)) == ({"c"}, set(), set(), {"a", "b"})


def test_unlabelled_scan_of_a_validation_patient_is_left_out() -> None:
    data = dataset(case("a", group="p"), case("b", group="p", label=False), case("c"))
    split = make_split(data, validation=["a"])
    assert parts(split) == ({"c"}, set(), {"a"}, set())
    assert "left out: b" in split.notes[-1]


class TestNamed:
    def test_ids_are_taken_literally_and_in_order(self) -> None:
        split = make_split(TEN, labelled=["l7", "l2"], validation=["l1"], test=["l0", "u0"])
        assert split.labelled == ("l7", "l2")
        assert (split.validation, split.test) == (("l1",), ("l0", "u0"))

    def test_drawn_parts_leave_named_ones_alone(self) -> None:
        split = make_split(TEN, labelled=[f"l{k}" for k in range(7)], validation=2, test=1)
        assert {*split.validation, *split.test} == {"l7", "l8", "l9"}

    def test_the_rest_of_a_group_follows(self) -> None:
        data = dataset(case("a", group="p"), case("b", group="p"), case("c"))
        split = make_split(data, test=["a"])
        assert split.test == ("a", "b")
        assert split.notes == ("test: b too, of the same group",)

    def test_unknown_ids_with_the_nearest(self) -> None:
        data = dataset(case("patient_01"), case("patient_02"))
        with pytest.raises(UsageError, match=r"no case patient01 \(did you mean patient_01\?\), xyz"):
            make_split(data, labelled=["patient01", "xyz"])

    @pytest.mark.parametrize(
        ("choices", "match"),
        [
            ({"labelled": ["l0"], "test": ["l0"]}, "labelled: l0 .* belongs to validation or test already"),
            ({"validation": ["l0"], "test": ["l0"]}, "validation: l0 belongs to test already"),
            ({"labelled": ["u0"]}, "labelled: u0 has no label"),
            ({"validation": ["u0"]}, "validation: u0 has no label"),
            ({"labelled": ["l0", "l0"]}, "listed more than once"),
            ({"labelled": []}, "the list is empty"),
            ({"labelled": "l0"}, "neither a count, a fraction nor a list"),
        ],
    )
    def test_contradictions(self, choices: dict[str, list[str]], match: str) -> None:
        with pytest.raises(UsageError, match=match):
            make_split(TEN, **choices)  # type: ignore[arg-type]


class TestSmallSets:
    def test_one_labelled_scan_and_nothing_else(self) -> None:
        assert parts(make_split(dataset(case("a")))) == ({"a"}, set(), set(), set())

    def test_no_labels(self) -> None:
        with pytest.raises(
            DataError, match=r"'made' has no label to train with: none of its 1 cases has one(?s:.*)--labelled 0"
        ):
            make_split(dataset(case("a", label=False)))

    def test_labels_in_the_test_part_only(self) -> None:
        with pytest.raises(DataError, match="of 2 cases, 1 have one, and those are prescribed"):
            make_split(dataset(case("a", part=Part.TEST), case("b", label=False)))

    @pytest.mark.parametrize(
        ("choices", "match"),
        [
            ({"labelled": 0}, "at least one scan must be labelled"),
            ({"labelled": 0.0}, "at least one scan must be labelled"),
            ({"labelled": 11}, "labelled: 11 cases asked for: 10 have labels\n"),
            ({"labelled": 9, "validation": 2}, "9 cases asked for: 10 have labels, 2 go to validation, 8 are left"),
            ({"validation": 10}, "1 case asked for: 10 have labels, 10 go to validation, 0 are left"),
            ({"test": 11}, "test: 11 cases asked for: 10 have labels"),
            (
                {"labelled": 9, "validation": 2, "test": 1},
                "10 have labels, 1 goes to test, 2 go to validation, 7 are left",
            ),
            ({"labelled": ["l0"], "validation": 10}, "10 have labels, 1 goes to labelled, 9 are left"),
            ({"labelled": 1.5}, "not between 0 and 1"),
            ({"validation": -1}, "validation: -1 cases"),
            ({"labelled": True}, "neither a count nor a fraction"),
        ],
    )
    def test_impossible_counts(self, choices: dict[str, float], match: str) -> None:
        with pytest.raises(UsageError, match=match):
            make_split(TEN, **choices)  # type: ignore[arg-type]


class TestWithoutLabels:
    @pytest.mark.parametrize("none", [0, 0.0])
    def test_none_chosen(self, none: float) -> None:
        split = make_split(TEN, labelled=none, validation=2, test=1, needs_labels=False)
        assert [len(part) for part in parts(split)] == [0, 7 + 5, 2, 1]
        assert split.annotation_cost == 2
        # the others are drawn as if some were labelled
        assert split.validation == make_split(TEN, labelled=2, validation=2, test=1).validation

    def test_none_there(self) -> None:
        bare = dataset(*(case(f"u{k}", label=False) for k in range(3)))
        for labelled in (None, 0):
            split = make_split(bare, labelled=labelled, needs_labels=False)
            assert parts(split) == (set(), {"u0", "u1", "u2"}, set(), set())

    def test_labels_are_used_where_there_are_some(self) -> None:
        assert make_split(TEN, needs_labels=False) == make_split(TEN)
        assert make_split(TEN, labelled=3, needs_labels=False) == make_split(TEN, labelled=3)

    def test_more_than_there_are_is_still_an_error(self) -> None:
        with pytest.raises(UsageError, match="11 cases asked for: 10 have labels"):
            make_split(TEN, labelled=11, needs_labels=False)
        with pytest.raises(UsageError, match="the list is empty"):
            make_split(TEN, labelled=[], needs_labels=False)
        with pytest.raises(UsageError, match="labelled: -1 cases"):
            make_split(TEN, labelled=-1, needs_labels=False)


class TestModel:
    def test_parts_are_disjoint(self) -> None:
        with pytest.raises(UsageError, match=r"split\.json: .*listed twice: a"):
            Split.parse({"labelled": ["a"], "test": ["a"]}, source="split.json")

    def test_something_is_labelled(self) -> None:
        with pytest.raises(UsageError, match="at least one labelled case"):
            Split.parse({"labelled": []}, source="split.json")

    def test_json_round_trip(self) -> None:
        split = make_split(TEN, labelled=3, validation=1, seed=7)
        assert Split.model_validate_json(split.model_dump_json()) == split


class TestIdList:
    @pytest.mark.parametrize(
        "text", ["a\n b \n\n# all\nc d # patient 3\n", "\ufeffa\r\nb\r\nc d", '["a", "b", "c d"]', ' \n["a","b","c d"]']
    )
    def test_lines_and_json(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "ids").write_text(text, encoding="utf-8")
        assert read_id_list(tmp_path / "ids") == ("a", "b", "c d")

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("", "lists no case ids"),
            ("[1]", "lists no case ids"),
            ("[a", "not readable"),
            ("a\na", "lists a more than"),
        ],
    )
    def test_wrong_lists(self, tmp_path: Path, text: str, match: str) -> None:
        (tmp_path / "ids").write_text(text)
        with pytest.raises(UsageError, match=match):
            read_id_list(tmp_path / "ids")

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="not readable as a list of ids"):
            read_id_list(tmp_path / "ids")
