"""Times as Kubernetes writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*([Zz]|[+-]\d\d:\d\d)")


def timestamp(at: float) -> str:
    """Unix seconds as `2026-01-31T03:04:05Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def timestamp_ns(at_ns: int) -> str:
    """Unix nanoseconds as `2026-01-31T03:04:05.123456789Z`."""
    seconds, fraction = divmod(at_ns, 1_000_000_000)
    return f"{timestamp(seconds)[:-1]}.{fraction:09d}Z"


def nanoseconds_of(text: str) -> int:
    """Unix nanoseconds of an RFC 3339 time.

    Raises:
        ValueError: The text is no such time.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no RFC 3339 time")
    whole = datetime.fromisoformat(match[1].upper() + match[3].upper().replace("Z", "+00:00"))
    return int(whole.timestamp()) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))


def seconds_of(text: str) -> float:
    """Unix seconds of an RFC 3339 time."""
    return nanoseconds_of(text) / 1e9


def age_text(age_s: float) -> str:
    """An age as `kubectl get` shows it: `42s`, `3m7s`, `5h`."""
    age = max(0, int(age_s))
    if age < 120:
        return f"{age}s"
    if age < 600:
        return f"{age // 60}m{age % 60}s"
    return f"{age // 60}m" if age < 3 * 3600 else f"{age // 3600}h"
