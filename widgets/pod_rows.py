"""Pods as table rows that adapt to the width, problem pods first; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from infdiag_tui.model import Pod, PodUsage, Snapshot, Termination
from widgets import units
from widgets.bars import bar
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, cells, columns, keep_tail, line
from widgets.verdicts import Verdicts

_FINE = ("Running", "Succeeded", "Completed")
_BAR = 6
_OLD_USAGE_S = 60.0
"""Usage figures older than this are marked with their age; metrics-server measures every 15 s or so."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: its heading, width, narrowest width, and rank (0 stays longest)."""

    heading: str
    width: int
    rank: int
    narrow: int = 0
    right: bool = False

    def at(self, narrowed: bool) -> Column:
        """The column as drawn: narrowed if that is asked for and possible."""
        return dataclasses.replace(self, width=self.narrow) if narrowed and self.narrow else self


COLUMNS = (
    Column("READY", 5, 1),
    Column("STATUS", 16, 0),
    Column("RESTARTS", 8, 3, right=True),
    Column("LAST END", 20, 4),
    Column("MEMORY / LIMIT", 24, 2, narrow=16),
    Column("CPU / LIMIT", 14, 5),
    Column("AGE", 4, 6, right=True),
    Column("NODE", 14, 7),
    Column("IMAGE", 12, 8),
)
"""Columns of the table from left to right; the name stands before them."""
_LEAST_NAME = 11


def visible_columns(width: int) -> tuple[tuple[Column, ...], int]:
    """The columns that fit `width`, and the width that is left for the name."""
    chosen = list(COLUMNS)
    while chosen:
        for narrowed in (False, True):
            drawn = tuple(column.at(narrowed) for column in chosen)
            name = width - 2 - sum(column.width + 1 for column in drawn)
            if name >= _LEAST_NAME:
                return drawn, min(name, 60)
        chosen.remove(max(chosen, key=lambda column: column.rank))
    return (), max(1, width - 2)


def order(pods: Sequence[Pod], verdicts: Verdicts) -> list[Pod]:
    """Pods with the worst findings first, then those not ready, then by name."""
    return sorted(pods, key=lambda pod: (-_badness(pod, verdicts), pod.namespace, pod.name))


def _badness(pod: Pod, verdicts: Verdicts) -> int:
    not_ready = not pod.ready and pod.phase != "Succeeded"
    return 2 * verdicts.rank("pods", pod.key) + (1 if not_ready else 0)


def heading(width: int) -> Line:
    """The table's heading."""
    chosen, name = visible_columns(width)
    texts = [columns("POD", name), *(columns(column.heading, column.width, right=column.right) for column in chosen)]
    return (Span("  "), Span(" ".join(texts), Tone.HEAD))


def row(pod: Pod, snapshot: Snapshot, now: float, width: int, verdicts: Verdicts, glyphs: Glyphs) -> Line:
    """One pod; its first column is a sign for what is wrong."""
    chosen, name = visible_columns(width)
    rank = _badness(pod, verdicts)
    sign = glyphs.problem if rank >= 4 else glyphs.warning if rank else glyphs.ok
    tone = Tone.BAD if rank >= 4 else Tone.WARN if rank else Tone.GOOD
    parts: list[str | Span | Line] = [Span(f"{sign} ", tone)]
    parts.append(Span(columns(keep_tail(pod.name, name, glyphs.ellipsis), name), Tone.STRONG if rank else Tone.PLAIN))
    usage = snapshot.usage.get(pod.key)
    for column in chosen:
        parts += [" ", _cell(column, pod, usage, now, verdicts, glyphs)]
    return line(*(part if isinstance(part, (str, Span)) else tuple(part) for part in parts))


def _cell(column: Column, pod: Pod, usage: PodUsage | None, now: float, verdicts: Verdicts, glyphs: Glyphs) -> Line:
    match column.heading:
        case "READY":
            ready = sum(container.ready for container in pod.containers)
            text, tone = f"{ready}/{len(pod.containers)}", Tone.PLAIN if pod.ready else Tone.WARN
        case "STATUS":
            text, tone = pod.status, status_tone(pod)
        case "RESTARTS":
            text, tone = f"{pod.restart_count:,}", verdicts.tone("pods.restarts", pod.key)
        case "LAST END":
            text, tone = last_end(pod.last_termination, now), _end_tone(pod.last_termination)
        case "MEMORY / LIMIT":
            return _memory(pod, usage, now, column.width, verdicts, glyphs)
        case "CPU / LIMIT":
            text = cpu_figures(pod, usage)
            tone = verdicts.tone("pods.cpu_share", pod.key)
        case "AGE":
            text, tone = units.age(None if pod.created_at is None else now - pod.created_at), Tone.DIM
        case "NODE":
            text, tone = keep_tail(pod.node or "no node", column.width, glyphs.ellipsis), Tone.DIM
        case _:
            text, tone = image_name(pod, column.width, glyphs), Tone.DIM
    return (Span(columns(text, column.width, right=column.right), tone),)


def status_tone(pod: Pod) -> Tone:
    """The status word's tone: in order, in between, or failed."""
    if pod.status in _FINE:
        return Tone.PLAIN if pod.ready or pod.phase == "Succeeded" else Tone.WARN
    return Tone.WARN if pod.status in ("Pending", "Terminating", "ContainerCreating") else Tone.BAD


def last_end(end: Termination | None, now: float) -> str:
    """How a container last ended: `OOMKilled 137 2m ago`."""
    if end is None:
        return "-"
    code = "" if end.exit_code is None else f" {end.exit_code}"
    when = "" if end.finished_at is None else f" {units.age(now - end.finished_at)} ago"
    return f"{end.reason or 'ended'}{code}{when}"


def _end_tone(end: Termination | None) -> Tone:
    if end is None:
        return Tone.DIM
    return Tone.PLAIN if end.exit_code == 0 else Tone.BAD


def memory_words(pod: Pod, usage: PodUsage | None, now: float) -> str:
    """`1.8Gi/2Gi 90 %`, with the figures' age when they are old; `n/a` where nothing was measured."""
    limit = pod.memory_limit_bytes
    of = "no limit" if limit is None else units.short_bytes(limit)
    if usage is None:
        return f"{units.NOT_AVAILABLE}/{of}"
    share = "" if not limit else f" {units.share(usage.memory_bytes / limit)}"
    return f"{units.short_bytes(usage.memory_bytes)}/{of}{share}{usage_age(usage, now)}"


def usage_age(usage: PodUsage, now: float) -> str:
    """The age of usage figures when it matters."""
    return f" {units.age(now - usage.at)} old" if now - usage.at > _OLD_USAGE_S else ""


def cpu_figures(pod: Pod, usage: PodUsage | None) -> str:
    """`1.25/2 cores`."""
    limit = pod.cpu_limit_cores
    of = "no limit" if limit is None else f"{units.short_cores(limit)}"
    return f"{units.NOT_AVAILABLE if usage is None else units.short_cores(usage.cpu_cores)}/{of}"


def _memory(pod: Pod, usage: PodUsage | None, now: float, width: int, verdicts: Verdicts, glyphs: Glyphs) -> Line:
    limit = pod.memory_limit_bytes
    share = None if usage is None or not limit else usage.memory_bytes / limit
    text = memory_words(pod, usage, now)
    tone = verdicts.tone("pods.memory_share", pod.key)
    old = usage is not None and bool(usage_age(usage, now))
    room = width - cells(text) - 1
    if room < 3:
        return (Span(columns(text, width), Tone.DIM if old else tone),)
    size = min(_BAR, room)
    fill = Tone.DIM if old else verdicts.tone("pods.memory_share", pod.key, Tone.MARK)
    return line(bar(share, size, glyphs, fill), " ", Span(columns(text, width - size - 1), Tone.DIM if old else tone))


def image_name(pod: Pod, width: int, glyphs: Glyphs) -> str:
    """The image by its digest's first characters, which tell builds apart when tags do not."""
    if not pod.containers:
        return "-"
    container = pod.containers[0]
    digest = container.digest.rpartition(":")[2]
    return digest[: min(12, width)] if digest else keep_tail(container.image.rpartition("/")[2], width, glyphs.ellipsis)
