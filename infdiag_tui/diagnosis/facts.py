"""The evidence of one moment, with the questions that rules ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from infdiag_tui.knowledge.causes import FAILS, SIGNATURE, WELL, impacts
from infdiag_tui.model import Argument, Evidence, Verdict

SIGNATURE_EVIDENCE = "logs.signature"
BAD = (Verdict.WARN, Verdict.FAIL)

SignatureWeights = Mapping[str, tuple[tuple[str, float, bool, str], ...]]
"""By signature id: the causes that its line speaks for, each with weight, whether it is decisive, and why."""


class Facts:
    """The evidence of one moment, by id, with the questions that rules ask."""

    def __init__(self, evidence: Iterable[Evidence], signatures: SignatureWeights) -> None:
        self._by_id: dict[str, list[Evidence]] = {}
        # In one order, whatever order the evidence comes in: the same facts always give the same words.
        for one in sorted(evidence, key=lambda one: (one.id, one.subject)):
            self._by_id.setdefault(one.id, []).append(one)
        self._signatures = signatures
        self._signed = {
            cause
            for one in self._by_id.get(SIGNATURE_EVIDENCE, ())
            if one.verdict in BAD
            for cause, *_ in signatures.get(one.subject, ())
        }
        self._impacts = {name for name, ids in impacts().items() if any(self.is_bad(one) for one in ids)}

    def of(self, evidence_id: str) -> Sequence[Evidence]:
        """All evidence of that id, one for each subject."""
        return self._by_id.get(evidence_id, ())

    def is_bad(self, evidence_id: str) -> bool:
        """True when it warns or fails for any subject."""
        return any(one.verdict in BAD for one in self.of(evidence_id))

    def is_known(self, evidence_id: str) -> bool:
        """True when it was measured, with whatever outcome."""
        return any(one.verdict is not Verdict.UNKNOWN for one in self.of(evidence_id))

    def holds(self, condition: str) -> bool:
        """True when one of a condition's alternatives does."""
        return any(self._holds_one(one) for one in condition.split("|"))

    def _holds_one(self, name: str) -> bool:
        if name.startswith(SIGNATURE):
            return name.removeprefix(SIGNATURE) in self._signed
        if name.endswith(FAILS):
            return any(one.verdict is Verdict.FAIL for one in self.of(name.removesuffix(FAILS)))
        if name.endswith(WELL):
            told = name.removesuffix(WELL)
            return self.is_known(told) and not self.is_bad(told)
        return name in self._impacts or self.is_bad(name)

    def signed_for(self, cause: str) -> list[Argument]:
        """What lines in the logs say for a cause."""
        return [
            Argument(one, weight, because, decisive)
            for one in self.of(SIGNATURE_EVIDENCE)
            if one.verdict in BAD
            for name, weight, decisive, because in self._signatures.get(one.subject, ())
            if name == cause
        ]
