"""The Findings panel: what was measured over its threshold, worst first, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from infdiag_tui.clock import utc_text
from infdiag_tui.model import PROBLEM_STATES, Evidence, Snapshot, SourceState, Verdict
from widgets import units
from widgets.glyphs import UNICODE, Glyphs
from widgets.hypothesis_lines import hypothesis_lines
from widgets.ink import Line, Span, Tone, line, wrap
from widgets.panel import LinePanel
from widgets.pins import finding_pin
from widgets.source_state import current

_TONES = {Verdict.FAIL: Tone.BAD, Verdict.WARN: Tone.WARN}
_WORDS = {Verdict.FAIL: "FAIL", Verdict.WARN: "WARN"}


class FindingsPanel(LinePanel):
    """Every finding with its subject, value, threshold and since when it holds."""

    HELP = """\
Above: the root cause where one is proven, else what is likely, with the evidence for and against it and the \
check that would settle it. Below: what is over a threshold right now, worst first. FAIL is a fault, WARN is \
worth a look. The line below each says the measured value, the threshold and where it comes from, and since when \
it holds (UTC). Sources without current data are named: silence about them proves nothing.
"""

    def __init__(
        self,
        *,
        sources: tuple[str, ...] = ("engine",),
        id: str | None = None,  # noqa: A002 - Textual's name
        ascii_only: bool = False,
    ) -> None:
        super().__init__("Findings", sources=sources, id=id, ascii_only=ascii_only)

    def pin_of(self, snapshot: Snapshot) -> str:
        """The root cause, the likeliest hypothesis or the worst finding."""
        return finding_pin(snapshot)

    def render_lines_for(self, snapshot: Snapshot, now: float, width: int, height: int) -> Sequence[Line]:
        """The findings, with their details as far as the height allows."""
        full = findings_lines(snapshot, now, width, self.glyphs, details=True)
        return full if len(full) <= height else findings_lines(snapshot, now, width, self.glyphs, details=False)


def findings_lines(
    snapshot: Snapshot,
    now: float,
    width: int,
    glyphs: Glyphs = UNICODE,
    *,
    details: bool = True,
) -> list[Line]:
    """A headline, each finding, and the sources that findings are blind for.

    Args:
        snapshot: what is known.
        now: Unix seconds, for how long a finding holds.
        width: columns to wrap to.
        glyphs: signs to draw with.
        details: with the line of value, threshold and time below each finding; without it only the duration is shown.
    """
    findings = [one for one in snapshot.evidence if one.verdict in _TONES]
    findings.sort(key=lambda one: one.verdict is not Verdict.FAIL)
    rows: list[Line] = hypothesis_lines(snapshot.diagnosis, width, glyphs, details=details)
    rows += _headline(snapshot, findings, glyphs, width)
    for one in findings:
        rows += _finding(one, now, width, glyphs, details=details)
    rows += _blind_for(snapshot, now, width, glyphs)
    return rows


def _headline(snapshot: Snapshot, findings: Sequence[Evidence], glyphs: Glyphs, width: int) -> list[Line]:
    others = [one.verdict for one in snapshot.evidence if one.verdict not in _TONES]
    fine = others.count(Verdict.OK)
    unclear = others.count(Verdict.UNKNOWN)
    if not snapshot.evidence:
        return [line(Span("Nothing measured yet.", Tone.DIM))]
    if not findings:
        text = f"Nothing over a threshold in {_counted(fine, 'measurement')}"
        text += f"; {unclear} unclear so far." if unclear else "."
        return [line(Span(f"{glyphs.ok} " if n == 0 else "  ", Tone.GOOD), row) for n, row in _rows(text, width - 2)]
    failed = sum(one.verdict is Verdict.FAIL for one in findings)
    counts = []
    if failed:
        counts.append(Span(_counted(failed, "fault"), Tone.BAD))
    if len(findings) > failed:
        counts.append(Span(_counted(len(findings) - failed, "warning"), Tone.WARN))
    parts: list[Span] = []
    for count in counts:
        parts += [count, Span(f" {glyphs.dot} ", Tone.DIM)]
    rest = f"{fine} within limits" + (f" {glyphs.dot} {unclear} unclear" if unclear else "")
    return [line(*parts, Span(rest, Tone.DIM))]


def _finding(one: Evidence, now: float, width: int, glyphs: Glyphs, *, details: bool) -> list[Line]:
    tone = _TONES[one.verdict]
    sign = glyphs.problem if one.verdict is Verdict.FAIL else glyphs.warning
    head = f"{sign} {_WORDS[one.verdict]} "
    statement = one.statement if not _unnamed(one) else f"{one.subject}: {one.statement}"
    if not details and one.since is not None:
        statement += f" {glyphs.dot} for {units.duration(max(0.0, now - one.since))}"
    rows = []
    for number, row in _rows(statement, width - len(head)):
        rows.append(line(Span(head if number == 0 else " " * len(head), tone), Span(row, Tone.STRONG)))
    if details:
        text = detail(one, now, glyphs)
        rows += [line(" " * len(head), Span(row, Tone.DIM)) for _, row in _rows(text, width - len(head))]
    return rows


def _unnamed(one: Evidence) -> bool:
    """True when the statement does not say what it is about. A GPU's UUID says less than the number it states."""
    name = one.subject.rpartition("/")[2]
    return bool(name) and not one.id.startswith("gpu.") and name not in one.statement


def detail(one: Evidence, now: float, glyphs: Glyphs = UNICODE) -> str:
    """Value, threshold, sample and time of a finding on one line: `2.1 s > 500 ms (objective) · n=58 in 1m`."""
    parts = []
    value = figure(one.value, one.unit)
    if one.threshold is not None:
        source = f" ({one.threshold_source})" if one.threshold_source else ""
        limit = figure(one.threshold, one.unit)
        measured = f"{value}, " if value and isinstance(one.value, float) else ""
        parts.append(f"{measured}threshold {limit}{source}")
    elif value and isinstance(one.value, float):
        parts.append(value)
    if one.sample_size is not None:
        window = f" in {units.duration(one.window_s)}" if one.window_s else ""
        parts.append(f"n={units.count(one.sample_size)}{window}")
    if one.since is not None:
        parts.append(f"since {utc_text(one.since)[11:]}, {units.duration(max(0.0, now - one.since))}")
    return f" {glyphs.dot} ".join(parts)


def figure(value: float | str | bool | None, unit: str) -> str:
    """A value with its unit as an operator reads it; empty for none and for a bare yes or no."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return value
    known = {
        "share": units.share,
        "percent": units.percent,
        "celsius": units.celsius,
        "ms": units.milliseconds,
        "bytes": units.number_bytes,
        "cores": units.cores,
        "seconds": units.duration,
        "s": units.duration,
    }.get(unit)
    if known is not None:
        return known(value)
    return f"{units.short(value)} {unit}".rstrip()


def _blind_for(snapshot: Snapshot, now: float, width: int, glyphs: Glyphs) -> list[Line]:
    """Names the sources whose data is missing or old: that nothing is found there proves nothing."""
    states = {name: current(health, now) for name, health in snapshot.sources.items()}
    blind = [f"{name} ({state})" for name, state in states.items() if state in PROBLEM_STATES]
    waiting = [name for name, state in states.items() if state is SourceState.STARTING]
    rows: list[Line] = []
    if blind:
        rows += _note(f"Blind for: {', '.join(blind)}", glyphs.warning, Tone.WARN, width)
    if waiting:
        rows += _note(f"Waiting for: {', '.join(waiting)}", glyphs.state[SourceState.STARTING], Tone.DIM, width)
    return rows


def _note(text: str, sign: str, tone: Tone, width: int) -> list[Line]:
    return [line(Span(f"{sign} " if n == 0 else "  ", tone), Span(row, tone)) for n, row in _rows(text, width - 2)]


def _rows(text: str, width: int) -> list[tuple[int, str]]:
    return list(enumerate(wrap(text, max(8, width))))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
