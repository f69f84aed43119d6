"""What the report says of causes: hypotheses, root cause, solution, prevention, the accuracy checklist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from infdiag_tui.knowledge.causes import Cause
from infdiag_tui.model import Evidence, Hypothesis, HypothesisStatus, Snapshot, Verdict
from infdiag_tui.text import one_line

ROWS = 6
"""Rows of the table of hypotheses."""
_SHOWN_ARGUMENTS = 3
NOT_KNOWN = "not determined yet"

_STATUS = {
    HypothesisStatus.CONFIRMED: "Yes",
    HypothesisStatus.LIKELY: "No (likely)",
    HypothesisStatus.UNTESTED: "No (untested)",
    HypothesisStatus.REFUTED: "No (refuted)",
}
_BAD = (Verdict.WARN, Verdict.FAIL)

CHECKLIST: Mapping[str, tuple[str, ...]] = {
    "inputs": ("drift.features",),
    "preprocessing": ("pipeline.golden", "pipeline.code_changed"),
    "version": ("version.mismatch", "version.replica_skew", "version.changed"),
    "upstream": ("pipeline.schema", "drift.columns"),
    "shadow": ("shadow.agreement",),
}
"""The specification's five items of an accuracy investigation, and the evidence that ticks each."""


def hypothesis_rows(snapshot: Snapshot) -> dict[str, str | None]:
    """`hypothesis_1` to `hypothesis_6`: a table row each, None for those that are not needed."""
    rows = [_row(one) for one in _worth_a_row(snapshot.diagnosis.hypotheses)][:ROWS]
    rows = rows or ["| none examined yet | – | No |"]
    return {f"hypothesis_{number + 1}": rows[number] if number < len(rows) else None for number in range(ROWS)}


def _worth_a_row(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Those that evidence bears on: what it speaks for first, then what it excludes, the likeliest of these first."""
    spoken_for = [one for one in hypotheses if one.evidence_for and one.status is not HypothesisStatus.REFUTED]
    excluded = [one for one in hypotheses if one.status is HypothesisStatus.REFUTED]
    return [*spoken_for[: ROWS - 1], *excluded] if excluded else spoken_for


def _row(one: Hypothesis) -> str:
    excluded = one.status is HypothesisStatus.REFUTED
    arguments = one.evidence_against if excluded else one.evidence_for
    said = "; ".join(argument.evidence.statement for argument in arguments[:_SHOWN_ARGUMENTS])
    more = f" (and {len(arguments) - _SHOWN_ARGUMENTS} more)" if len(arguments) > _SHOWN_ARGUMENTS else ""
    if one.status in (HypothesisStatus.LIKELY, HypothesisStatus.UNTESTED) and one.next_check:
        more += f"; next: infdiag check {one.next_check}"
    effect = f", an effect of {one.because_of}" if one.because_of else ""
    return f"| {inert(f'{one.title} ({one.component})')} | {inert(said + more)} | {_STATUS[one.status]}{effect} |"


def root_cause(snapshot: Snapshot, causes: Mapping[str, Cause]) -> dict[str, str | None]:
    """The slots of root cause, solution and prevention: what is confirmed, and words for what is not."""
    roots = snapshot.diagnosis.root_causes
    known = [causes[one.cause] for one in roots if one.cause in causes]
    likely = _likely(snapshot.diagnosis.hypotheses)
    lead = f"{NOT_KNOWN}; the likeliest is: {likely[0].title} ({likely[0].component})" if likely else NOT_KNOWN
    if snapshot.diagnosis.conflict:
        lead = f"{NOT_KNOWN}: contradictory evidence: {snapshot.diagnosis.conflict}"
    evidence = [argument.evidence.statement for one in roots for argument in one.evidence_for[:_SHOWN_ARGUMENTS]]
    prevention = [cause.prevention for cause in known if cause.prevention]
    return {
        "component": inert(" and ".join(dict.fromkeys(one.component for one in roots)) or NOT_KNOWN),
        "cause": inert("; ".join(f"{one.title}: {one.reason}" for one in roots) or lead),
        "evidence": inert("; ".join(dict.fromkeys(evidence)) or _findings(snapshot.evidence)),
        "immediate_fix": _prose(cause.immediate_fix for cause in known) or f"Immediate fix {NOT_KNOWN}",
        "long_term_fix": _prose(cause.long_term_fix for cause in known) or f"Long-term fix {NOT_KNOWN}",
        "monitoring": _prose(one.metric for one in prevention) or "[metric]",
        "alert": _prose(one.condition for one in prevention) or "[condition]",
        "test_case": _prose(one.test_case for one in prevention) or "[scenario]",
    }


def _likely(hypotheses: Iterable[Hypothesis]) -> list[Hypothesis]:
    return [one for one in hypotheses if one.status is HypothesisStatus.LIKELY and not one.because_of]


def _findings(evidence: Iterable[Evidence]) -> str:
    kinds: dict[str, list[str]] = {}
    for one in evidence:
        if one.verdict in _BAD:
            kinds.setdefault(one.id, []).append(one.statement)
    said = [
        statements[0] + (f" (and {len(statements) - 1} more like it)" if len(statements) > 1 else "")
        for statements in kinds.values()
    ]
    return "; ".join(said[:5]) or "nothing over a threshold so far"


def checklist(evidence: Sequence[Evidence]) -> dict[str, str | None]:
    """A box for each item, ticked once something that answers it was measured, with what was found beside it."""
    values: dict[str, str | None] = {}
    for item, ids in CHECKLIST.items():
        found = [one for id_ in ids for one in evidence if one.id == id_ and one.verdict is not Verdict.UNKNOWN]
        found.sort(key=lambda one: one.verdict not in _BAD)
        values[f"check_{item}"] = "[x]" if found else "[ ]"
        values[f"check_{item}_evidence"] = inert(f": {found[0].statement}") if found else ""
    return values


def inert(text: str) -> str:
    """`text` on one line, with the characters that Markdown or HTML would act on escaped."""
    flat = one_line(text, limit=1000)
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#" else char for char in flat)


def _prose(parts: Iterable[str]) -> str:
    """What the knowledge says, on one line: it is written in Markdown, with commands as code."""
    return "; ".join(one_line(part, limit=1000) for part in parts if part)
