"""The wrappings that container runtimes put around each line of a log file on a node (CRI and Docker's JSON)."""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from infdiag_tui.streams.log_times import parse_iso

_CRI = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) ([FP])(?: |$)")


class Unwrapped(NamedTuple):
    """The program's own line, when the runtime took it (Unix seconds), and whether its rest follows in the next."""

    text: str
    at: float | None
    partial: bool


def unwrap(line: str) -> Unwrapped | None:
    """The line inside a runtime's wrapping, None where there is no such wrapping."""
    if (" stdout " in line or " stderr " in line) and (match := _CRI.match(line)):
        stamp = parse_iso(match[1])
        return Unwrapped(line[match.end() :], stamp.seconds if stamp else None, match[2] == "P")
    if line.startswith('{"log":"') and '"stream":"' in line:
        return _unwrap_docker(line)
    return None


def _unwrap_docker(line: str) -> Unwrapped | None:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    text, moment = fields.get("log"), fields.get("time")
    if not isinstance(text, str):
        return None
    stamp = parse_iso(moment) if isinstance(moment, str) else None
    return Unwrapped(text.rstrip("\r\n"), stamp.seconds if stamp else None, not text.endswith("\n"))
