"""Case files, paths into documents, and how two documents are compared."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.base import CheckError
from checks.cases import DEFAULT_TOLERANCE, Case, Mode, judge, label_of, load_cases
from checks.json_compare import LISTED, Ignored, Tolerance, compare
from checks.json_path import PathError, find, parse_path
from infdiag_tui.text import printable

LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
EVERYTHING = Ignored(frozenset(), frozenset())


@given(DOCUMENTS)
def test_a_document_equals_its_copy(document: Any) -> None:
    found = compare(document, copy.deepcopy(document), ignored=EVERYTHING)

    assert (found.count, found.changed, found.differences) == (0, 0, [])


@given(DOCUMENTS, DOCUMENTS)
def test_documents_compare_as_json_does(one: Any, other: Any) -> None:
    def strict(value: Any) -> Any:
        """Numbers by value, and true apart from 1, as JSON has it."""
        if isinstance(value, bool):
            return ("bool", value)
        if isinstance(value, list):
            return [strict(element) for element in value]
        return {name: strict(member) for name, member in value.items()} if isinstance(value, dict) else value

    found = compare(one, other, ignored=EVERYTHING)

    assert found.same == (strict(one) == strict(other))
    assert compare(other, one, ignored=EVERYTHING).same == found.same
    for difference in found.differences:
        assert printable(difference.path + difference.expected + difference.actual) == (
            difference.path + difference.expected + difference.actual
        )


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(0, 10),
    st.floats(0, 1),
)
def test_tolerance_is_numpy_s(expected: float, actual: float, absolute: float, relative: float) -> None:
    same = compare(expected, actual, tolerance=Tolerance(absolute, relative)).same

    assert same == bool(np.isclose(actual, expected, rtol=relative, atol=absolute))


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        (None, 0, False),
        ("1", 1, False),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (1.0, math.inf, False),
        (10**400, 10**400, True),
        (10**400, 1.5, False),
        ([], {}, False),
        ([1, 2], [1], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
    ],
)
def test_odd_pairs(expected: Any, actual: Any, same: bool) -> None:
    assert compare(expected, actual, tolerance=DEFAULT_TOLERANCE).same is same


def test_a_subset_leaves_further_members_alone_but_not_missing_ones() -> None:
    assert compare({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}, subset=True).same
    found = compare({"a": {"b": 1}}, {"a": {"c": 2}}, subset=True)
    assert [(one.path, one.expected, one.actual) for one in found.differences] == [("$.a.b", "1", "absent")]


def test_many_differences_are_counted_and_few_listed() -> None:
    found = compare([0.0] * 1000, [1.0] * 1000)

    assert (found.count, len(found.differences), found.max_absolute, found.max_relative) == (1000, LISTED, 1.0, None)


def test_a_deep_document_does_not_exhaust_the_stack() -> None:
    deep: Any = 1
    other: Any = 2
    for _ in range(5000):
        deep, other = [deep], [other]

    assert compare(deep, other).count == 1


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", [{"a": [{"b": 1}, {"b": 2}], "x y": 3}]),
        ("$", [{"a": [{"b": 1}, {"b": 2}], "x y": 3}]),
        ("$.a[1].b", [2]),
        ("a[-1].b", [2]),
        ("a[*].b", [1, 2]),
        ('$["x y"]', [3]),
        ("a[9].b", []),
        ("a.b", []),
        ("*", [[{"b": 1}, {"b": 2}], 3]),
    ],
)
def test_paths_lead_to_values(path: str, found: list[Any]) -> None:
    assert find({"a": [{"b": 1}, {"b": 2}], "x y": 3}, parse_path(path)) == found


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_a_path_error(text: str) -> None:
    try:
        steps = parse_path(text)
    except PathError:
        return
    assert find({"a": [1]}, steps) is not None


@pytest.mark.parametrize("text", ["a..b", "[x]", "a[", "a b.[1"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PathError):
        parse_path(text)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_cases_come_from_json_json_lines_and_toml(tmp_path: Path) -> None:
    entry = {"name": "a", "request": {"x": 1}, "response": {"y": 2}, "compare": {"mode": "numeric", "abs": 0.5}}
    files = [
        write(tmp_path, "a.json", json.dumps([entry])),
        write(tmp_path, "b.json", json.dumps({"cases": [entry]})),
        write(tmp_path, "c.jsonl", json.dumps(entry) + "\n\n"),
        write(
            tmp_path,
            "d.toml",
            '[[cases]]\nname="a"\ninput={x=1}\nexpected={y=2}\ncompare="numeric"\nabs=0.5\n',
        ),
    ]
    wanted = Case("a", {"x": 1}, True, {"y": 2}, Mode.NUMERIC, Tolerance(0.5, DEFAULT_TOLERANCE.relative))

    for file in files:
        assert load_cases(file) == (wanted,)


def test_an_expected_null_is_expected(tmp_path: Path) -> None:
    with_null, without = load_cases(write(tmp_path, "a.json", '[{"input": 1, "expected": null}, {"input": 1}]'))

    assert (with_null.has_expected, without.has_expected) == (True, False)
    assert not judge(with_null, {"y": 1}, Ignored()).same


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.jsonl", '{"input": 1}\n{', "is not JSON"),
        ("a.toml", "x", "is not TOML"),
        ("a.json", "[]", "holds no cases"),
        ("a.json", '{"tests": []}', "no list of cases"),
        ("a.json", "[3]", "case 1"),
        ("a.json", '[{"input": 1}, {"expected": 1}]', "case 2: input: Field required"),
        ("a.json", '[{"input": 1, "compare": "fuzzy"}]', "compare"),
        ("a.json", '[{"input": 1, "rel": -1}]', "rel"),
        ("a.json", '[{"input": 1, "path": "a["}]', "is no JSON path"),
        ("a.json", '[{"input": 1, "expect": 2}]', "expect"),
        ("a.json", '[{"input": 1, "compare": "numeric(a, b)"}]', "abs"),
    ],
)
def test_a_broken_case_file_is_refused_with_its_place(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(CheckError) as refusal:
        load_cases(write(tmp_path, name, text))

    assert words in str(refusal.value)
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("cat", "cat"),
        (3, 3),
        ({"label": "cat", "score": 0.1}, "cat"),
        ({"predictions": [{"class": 2}]}, 2),
        ({"predictions": [[0.1, 0.9]]}, 1),
        ({"model_name": "m", "outputs": [{"name": "y", "data": [0.9, 0.1]}]}, 0),
        ({"outputs": [{"data": [7]}]}, 7),
    ],
)
def test_labels_are_found_where_servers_put_them(value: Any, label: Any) -> None:
    assert label_of(value) == label


@pytest.mark.parametrize("value", [None, 0.5, [], {}, ["a", "b"], {"y": 1.5}])
def test_no_label_is_guessed(value: Any) -> None:
    with pytest.raises(PathError):
        label_of(value)
