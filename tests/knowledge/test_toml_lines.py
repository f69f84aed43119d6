"""The line of every key is found, whatever TOML allows in between."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infdiag_tui.knowledge.toml_lines import Place, all_lines, line_of

AWKWARD = '''# a comment with [brackets] and "quotes
top = 1 # = [x]

[a]
"quoted key".inner = "a # no comment, [no] {list}"
list = [
  1, # one, ]
  "two ] }",

  { name = "three", with = ["x", """
several
lines ]"""] },
]
[a.b]
text = """
[not.a.table]
fake = 1 \\""" still
""""
literal = \'\'\'
[nor] = this\'\'\'
date = 1979-05-27 07:32:00Z
[[rows]]
x = 1
[[rows]]
x = {y.z = 2}
[rows.sub]
deep = [[1, 2], [3]]
'''


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every key and index that a parsed document has."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*place, key)
        yield from places(inner, (*place, key))


def test_an_awkward_document_has_its_lines() -> None:
    assert set(all_lines(AWKWARD)) == set(places(tomllib.loads(AWKWARD)))
    numbered = {
        ("top",): "top = 1",
        ("a", "quoted key", "inner"): '"quoted key"',
        ("a", "list", 1): '"two ] }"',
        ("a", "list", 2, "with"): "with = [",
        ("a", "b"): "[a.b]",
        ("a", "b", "literal"): "literal = ",
        ("a", "b", "date"): "date = ",
        ("rows", 0, "x"): "x = 1",
        ("rows", 1): "[[rows]]",
        ("rows", 1, "x", "y", "z"): "x = {y.z",
        ("rows", 1, "sub", "deep", 1, 0): "deep = [[",
    }
    lines = AWKWARD.splitlines()
    for place, words in numbered.items():
        assert words in lines[line_of(AWKWARD, place) - 1], place
    assert line_of(AWKWARD, ("rows", 1)) > line_of(AWKWARD, ("rows", 0))


def test_what_is_not_there_is_where_its_table_is() -> None:
    assert line_of("x = 1\n[a]\ny = 2\n", ("a", "missing", 3)) == 2
    assert line_of("x = 1\n", ("nowhere",)) == 1
    assert line_of("", ("nowhere",)) == 1


@pytest.mark.parametrize("name", ["causes/gpu", "causes/pods", "causes/data", "evidence", "symptoms", "companions"])
def test_every_key_of_the_knowledge_is_found_on_its_line(name: str) -> None:
    text = (files("infdiag_tui.knowledge") / f"{name}.toml").read_text(encoding="utf-8")
    lines, found = text.splitlines(), all_lines(text)
    wanted = list(places(tomllib.loads(text)))
    assert set(found) == set(wanted)
    for place in wanted:
        if isinstance(place[-1], str):
            assert place[-1] in lines[found[place] - 1], place


KEYS = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r\\\"'", exclude_categories=("Cc", "Cs")), max_size=8
)
SCALARS = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.text(st.sampled_from("a\"'[]{}#=,.\n \\")),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def written(value: Any, blank: str) -> str:
    """`value` as TOML, with lists spread over lines."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        if "\n" in value and "'''" not in value and not value.endswith("'"):
            return f"'''\n{value}'''"
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return "[" + "".join(f"{blank}{written(one, blank)},{blank}" for one in value) + "]"
    return "{" + ", ".join(f'"{key}" = {written(one, blank)}' for key, one in value.items()) + "}"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a loaded machine is no failure
@given(
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=3),
    st.sampled_from(["", " ", "\n", "\n# [x] = {\n"]),
)
def test_any_document_has_all_its_places(top: dict[str, Any], tables: dict[str, Any], blank: str) -> None:
    tables = {key: value for key, value in tables.items() if key not in top}
    text = "".join(f'"{key}" = {written(value, blank)}\n' for key, value in top.items())
    for name, table in tables.items():
        text += f'["{name}"] # "\n' + "".join(f'"{key}" = {written(value, blank)}\n' for key, value in table.items())
    document = tomllib.loads(text)
    assert document == {**top, **tables}
    found = all_lines(text)
    assert set(found) == set(places(document))
    lines = text.split("\n")
    for name in tables:
        assert lines[found[name,] - 1].startswith(f'["{name}"]')
