"""What the latency probe measured, as lines of text; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from infdiag_tui.model import ErrorKind, Evidence, LatencyView, LatencyWindow, Phases, Quantile, Reply, Verdict
from widgets import units
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, cells, clip, columns, flow, keep_tail, line, wrap

Judged = Mapping[tuple[str, str, float | None], Verdict]
"""Verdicts by evidence id, target and window in seconds."""

_TONES = {Verdict.WARN: Tone.WARN, Verdict.FAIL: Tone.BAD}
_LABEL = 9
_LEAST_CELL = 11
_FULL_CELL = 26

_ERROR_WORDS = {
    ErrorKind.DNS: "name not resolved",
    ErrorKind.CONNECT: "no connection",
    ErrorKind.TLS: "TLS refused",
    ErrorKind.TIMEOUT: "timeout",
    ErrorKind.DISCONNECT: "cut off",
    ErrorKind.HTTP_STATUS: "HTTP error",
    ErrorKind.BAD_REPLY: "bad reply",
    ErrorKind.OVERRUN: "not sent (too many unanswered)",
    ErrorKind.TUNNEL: "not sent (no way there)",
}


def judged(evidence: Iterable[Evidence]) -> Judged:
    """The verdicts on latency."""
    return {(one.id, one.subject, one.window_s): one.verdict for one in evidence if one.id.startswith("latency.")}


def table_lines(view: LatencyView, width: int, verdicts: Judged, glyphs: Glyphs) -> list[Line]:
    """A table: windows as columns, figures as rows, the heading with sample sizes."""
    windows, cell = _windows_that_fit(view.windows, width)
    lines = [_table_heading(windows, cell)]
    lines += [
        _table_row(name, [getattr(window, name) for window in windows], view.target, windows, cell, verdicts, glyphs)
        for name in ("p50", "p95", "p99")
    ]
    plain_rows: tuple[tuple[str, str, Callable[[LatencyWindow], str]], ...] = (
        ("errors", "latency.error_rate", lambda window: units.share(window.error_rate)),
        ("timeouts", "latency.timeout_rate", lambda window: units.share(window.timeout_rate)),
        ("max", "latency.max", lambda window: units.milliseconds(window.max_ms)),
        ("jitter", "latency.jitter", lambda window: jitter_words(window, glyphs)),
    )
    for label, evidence_id, text_of in plain_rows:
        spans: list[Span] = [Span(f"{label:<{_LABEL}}", Tone.DIM)]
        for window in windows:
            tone = _TONES.get(verdicts.get((evidence_id, view.target, window.window_s), Verdict.OK), Tone.PLAIN)
            spans.append(Span(columns(text_of(window), cell), tone))
        lines.append(tuple(spans))
    return lines


def jitter_words(window: LatencyWindow, glyphs: Glyphs) -> str:
    """p99 over p50; where p99 is no figure, what the ends of both intervals prove, if they prove anything."""
    p50, p99 = window.p50, window.p99
    if window.jitter is None or p50 is None or p99 is None:
        return units.NOT_AVAILABLE
    if p99.is_figure:
        return f"{units.short(window.jitter)}{glyphs.times} p50"
    if p99.low_ms is None or not p50.high_ms:
        return units.NOT_AVAILABLE
    return f"{glyphs.at_least} {units.short(p99.low_ms / p50.high_ms)}{glyphs.times} p50"


def _windows_that_fit(windows: Sequence[LatencyWindow], width: int) -> tuple[Sequence[LatencyWindow], int]:
    """Windows and the columns of each: the shortest and the longest stay longest."""
    kept = list(windows)
    while len(kept) > 1 and (width - _LABEL) // len(kept) < _LEAST_CELL + 1:
        kept.pop(1 if len(kept) > 2 else -1)
    return kept, min(_FULL_CELL, max(1, (width - _LABEL) // max(1, len(kept))))


def _table_heading(windows: Sequence[LatencyWindow], cell: int) -> Line:
    texts = [f"{units.window_name(window)} n={window.timed:,}" for window in windows]
    texts = [text if cells(text) < cell else text.replace(" n=", " ") for text in texts]
    return (Span(" " * _LABEL), *(Span(columns(text, cell), Tone.HEAD) for text in texts))


def _table_row(
    name: str,
    values: Sequence[Quantile | None],
    target: str,
    windows: Sequence[LatencyWindow],
    cell: int,
    verdicts: Judged,
    glyphs: Glyphs,
) -> Line:
    spans = [Span(f"{name:<{_LABEL}}", Tone.DIM)]
    for value, window in zip(values, windows, strict=True):
        tone = _TONES.get(verdicts.get((f"latency.{name}", target, window.window_s), Verdict.OK), Tone.STRONG)
        spans.append(Span(columns(quantile_words(value, cell - 1, glyphs), cell), tone))
    return tuple(spans)


def quantile_words(value: Quantile | None, width: int, glyphs: Glyphs) -> str:
    """A quantile with its interval if `width` allows."""
    text = units.quantile(value)
    if cells(text) > width:
        text = units.quantile(value, interval=False)
    return text.replace("≥", glyphs.at_least).replace("–", glyphs.dash) if glyphs.ascii_only else text


def brief_lines(view: LatencyView, width: int, verdicts: Judged, glyphs: Glyphs) -> list[Line]:
    """Where there is no room for a table: the shortest window in one or two lines."""
    if not view.windows:
        return []
    window = view.windows[0]
    parts = []
    for name in ("p50", "p95", "p99"):
        tone = _TONES.get(verdicts.get((f"latency.{name}", view.target, window.window_s), Verdict.OK), Tone.STRONG)
        text = quantile_words(getattr(window, name), 12, glyphs)
        parts.append(line(Span(f"{name} ", Tone.DIM), Span(text, tone)))
    tone = _TONES.get(verdicts.get(("latency.error_rate", view.target, window.window_s), Verdict.OK), Tone.PLAIN)
    parts.append(line(Span("errors ", Tone.DIM), Span(units.share(window.error_rate), tone)))
    parts.append(line(Span(f"{units.window_name(window)} n={window.timed:,}", Tone.DIM)))
    return flow(parts, width)


def error_lines(view: LatencyView, now: float, width: int, glyphs: Glyphs) -> list[Line]:
    """The last failure in one or two lines: how, when, and whether it is the newest reply."""
    last = view.last_error
    if last is None or last.error is None:
        return [line(Span("no failed request so far", Tone.DIM))] if view.last is not None else []
    still = view.last is not None and not view.last.ok
    sign = glyphs.problem if still else glyphs.warning
    text = f"{sign} {'FAILING' if still else 'last error'} {units.age(now - last.at)} ago: {error_words(last)}"
    rows = wrap(text, width)
    if len(rows) > 2:
        rows = [rows[0], clip(" ".join(rows[1:]), width, glyphs.ellipsis)]
    return [line(Span(row, Tone.BAD if still else Tone.WARN)) for row in rows]


def error_words(reply: Reply) -> str:
    """A failure in words: `HTTP 503: overloaded`, `no connection: connection refused`."""
    if reply.error is None:
        return "answered"
    what = _ERROR_WORDS[reply.error]
    if reply.error is ErrorKind.HTTP_STATUS and reply.status is not None:
        what = f"HTTP {reply.status}"
    if reply.error is ErrorKind.TIMEOUT:
        what = f"no answer within {units.milliseconds(reply.total_ms)}"
    return f"{what}: {reply.error_text}" if reply.error_text else what


def error_counts(view: LatencyView, width: int) -> list[Line]:
    """Failures by kind, since start."""
    window = view.windows[-1] if view.windows else None
    if window is None or not window.errors:
        return []
    kinds = [line(Span(f"{_ERROR_WORDS[kind]} ", Tone.DIM), f"{number:,}") for kind, number in window.errors if number]
    return flow([line(Span(f"errors ({units.window_name(window)}):", Tone.DIM)), *kinds], width) if kinds else []


def phase_lines(view: LatencyView, width: int) -> list[Line]:
    """Where the time goes: the median wire phases, and fresh against reused connections."""
    window = next((window for window in view.windows if window.answered), None)
    if window is None:
        return []
    parts = [
        line(Span(f"{label} ", Tone.DIM), units.milliseconds(value))
        for label, value in _phases(window.median_phases)
        if value is not None
    ]
    lines = []
    if parts:
        lines.append(line(Span(f"Where the time goes (median, {units.window_name(window)})", Tone.HEAD)))
        lines += flow(parts, width)
    return [*lines, *flow(_connections(window), width)]


def _connections(window: LatencyWindow) -> list[Line]:
    parts = []
    if window.reused_share is not None:
        parts.append(line(Span("connections reused ", Tone.DIM), units.share(window.reused_share)))
    if window.fresh_p50_ms is not None:
        parts.append(line(Span("p50 fresh ", Tone.DIM), units.milliseconds(window.fresh_p50_ms)))
    if window.reused_p50_ms is not None:
        parts.append(line(Span("p50 reused ", Tone.DIM), units.milliseconds(window.reused_p50_ms)))
    if window.first_token_p50 is not None:
        first = units.quantile(window.first_token_p50, interval=False)
        tail = units.quantile(window.first_token_p99, interval=False)
        parts.append(line(Span("first token p50 ", Tone.DIM), first, Span(" p99 ", Tone.DIM), tail))
    if window.lateness_p99_ms is not None:
        parts.append(line(Span("sent late, p99 ", Tone.DIM), units.milliseconds(window.lateness_p99_ms)))
    return parts


def _phases(phases: Phases) -> tuple[tuple[str, float | None], ...]:
    return (
        ("tunnel", phases.tunnel_ms),
        ("dns", phases.dns_ms),
        ("connect", phases.connect_ms),
        ("tls", phases.tls_ms),
        ("send", phases.send_ms),
        ("wait", phases.wait_ms),
        ("receive", phases.receive_ms),
    )


def target_line(view: LatencyView, width: int, glyphs: Glyphs) -> Line:
    """The probed address, the way to it, and the version that answered last."""
    version = f"  version {view.last.model_version}" if view.last is not None and view.last.model_version else ""
    if view.last is not None and view.last.through:
        version = f"  through {view.last.through}{version}"
    target = view.target
    if cells(target) + cells(version) > width:
        target = target.partition("://")[2] or target
    name = keep_tail(target, max(12, width - cells(version)), glyphs.ellipsis)
    return line(Span(name, Tone.STRONG), Span(version, Tone.DIM))
