"""The checks on offer, the runs with their progress, and one run's outcome, as lines; free of any toolkit."""

from __future__ import annotations

from collections.abc import Sequence

from infdiag_tui.model import (
    CheckResult,
    CheckRun,
    CheckStatus,
    Evidence,
    FormField,
    Impact,
    OfferedCheck,
    RunState,
    Verdict,
)
from widgets import units
from widgets.bars import bar
from widgets.check_chart import chart_lines
from widgets.findings import detail
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, cells, clip, columns, line, line_cells, wrap
from widgets.result_table import result_lines

_STATUS_TONES = {
    CheckStatus.OK: Tone.GOOD,
    CheckStatus.WARN: Tone.WARN,
    CheckStatus.FAIL: Tone.BAD,
    CheckStatus.SKIPPED: Tone.DIM,
    CheckStatus.ERROR: Tone.BAD,
}
_VERDICT_TONES = {
    Verdict.OK: Tone.GOOD,
    Verdict.WARN: Tone.WARN,
    Verdict.FAIL: Tone.BAD,
    Verdict.UNKNOWN: Tone.DIM,
}
IMPACT_WORDS = {
    Impact.READ_ONLY: "only looks",
    Impact.LOAD: "sends load, asks first",
    Impact.EXEC: "runs a command beside the model, asks first",
}
_SHORT_IMPACT = {Impact.READ_ONLY: "", Impact.LOAD: "load", Impact.EXEC: "exec"}
_BAR = 10
_NAME = 14


def offer_lines(offered: Sequence[OfferedCheck], width: int, glyphs: Glyphs) -> list[Line]:
    """One line per check: a sign for the symptom's own, name, title, step, impact; dim with what it lacks."""
    return [_offer_line(one, width, glyphs) for one in offered]


def _offer_line(one: OfferedCheck, width: int, glyphs: Glyphs) -> Line:
    sign = Span(f"{glyphs.cursor} " if one.first else "  ", Tone.MARK)
    step = f"step {one.step}" if one.step else ""
    symptom = "for this symptom" if one.first else ""
    facts = f" {glyphs.dot} ".join(part for part in (step, _SHORT_IMPACT[one.impact], symptom) if part)
    tone = Tone.DIM if one.missing else Tone.STRONG
    head = line(sign, Span(columns(one.name, _NAME), tone), " ")
    if one.missing:
        return line(head, Span(f"needs: {one.missing}", Tone.DIM))
    title = clip(one.title, max(12, width - line_cells(head) - cells(facts) - 2))
    return line(head, title, Span(f"  {facts}", Tone.DIM))


def run_lines(runs: Sequence[CheckRun], now: float, width: int, glyphs: Glyphs) -> list[Line]:
    """One line per run: where it stands in a sign and a word, its name, progress or summary."""
    return [_run_line(run, now, width, glyphs) for run in runs]


def _run_line(run: CheckRun, now: float, width: int, glyphs: Glyphs) -> Line:
    sign, word, tone = standing(run, glyphs)
    head = line(Span(f"{sign} {word:<9} ", tone), Span(columns(run.name, min(_NAME, width // 4)), Tone.STRONG), " ")
    if run.state is RunState.RUNNING:
        share = run.progress.share
        # Without a known share there is no bar: an empty one would say that nothing is done.
        gauge = () if share is None else (*bar(share, _BAR, glyphs), Span(f" {min(1.0, max(0.0, share)):4.0%} "))
        return line(head, gauge, Span(units.duration(now - run.started_at), Tone.DIM), f" {run.progress.text}")
    return line(head, Span(outcome_words(run), Tone.PLAIN))


def standing(run: CheckRun, glyphs: Glyphs) -> tuple[str, str, Tone]:
    """A run's sign, word and tone."""
    if run.result is not None:
        status = run.result.status
        sign = {CheckStatus.OK: glyphs.ok, CheckStatus.WARN: glyphs.warning, CheckStatus.SKIPPED: glyphs.dot}
        return sign.get(status, glyphs.problem), status.value.upper(), _STATUS_TONES[status]
    return {
        RunState.RUNNING: (glyphs.cursor, "running", Tone.MARK),
        RunState.ASKING: ("?", "asks", Tone.WARN),
        RunState.INVALID: (glyphs.warning, "not run", Tone.WARN),
    }.get(run.state, (glyphs.dot, "cancelled", Tone.DIM))


def outcome_words(run: CheckRun) -> str:
    """What came of a run, or what it waits for, in a sentence."""
    if run.result is not None:
        return run.result.summary
    if run.state is RunState.ASKING:
        return run.question
    if run.state is RunState.INVALID:
        return "; ".join(f"{name}: {text}" if name else text for name, text in run.problems.items())
    return "Stopped; what it had written is removed." if run.state is RunState.CANCELLED else run.progress.text


def offer_detail(one: OfferedCheck, width: int, glyphs: Glyphs) -> list[Line]:
    """What a check does, what it lacks, and the parameters that it would run with."""
    step = f"Step {one.step} of the protocol" if one.step else "A companion of the protocol"
    rows: list[Line] = [line(Span(one.title, Tone.STRONG), Span(f"  {one.name}", Tone.DIM))]
    rows += _wrapped(one.about, width)
    rows += _wrapped(f"{step}; {IMPACT_WORDS[one.impact]}.", width, Tone.DIM)
    if one.first:
        rows += _wrapped(f"{glyphs.cursor} The symptom asks for it.", width, Tone.MARK)
    if one.missing:
        rows += [(), *_wrapped(f"{glyphs.warning} Needs: {one.missing}", width, Tone.WARN)]
    if one.fields:
        rows += [(), line(Span("Parameters", Tone.HEAD))]
        name_width = min(max(cells(field.name) for field in one.fields), max(8, width // 2))
        rows += [_parameter(field, name_width) for field in one.fields]
    return rows


def _parameter(field: FormField, name_width: int) -> Line:
    value = Span(field.value) if field.value else Span(field.default or "not set", Tone.DIM)
    origin = "  (config)" if field.value else ""
    not_now = f"  not now: {field.lacking}" if field.lacking else ""
    return line(Span(columns(field.name, name_width), Tone.DIM), "  ", value, Span(origin + not_now, Tone.DIM))


def run_detail(run: CheckRun, now: float, width: int, glyphs: Glyphs) -> list[Line]:
    """All about one run: where it stands, progress, summary, charts, evidence, tables, files."""
    sign, word, tone = standing(run, glyphs)
    end = run.ended_at if run.ended_at is not None else now
    took = units.duration(max(0.0, end - run.started_at))
    rows: list[Line] = [line(Span(f"{sign} {word}", tone), Span(f"  {run.name}  {took}", Tone.DIM))]
    rows += _wrapped(run.title, width, Tone.STRONG)
    if run.state is RunState.RUNNING:
        share = run.progress.share
        if share is not None:
            rows.append(line(bar(share, max(8, min(40, width - 8)), glyphs), f" {min(1.0, max(0.0, share)):.0%}"))
        rows += _wrapped(run.progress.text, width)
    elif run.result is None:
        rows += _wrapped(outcome_words(run), width)
    for note in run.notes:
        rows += _wrapped(f"{glyphs.warning} {note}", width, Tone.WARN)
    if run.result is not None:
        rows += _result(run.result, now, width, glyphs)
    return rows


def _result(result: CheckResult, now: float, width: int, glyphs: Glyphs) -> list[Line]:
    rows = _wrapped(result.summary, width)
    for chart in result.charts:
        rows += [(), *chart_lines(chart, width, glyphs)]
    if result.evidence:
        rows += [(), line(Span("Evidence", Tone.HEAD))]
        for one in sorted(result.evidence, key=lambda each: -_RANKS[each.verdict]):
            rows += evidence_lines(one, now, width, glyphs)
    if result.result:
        rows += [(), line(Span("Measured", Tone.HEAD)), *result_lines(result.result, width, glyphs)]
    if result.artifacts:
        rows += [(), line(Span("Files", Tone.HEAD))]
        rows += [row for path in result.artifacts for row in _wrapped(path, width)]
    return rows


_RANKS = {Verdict.UNKNOWN: 0, Verdict.OK: 1, Verdict.WARN: 2, Verdict.FAIL: 3}


def evidence_lines(one: Evidence, now: float, width: int, glyphs: Glyphs) -> list[Line]:
    """A statement behind its verdict's sign and word, and what it rests on below."""
    sign = {Verdict.OK: glyphs.ok, Verdict.WARN: glyphs.warning, Verdict.FAIL: glyphs.problem}.get(one.verdict, "?")
    head = f"{sign} {one.verdict.value.upper():<7} "
    rows = [
        line(Span(head if number == 0 else " " * len(head), _VERDICT_TONES[one.verdict]), text)
        for number, text in enumerate(wrap(one.statement, max(8, width - len(head))))
    ]
    # A bare value is in the statement already.
    told = one.threshold is not None or one.sample_size is not None or one.since is not None
    basis = detail(one, now, glyphs) if told else ""
    return rows + [line(" " * len(head), Span(text, Tone.DIM)) for text in wrap(basis, max(8, width - len(head)))]


def _wrapped(text: str, width: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    return [line(Span(row, tone)) for row in wrap(clip(text, 4000), max(8, width))]
