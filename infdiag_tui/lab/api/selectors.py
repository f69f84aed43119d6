"""Label and field selectors as the Kubernetes API reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Labels = Mapping[str, str]

_REQUIREMENT = re.compile(
    r"""\s*(?:
        (?P<set_key>[\w./-]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)
      | (?P<key>[\w./-]+)\s*(?P<sign>==|=|!=)\s*(?P<value>[\w.-]*)
      | (?P<absent>!)?\s*(?P<exists>[\w./-]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def label_selector(text: str) -> Callable[[Labels], bool]:
    """A test of labels for a selector such as `app=x,tier in (a, b),!canary`.

    Raises:
        ValueError: The text is no selector.
    """
    tests: list[Callable[[Labels], bool]] = []
    position = 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        if match is None:
            raise ValueError(f"unable to parse requirement: {text[position:]!r}")
        tests.append(_label_test(match))
        position = match.end()
    return lambda labels: all(test(labels) for test in tests)


def _label_test(match: re.Match[str]) -> Callable[[Labels], bool]:
    if match["set_key"]:
        key, values = match["set_key"], {value.strip() for value in match["values"].split(",")}
        if match["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match["key"]:
        key, value = match["key"], match["value"]
        if match["sign"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    key = match["exists"]
    if match["absent"]:
        return lambda labels: key not in labels
    return lambda labels: key in labels


def field_selector(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """A test of objects for a selector such as `metadata.name=x,status.phase!=Running`.

    Raises:
        ValueError: The text is no selector.
    """
    tests: list[tuple[list[str], str, bool]] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*([\w.]+)\s*(==|=|!=)\s*(.*?)\s*", part)
        if match is None:
            raise ValueError(f"invalid field selector: {part!r}")
        tests.append((match[1].split("."), match[3], match[2] != "!="))
    return lambda item: all((_field(item, path) == value) is equal for path, value, equal in tests)


def _field(item: Any, path: list[str]) -> str:
    for name in path:
        item = item.get(name) if isinstance(item, Mapping) else None
    return "" if item is None else str(item)
