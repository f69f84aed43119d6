"""The hypotheses as lines: what is confirmed, what is likely, what would settle it, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from infdiag_tui.model import Diagnosis, Hypothesis, HypothesisStatus
from widgets.glyphs import UNICODE, Glyphs
from widgets.ink import Line, Span, Tone, line, wrap

_MOST_LIKELY = 3


def hypothesis_lines(diagnosis: Diagnosis, width: int, glyphs: Glyphs = UNICODE, *, details: bool = True) -> list[Line]:
    """Root causes first, then what is likely, then the check that would tell most; nothing while nothing stands out.

    Args:
        diagnosis: what the evidence says.
        width: columns to wrap to.
        glyphs: signs to draw with.
        details: with the evidence for and against below each hypothesis.
    """
    rows: list[Line] = []
    for one in diagnosis.root_causes:
        rows += _hypothesis("ROOT CAUSE", one, Tone.BAD, glyphs.problem, width, glyphs, details=details)
    likely = [one for one in diagnosis.hypotheses if one.status is HypothesisStatus.LIKELY and not one.because_of]
    for one in likely[:_MOST_LIKELY]:
        rows += _hypothesis("LIKELY", one, Tone.WARN, glyphs.warning, width, glyphs, details=details)
    effects = [one for one in diagnosis.hypotheses if one.status is HypothesisStatus.CONFIRMED and one.because_of]
    titles = {one.cause: one.title for one in diagnosis.hypotheses}
    for one in effects:
        rows += _rows(f"effect of {titles.get(one.because_of, one.because_of)}: {one.title}", Tone.DIM, width)
    if diagnosis.conflict:
        rows += _rows(f"Contradictory: {diagnosis.conflict}", Tone.WARN, width)
    if diagnosis.severity and not diagnosis.root_causes and diagnosis.next_checks:
        best = diagnosis.next_checks[0]
        lead = "No cause stands out yet. " if not likely else ""
        rows += _rows(f"{lead}Next check (c): {best.check}, which {best.reason}", Tone.MARK, width)
    return rows


def _hypothesis(
    word: str, one: Hypothesis, tone: Tone, sign: str, width: int, glyphs: Glyphs, *, details: bool
) -> list[Line]:
    head = f"{sign} {word} "
    rows = []
    text = f"{one.title} ({one.component}): {one.reason}"
    for number, row in enumerate(wrap(text, max(8, width - len(head)))):
        rows.append(line(Span(head if number == 0 else " " * len(head), tone), Span(row, Tone.STRONG)))
    if details:
        rows += _arguments("for", [argument.evidence.statement for argument in one.evidence_for], width, glyphs)
        rows += _arguments("against", [argument.evidence.statement for argument in one.evidence_against], width, glyphs)
        if one.next_check:
            rows += _rows(f"next check (c): {one.next_check}", Tone.DIM, width)
    return rows


def _arguments(word: str, statements: Sequence[str], width: int, glyphs: Glyphs) -> list[Line]:
    text = f" {glyphs.dot} ".join(statements)
    return _rows(f"{word}: {text}", Tone.DIM, width) if text else []


def _rows(text: str, tone: Tone, width: int) -> list[Line]:
    return [line("  ", Span(row, tone)) for row in wrap(text, max(8, width - 2))]
