"""An examination as tables: what works, what is missing, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from infdiag_tui.doctor.examination import Examination
from infdiag_tui.doctor.rights import Held
from infdiag_tui.model import SourceState

WORKS, MISSING, OFF, OPTIONAL = "works", "missing", "off", "optional"
_WORDS = {SourceState.LIVE: WORKS, SourceState.OFF: OFF}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of printable text under their headings; the first column holds the verdict."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(found: Examination) -> list[Table]:
    """Those that have rows."""
    made = [
        Table("Sources", ("", "source", "time", "what it says", "remedy"), _source_rows(found)),
        Table("Clusters", ("", "context", "time", "what it says", "remedy"), _context_rows(found)),
        Table(
            f"Rights of {found.user or 'this user'} in namespace {found.namespace}",
            ("", "right", "verbs", "needed for"),
            tuple(_right_row(one) for one in found.rights),
        ),
        Table(
            f"Requests to the API server in {found.requests.over_s:.0f} s of watching (per minute: with --for 60s)",
            ("", "resource", "verb", "requests", "per minute"),
            _request_rows(found),
        ),
        Table("For a bug report", ("", "what", "value"), tuple(("", *one) for one in found.environment.items())),
    ]
    return [table for table in made if table.rows]


def verdict(found: Examination) -> str:
    """One sentence on the whole."""
    match found.exit_code:
        case 0:
            return f"{found.model}: everything that is configured works."
        case 1:
            return f"{found.model}: something is missing; the remedies are above."
        case _:
            return f"{found.model}: something that is configured cannot be reached; the remedies are above."


def _source_rows(found: Examination) -> tuple[tuple[str, ...], ...]:
    return tuple((_word(one.state), one.name, _time(one.took_s), one.reason, one.remedy) for one in found.sources)


def _context_rows(found: Examination) -> tuple[tuple[str, ...], ...]:
    rows = [
        (
            WORKS if one.version else _word(one.state),
            f"{one.name} (this target's)" if one.used else one.name,
            _time(one.took_s),
            one.reason or f"Kubernetes {one.version}",
            one.remedy,
        )
        for one in found.contexts
    ]
    if found.cluster_error is not None and not any(one.reason == found.cluster_error.reason for one in found.contexts):
        rows.append((MISSING, "", "", found.cluster_error.reason, found.cluster_error.remedy))
    return tuple(rows)


def _right_row(held: Held) -> tuple[str, ...]:
    word = WORKS if not held.denied and not held.unknown else OPTIONAL if held.right.optional else MISSING
    lacking = f"lacks {', '.join(held.denied)}" if held.denied else ", ".join(held.allowed)
    return word, held.right.shown, held.unknown or lacking, held.right.feature


def _request_rows(found: Examination) -> tuple[tuple[str, ...], ...]:
    requests = found.requests
    counted = [(rate.resource, rate.verb, rate.total) for rate in requests.rates]
    if counted:
        counted.append(("all", "", requests.total))
    return tuple(
        ("", resource, verb, f"{count:,}", "" if (rate := requests.per_minute(count)) is None else f"{rate:.0f}")
        for resource, verb, count in counted
    )


def _word(state: SourceState) -> str:
    return _WORDS.get(state, state.value)


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"
