"""Groups error lines by the template they were written from, counted and dated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infdiag_tui.log_templates import LogTemplate, TemplateMiner
from infdiag_tui.model import LogLine
from infdiag_tui.text import one_line

MAX_LINES = 20_000
MAX_GROUPS = 50
_LINE_CHARACTERS = 400


def group(lines: Iterable[LogLine]) -> list[dict[str, Any]]:
    """Groups of error lines, the most frequent first.

    Each has `template`, `count`, `first_at`, `last_at` (Unix seconds, by the line's own time where it states one),
    `severity` (the worst), `sources`, and `example` (the newest).
    """
    miner = TemplateMiner()
    mined: dict[LogTemplate, list[LogLine]] = {}
    for line in list(lines)[-MAX_LINES:]:
        mined.setdefault(miner.add(one_line(line.headline, _LINE_CHARACTERS)), []).append(line)
    # Two templates may have grown alike, and one that was forgotten may have come again.
    members: dict[str, list[LogLine]] = {}
    for template, found in mined.items():
        members.setdefault(template.text, []).extend(found)
    groups = [_group(template, found) for template, found in members.items()]
    groups.sort(key=lambda one: (-int(one["count"]), -float(one["last_at"])))
    return groups[:MAX_GROUPS]


def _group(template: str, lines: list[LogLine]) -> dict[str, Any]:
    times = [line.received_at if line.at is None else line.at for line in lines]
    newest = lines[max(range(len(lines)), key=lambda number: times[number])]
    example = one_line(newest.headline, _LINE_CHARACTERS)
    return {
        "template": template,
        "count": len(lines),
        "first_at": min(times),
        "last_at": max(times),
        "severity": str(max((line.severity for line in lines), key=lambda severity: severity.rank)),
        "sources": sorted({line.source for line in lines}),
        "example": example,
    }
