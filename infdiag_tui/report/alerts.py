"""Prometheus alert rules from causes, with thresholds made of what was measured while all was well."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from infdiag_tui.clock import utc_text
from infdiag_tui.knowledge.causes import THRESHOLD, Alert, Cause, evidence_kinds
from infdiag_tui.knowledge.units import factor_between
from infdiag_tui.model import Evidence, Snapshot, Verdict
from infdiag_tui.regular_file import NoRegularFileError, read_regular
from infdiag_tui.text import clean, one_line

NAME = "alerts.yml"
_MAX_BASELINE_BYTES = 16_000_000
_LATEST = 253_402_300_800.0  # the year 10000, which no date can name
_BRACE_BEFORE_BRACE = re.compile(r"\{(?=\{)")
_LATENCY_FIELDS = {
    "p50_ms": "latency.p50",
    "p95_ms": "latency.p95",
    "p99_ms": "latency.p99",
    "error_rate": "latency.error_rate",
}
# How Prometheus is to write an alert's present value, by unit.
_VALUE_NOW = {"share": "{{ $value | humanizePercentage }}", "s": "{{ $value | humanizeDuration }}"}


@dataclass(frozen=True, slots=True)
class Healthy:
    """What one kind of evidence measured while all was well, from the least to the greatest of its subjects.

    `source` says in words where it is from; `unit` is the evidence's own.
    """

    low: float
    high: float
    unit: str
    source: str
    sample_size: int | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """An alert's threshold: its value in the unit of the alert, and in words where it comes from."""

    value: float
    unit: str
    words: str

    @property
    def text(self) -> str:
        """The value with its unit."""
        return f"{self.value * 100:.4g} %" if self.unit == "share" else f"{self.value:.4g} {self.unit}".rstrip()


def healthy_evidence(evidence: Iterable[Evidence]) -> dict[str, Healthy]:
    """By evidence id, the numbers among `evidence` that were judged to be well."""
    found: dict[str, Healthy] = {}
    for one in evidence:
        if one.verdict is Verdict.OK and _is_number(one.value):
            source = f"{one.source}, {utc_text(one.at)}"
            _widen(found, one.id, Healthy(float(one.value), float(one.value), one.unit, source, one.sample_size))
    return found


def healthy_baseline(baseline: Mapping[str, Any]) -> dict[str, Healthy]:
    """The same from the file that `infdiag check baseline` saves; whatever is not as it writes it is left out."""
    found: dict[str, Healthy] = {}
    saved = baseline.get("saved_at")
    source = f"the baseline of {utc_text(saved)}" if _is_number(saved) and 0 < saved < _LATEST else "the baseline"
    for target in _mappings(_values(baseline.get("latency"))):
        for name, evidence_id in _LATENCY_FIELDS.items():
            _add(found, evidence_id, target.get(name), source, target.get("sample_size"))
    stages = baseline.get("stages")
    for name, stage in stages.items() if isinstance(stages, Mapping) else ():
        if isinstance(stage, Mapping):
            _add(found, f"stages.{name}", stage.get("ms"), source, stage.get("sample_size"))
    kept = [baseline.get("memory"), baseline.get("predictions"), baseline.get("version")]
    kept += [one.get("result") for one in _mappings(_values(baseline.get("checks")))]
    for result in _mappings(kept):
        evidence = result.get("evidence")
        for one in _mappings(evidence if isinstance(evidence, list) else ()):
            _add(found, str(one.get("id")), one.get("value"), source, one.get("sample_size"))
    return found


def limit_of(alert: Alert, healthy: Mapping[str, Healthy]) -> Limit:
    """The threshold of an alert: `factor` times what was measured healthy, its default where nothing was."""
    if not alert.evidence:
        return Limit(alert.default, alert.unit, "fixed: it does not depend on what is usual")
    measured = healthy.get(alert.evidence)
    title = evidence_kinds()[alert.evidence].title
    if measured is None:
        words = f"a default, for no healthy value of {alert.evidence} ({title}) was measured"
        return Limit(alert.default, alert.unit, words)
    usual = measured.low if alert.below else measured.high
    factor = factor_between(measured.unit, alert.unit)
    value = usual * alert.factor * (factor or math.nan)
    if not math.isfinite(value):
        return Limit(alert.default, alert.unit, f"a default, for {alert.evidence} was not measured in {alert.unit}")
    sample = f", n={measured.sample_size}" if measured.sample_size is not None else ""
    shown = f"{usual:.4g} {measured.unit}".rstrip()
    words = f"{alert.factor:g} times the healthy {shown} of {alert.evidence} ({measured.source}{sample})"
    for bound, beyond, name in ((alert.least, min, "lowest"), (alert.most, max, "highest")):
        if bound is not None and value != bound and beyond(value, bound) == value:
            value, words = bound, f"the {name} that is sensible; {words} would be {value:.4g}"
    return Limit(value, alert.unit, words)


def incident_rules(snapshot: Snapshot, causes: Mapping[str, Cause], baseline: Mapping[str, Any]) -> str:
    """The rule file of an incident's root causes; empty where none is confirmed or none has an alert.

    Thresholds come from the saved baseline; what it lacks, from what is judged to be well in the incident itself, such
    as the replicas that are not affected.

    Args:
        snapshot: the incident.
        causes: the causes in force, by id.
        baseline: what `infdiag check baseline` saved, empty where it saved nothing.
    """
    healthy = {**healthy_evidence(snapshot.evidence), **healthy_baseline(baseline)}
    found = {one.cause: causes[one.cause] for one in snapshot.diagnosis.root_causes if one.cause in causes}
    return rule_file(found, healthy, snapshot.incident.model)


def read_baseline(path: Path) -> Mapping[str, Any]:
    """A saved baseline, empty where there is none that can be read. Blocking."""
    try:
        content = json.loads(read_regular(path, _MAX_BASELINE_BYTES))
    except (OSError, NoRegularFileError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def rule_file(causes: Mapping[str, Cause], healthy: Mapping[str, Healthy], model: str = "") -> str:
    """A Prometheus rule file (YAML) with the alerts of these causes; empty when none of them has one.

    The text passes `promtool check rules`. Whatever comes from elsewhere, as the model's name does, is quoted, and
    cannot become a template of Prometheus.

    Args:
        causes: by id.
        healthy: what was measured while all was well, by evidence id.
        model: the model's name.
    """
    rules = [_rule(name, cause, healthy, model) for name, cause in causes.items() if _alert(cause)]
    if not rules:
        return ""
    return (
        "# Alert rules written by infdiag. They name no service: where one Prometheus watches several, add its labels\n"
        "# (such as namespace) to each expression. Check with: promtool check rules FILE\n"
        f"groups:\n  - name: {_quoted('infdiag ' + model)}\n    rules:\n" + "".join(rules)
    )


def _alert(cause: Cause) -> Alert | None:
    return cause.prevention.alert if cause.prevention else None


def _rule(cause_id: str, cause: Cause, healthy: Mapping[str, Healthy], model: str) -> str:
    prevention, alert = cause.prevention, _alert(cause)
    if prevention is None or alert is None:
        return ""
    limit = limit_of(alert, healthy)
    condition = prevention.condition[:1].upper() + prevention.condition[1:]
    about = f" of {_plain(model)}" if model else ""
    now = _VALUE_NOW.get(limit.unit, f"{{{{ $value | humanize }}}} {limit.unit}".rstrip())
    labels = {"severity": alert.severity, "cause": cause_id, "component": cause.component}
    if model:
        labels["model"] = _plain(model)
    annotations = {
        "summary": f"{_plain(cause.title)}{about}",
        "description": f"{_plain(condition)}: now {now}, the threshold is {limit.text} ({_plain(limit.words)}).",
        "first_check": f"infdiag check {cause.first_check}",
    }
    lines = [
        f"      - alert: {alert.name}",
        f"        expr: {_quoted(alert.expr.replace(THRESHOLD, f'{limit.value:.6g}'))}",
        f"        for: {alert.hold}",
        "        labels:",
        *(f"          {key}: {_quoted(value)}" for key, value in labels.items()),
        "        annotations:",
        *(f"          {key}: {_quoted(value)}" for key, value in annotations.items()),
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """`text` on one line, free of secrets and of what Prometheus would take for a template."""
    return _BRACE_BEFORE_BRACE.sub("{ ", one_line(clean(text), 600))


def _quoted(text: str) -> str:
    """`text` as a double-quoted YAML scalar: JSON's strings are ones."""
    return json.dumps("".join(sign for sign in one_line(text, 4000) if sign.isprintable()), ensure_ascii=False)


def _add(found: dict[str, Healthy], evidence_id: str, value: Any, source: str, sample_size: Any) -> None:
    kind = evidence_kinds().get(evidence_id)
    if kind is not None and _is_number(value):
        size = sample_size if isinstance(sample_size, int) and not isinstance(sample_size, bool) else None
        _widen(found, evidence_id, Healthy(float(value), float(value), kind.unit, source, size))


def _widen(found: dict[str, Healthy], evidence_id: str, one: Healthy) -> None:
    held = found.get(evidence_id)
    if held is not None:
        sizes = [size for size in (held.sample_size, one.sample_size) if size is not None]
        smallest = min(sizes, default=None)
        one = Healthy(min(held.low, one.low), max(held.high, one.high), held.unit, held.source, smallest)
    found[evidence_id] = one


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _values(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else ()


def _mappings(values: Iterable[Any]) -> list[Mapping[str, Any]]:
    return [one for one in values if isinstance(one, Mapping)]
