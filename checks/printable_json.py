"""Makes every text in a JSON-able value printable: names come from a model's code, a container, a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infdiag_tui.text import clean, one_line

LIMIT = 500


def printable_json(value: Any) -> Any:
    """`value` with its texts, keys included, on one line each, without escapes and secrets; tuples become lists."""
    if isinstance(value, str):
        return one_line(clean(value), LIMIT)
    if isinstance(value, Mapping):
        return {one_line(clean(str(key)), LIMIT): printable_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [printable_json(one) for one in value]
    return value
