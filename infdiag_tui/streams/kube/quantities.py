"""Kubernetes' quantities and times as numbers; what can't be read is None."""

from __future__ import annotations

import math
from datetime import datetime
from functools import lru_cache
from typing import Any

_FACTORS = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}


@lru_cache(maxsize=4096)
def quantity(text: str) -> float | None:
    """The value of `250m`, `128974848Ki`, `1.5`, `1e3` in plain units.

    Source: the serialised form of `resource.Quantity` in Kubernetes' API conventions.
    """
    digits = text.rstrip("nukmKMGTPEi")
    factor = _FACTORS.get(text[len(digits) :])
    if factor is None:
        return None
    try:
        value = float(digits) * factor
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def cores(value: Any) -> float | None:
    """CPU cores of a quantity, None when it is absent or can't be read."""
    return None if value is None else quantity(str(value))


def whole(value: Any) -> int | None:
    """Bytes or a count of a quantity, None when it is absent or can't be read."""
    found = None if value is None else quantity(str(value))
    return None if found is None else round(found)


def unix_s(stamp: Any) -> float | None:
    """Unix seconds of an RFC 3339 time, None when it is absent or can't be read."""
    if not isinstance(stamp, str) or not stamp:
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError):
        return None


_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def duration_s(text: Any) -> float | None:
    """Seconds of a Go duration such as `15.034s` or `1m0s`, None when it is absent or can't be read."""
    if not isinstance(text, str) or not text:
        return None
    total, number, unit = 0.0, "", ""
    for sign in text + "0":  # the last digit closes the last pair
        if sign.isdigit() or sign == ".":
            if unit:
                try:
                    total += float(number) * _UNITS_S[unit]
                except (ValueError, KeyError):
                    return None
                number, unit = "", ""
            number += sign
        else:
            unit += sign
    return total if number == "0" else None
