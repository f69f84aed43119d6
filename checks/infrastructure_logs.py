"""Groups error lines by the template they were written from, counted and dated, with the Drain algorithm.

Drain (He et al., ICWS 2017) keeps a tree of token positions; what varies between lines of one template becomes `<*>`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infdiag_tui.model import LogLine
from infdiag_tui.text import one_line

MAX_LINES = 20_000
MAX_GROUPS = 50
_SIMILARITY = 0.4
"""Drain's threshold of equal tokens, the value its authors and drain3 use by default."""

_LINE_CHARACTERS = 400
_MASKS = (
    (r"(?<![\w.])0x[0-9a-fA-F]+", "HEX"),
    (r"(?<![\w-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-])", "ID"),
    (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.])", "ADDRESS"),
    (r"(?<![A-Za-z])\d+(?:\.\d+)?", "NUMBER"),
)


def group(lines: Iterable[LogLine]) -> list[dict[str, Any]]:
    """Groups of error lines, the most frequent first.

    Each has `template`, `count`, `first_at`, `last_at` (Unix seconds, by the line's own time where it states one),
    `severity` (the worst), `sources`, and `example` (the newest).
    """
    from drain3 import TemplateMiner
    from drain3.masking import MaskingInstruction
    from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    config.drain_sim_th = _SIMILARITY
    config.drain_max_clusters = 2_000
    config.masking_instructions = [MaskingInstruction(pattern, name) for pattern, name in _MASKS]
    miner = TemplateMiner(config=config)
    members: dict[int, list[LogLine]] = {}
    for line in list(lines)[-MAX_LINES:]:
        added = miner.add_log_message(one_line(line.headline, _LINE_CHARACTERS))
        members.setdefault(int(added["cluster_id"]), []).append(line)
    templates = {cluster.cluster_id: cluster.get_template() for cluster in miner.drain.clusters}
    groups = [_group(templates.get(number, ""), found) for number, found in members.items()]
    groups.sort(key=lambda one: (-int(one["count"]), -float(one["last_at"])))
    return groups[:MAX_GROUPS]


def _group(template: str, lines: list[LogLine]) -> dict[str, Any]:
    times = [line.received_at if line.at is None else line.at for line in lines]
    newest = lines[max(range(len(lines)), key=lambda number: times[number])]
    example = one_line(newest.headline, _LINE_CHARACTERS)
    return {
        # A template that was pushed out of the tree is still told by its newest line.
        "template": template or example,
        "count": len(lines),
        "first_at": min(times),
        "last_at": max(times),
        "severity": str(max((line.severity for line in lines), key=lambda severity: severity.rank)),
        "sources": sorted({line.source for line in lines}),
        "example": example,
    }
