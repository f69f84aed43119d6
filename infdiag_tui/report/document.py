"""An incident as one JSON document: what `infdiag triage --json` prints and what is saved beside the report."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any

from infdiag_tui.model import Argument, Evidence, Hypothesis, Snapshot


def document(snapshot: Snapshot) -> dict[str, Any]:
    """The JSON document of a triage; the root cause is null until one is confirmed."""
    incident, diagnosis = snapshot.incident, snapshot.diagnosis
    return {
        "model": incident.model,
        "symptom": diagnosis.symptom or incident.symptom or None,
        "symptom_inferred": diagnosis.symptom_inferred,
        "severity": snapshot.severity or None,
        "severity_rule": diagnosis.severity_rule or None,
        "started": _iso(incident.started_at),
        "duration_s": round(snapshot.at - incident.started_at, 3),
        "onset": _iso(diagnosis.onset_at),
        "onset_source": diagnosis.onset_source or None,
        "hypotheses": [hypothesis_fields(one) for one in diagnosis.hypotheses],
        "root_cause": diagnosis.root_cause.cause if diagnosis.root_cause else None,
        "root_causes": [one.cause for one in diagnosis.root_causes],
        "conflict": diagnosis.conflict or None,
        "next_checks": [{**dataclasses.asdict(one), "causes": list(one.causes)} for one in diagnosis.next_checks],
        "evidence": [evidence_fields(one) for one in snapshot.evidence],
        "sources": {
            name: {
                "state": health.state.value,
                "reason": health.reason,
                "remedy": health.remedy,
                "last_data_at": _iso(health.last_data_at),
                "restarts": health.restarts,
            }
            for name, health in snapshot.sources.items()
            if name != "engine"
        },
        "report": snapshot.draft.path,
        "report_error": snapshot.draft.save_error or None,
    }


def evidence_fields(evidence: Evidence) -> dict[str, Any]:
    """Evidence as JSON fields, times in ISO 8601."""
    fields = dataclasses.asdict(evidence)
    # JSON has no word for what is not a number.
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in fields.items()
    }
    return {**finite, "verdict": evidence.verdict.value, "at": _iso(evidence.at), "since": _iso(evidence.since)}


def hypothesis_fields(one: Hypothesis) -> dict[str, Any]:
    """A hypothesis as JSON fields."""
    return {
        "cause": one.cause,
        "title": one.title,
        "component": one.component,
        "status": one.status.value,
        "score": one.score,
        "reason": one.reason,
        "evidence_for": [_argument_fields(argument) for argument in one.evidence_for],
        "evidence_against": [_argument_fields(argument) for argument in one.evidence_against],
        "next_check": one.next_check or None,
        "because_of": one.because_of or None,
        "since": _iso(one.since),
        "likely_at": _iso(one.likely_at),
        "confirmed_at": _iso(one.confirmed_at),
    }


def _argument_fields(argument: Argument) -> dict[str, Any]:
    return {
        "id": argument.evidence.id,
        "subject": argument.evidence.subject,
        "statement": argument.evidence.statement,
        "verdict": argument.evidence.verdict.value,
        "weight": argument.weight,
        "decisive": argument.decisive,
        "because": argument.because,
    }


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
