"""Where in a JSON document: a small path language (`$.outputs[0].data`, `predictions[*].label`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

WILD: Final = object()
"""Stands for every element of an array or every member of an object."""

Step = str | int | object

_STEP = re.compile(
    r"""\.?(?:
        \[\s*(?P<index>-?\d{1,9})\s*\]
        |\[\s*(?P<quote>["'])(?P<quoted>.{0,500}?)(?P=quote)\s*\]
        |(?P<wild>\[\s*\*\s*\]|\*)
        |(?P<name>[^.\[\]*'"\s][^.\[\]*'"]*)
    )""",
    re.VERBOSE,
)


class PathError(ValueError):
    """The path cannot be read; the message says where."""


def parse_path(text: str) -> tuple[Step, ...]:
    """The path's steps; empty for the whole document (`$` or nothing).

    Raises:
        PathError: it is no path.
    """
    rest = text.strip().removeprefix("$")
    steps: list[Step] = []
    position = 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None:
            raise PathError(f"{text!r} is no JSON path: {rest[position:]!r} is neither .name nor [index] nor [*]")
        position = match.end()
        if match["index"] is not None:
            steps.append(int(match["index"]))
        elif match["wild"] is not None:
            steps.append(WILD)
        else:
            steps.append(match["quoted"] if match["quoted"] is not None else match["name"])
    return tuple(steps)


def find(document: Any, path: tuple[Step, ...]) -> list[Any]:
    """Every value that the path leads to; one at most unless it has a wildcard."""
    found = [document]
    for step in path:
        found = [child for value in found for child in _children(value, step)]
    return found


def has_wildcard(path: tuple[Step, ...]) -> bool:
    """True when the path may lead to several values."""
    return any(step is WILD for step in path)


def _children(value: Any, step: Step) -> Iterator[Any]:
    if step is WILD:
        if isinstance(value, list):
            yield from value
        elif isinstance(value, dict):
            yield from value.values()
    elif isinstance(step, int):
        if isinstance(value, list) and -len(value) <= step < len(value):
            yield value[step]
    elif isinstance(value, dict) and step in value:
        yield value[step]
