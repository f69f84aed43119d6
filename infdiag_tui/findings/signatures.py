"""Evidence from known lines in logs and events: which, how many, when, and the newest in its own words."""

from __future__ import annotations

from collections.abc import Iterator

from infdiag_tui.clock import utc_text
from infdiag_tui.findings.logs import EARLIER_S
from infdiag_tui.knowledge.signatures import Signature, signatures
from infdiag_tui.model import Evidence, SignatureSeen, Snapshot, Verdict
from infdiag_tui.text import one_line

_QUOTED_CHARACTERS = 160
_VERDICTS = {"ok": Verdict.OK, "warn": Verdict.WARN, "fail": Verdict.FAIL}


def assess(snapshot: Snapshot) -> Iterator[Evidence]:
    """One evidence for each signature that was seen, the most recent first.

    The verdict is the signature's own severity, whatever level the line was logged at. There is none while fewer lines
    came than it takes, nor where the last is older than an hour before the incident.
    """
    for seen in snapshot.signatures:
        signature = signatures().get(seen.id)
        if signature is not None:
            yield _evidence(seen, signature, snapshot)


def _evidence(seen: SignatureSeen, signature: Signature, snapshot: Snapshot) -> Evidence:
    earliest = snapshot.incident.started_at - EARLIER_S
    verdict = _VERDICTS[signature.severity]
    if seen.last_at < earliest or seen.count < signature.at_least:
        verdict = Verdict.UNKNOWN
    return Evidence(
        id="logs.signature",
        statement=f"{signature.title} ({_counted(seen)}): {one_line(seen.sample, _QUOTED_CHARACTERS)}",
        verdict=verdict,
        source="pods" if seen.is_event else "logs",
        at=seen.last_at,
        value=float(seen.count),
        unit="lines",
        subject=seen.id,
        sample_size=seen.count,
        threshold=float(signature.at_least),
        threshold_source="log signatures",
        # Of one that came long before as well, the moment since when it holds in this incident is not known.
        since=seen.first_at if seen.first_at >= earliest else None,
    )


def _counted(seen: SignatureSeen) -> str:
    if seen.count == 1:
        return f"1 line at {utc_text(seen.last_at)}"
    first, last = utc_text(seen.first_at), utc_text(seen.last_at)
    return f"{seen.count:,} lines from {first} to {last}" if first != last else f"{seen.count:,} lines at {last}"
