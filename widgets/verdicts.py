"""Tones from verdicts: panels colour what the findings call a problem and set no thresholds of their own."""

from __future__ import annotations

from collections.abc import Iterable

from infdiag_tui.model import Evidence, Verdict
from widgets.ink import Tone

_RANKS = {Verdict.UNKNOWN: 0, Verdict.OK: 1, Verdict.WARN: 2, Verdict.FAIL: 3}
_TONES = {Verdict.UNKNOWN: Tone.PLAIN, Verdict.OK: Tone.PLAIN, Verdict.WARN: Tone.WARN, Verdict.FAIL: Tone.BAD}


class Verdicts:
    """The snapshot's evidence, looked up by id and subject."""

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._worst: dict[tuple[str, str], Verdict] = {}
        self._subjects: dict[tuple[str, str], Verdict] = {}
        for one in evidence:
            kind = one.id.partition(".")[0]
            for table, key in ((self._worst, (one.id, one.subject)), (self._subjects, (kind, one.subject))):
                if key not in table or _RANKS[one.verdict] > _RANKS[table[key]]:
                    table[key] = one.verdict

    def tone(self, evidence_id: str, subject: str = "", otherwise: Tone = Tone.PLAIN) -> Tone:
        """The tone for a figure; `otherwise` when there is nothing against it."""
        tone = _TONES[self._worst.get((evidence_id, subject), Verdict.UNKNOWN)]
        return otherwise if tone is Tone.PLAIN else tone

    def rank(self, kind: str, subject: str) -> int:
        """How bad a subject fares over all evidence of one kind (`gpu`, `pods`): 0 unknown or fine, 1 warn, 2 fail."""
        return max(0, _RANKS[self._subjects.get((kind, subject), Verdict.UNKNOWN)] - 1)
