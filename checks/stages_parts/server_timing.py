"""The `Server-Timing` response header: the server's own split of this very request."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from checks.stages_parts.figures import Split, figure_of
from infdiag_tui.servers.stages import Stage, stage_of

_MAX_HEADER = 8_000
_ENTRY = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z/-]{1,100})((?:\s*;\s*[\w-]{1,40}\s*=\s*(?:\"(?:[^\"\\]|\\.)*+\"|[^;,\"\s]*+))*+)\s*(?:,|\Z)"
)
_DURATION = re.compile(r";\s*dur\s*=\s*\"?([0-9.eE+-]{1,30})")


def parse_server_timing(header: str) -> dict[str, float]:
    """Milliseconds by entry (`db;dur=53.2, app;dur=47`); entries without a readable duration are left out.

    An entry that comes twice counts twice.
    """
    header = header[:_MAX_HEADER]
    times: dict[str, float] = {}
    position = 0
    while position < len(header):
        entry = _ENTRY.match(header, position)
        if entry is None:
            comma = header.find(",", position)
            position = len(header) if comma < 0 else comma + 1
            continue
        position = max(entry.end(), position + 1)
        duration = _DURATION.search(entry[2])
        try:
            value = float(duration[1]) if duration else math.nan
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            times[entry[1]] = times.get(entry[1], 0.0) + value
    return times


def header_of(headers: Mapping[str, str]) -> str:
    """The Server-Timing header, whatever its case; empty without one."""
    return next((value for name, value in headers.items() if name.lower() == "server-timing"), "")


def split_of(timings: list[dict[str, float]], named: dict[str, Stage]) -> Split | None:
    """Figures over the requests that had the header; None when none had. Blocking (scipy)."""
    by_name: dict[str, list[float]] = {}
    for timing in timings:
        for name, ms in timing.items():
            by_name.setdefault(name, []).append(ms)
    if not by_name:
        return None
    return Split(
        "Server-Timing",
        tuple(
            figure_of(name, stage_of(name, named), values, f"Server-Timing: {name}") for name, values in by_name.items()
        ),
    )
