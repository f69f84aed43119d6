"""What the program writes into each slot of the report: only what was measured, with window and sample size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from infdiag_tui.clock import utc_text
from infdiag_tui.findings.currency import stream_of
from infdiag_tui.findings.pods import USAGE_FRESH_S
from infdiag_tui.knowledge import SYMPTOMS
from infdiag_tui.knowledge.causes import Cause, causes
from infdiag_tui.model import (
    NOT_SENT,
    ErrorKind,
    Evidence,
    GpuDevice,
    LatencyWindow,
    PodUsage,
    Quantile,
    Snapshot,
    Verdict,
)
from infdiag_tui.report.conclusions import checklist, hypothesis_rows, inert, root_cause
from infdiag_tui.report.footnotes import NOTED, notes_of

NOT_MEASURED = "not measured"
PREDICTIONS = (
    "predictions.nan",
    "predictions.constant",
    "predictions.distribution",
    "predictions.mean_shift",
    "predictions.calibration",
)


def slot_values(
    snapshot: Snapshot, *, footnotes: bool = True, known: Mapping[str, Cause] | None = None
) -> Mapping[str, str | None]:
    """The value of every slot of the template, one line each, free of Markdown that data could smuggle in.

    Args:
        snapshot: the incident.
        footnotes: with a footnote of source, window and sample size behind each measured line.
        known: the causes in force, by id; default: the built-in ones.
    """
    found = [one for one in snapshot.evidence if one.verdict in (Verdict.WARN, Verdict.FAIL)]
    measured = {
        "utilization": _utilization(snapshot),
        "memory": _memory(snapshot),
        "latency": _latency(snapshot),
        "requests": _requests(snapshot),
        "inference_time": _said(snapshot.evidence, ("stages.inference",)),
    }
    values: dict[str, str | None] = {
        "model": inert(snapshot.incident.model),
        "symptom": inert(_symptom(snapshot)),
        "severity": inert(_severity(snapshot)),
        "duration": inert(_duration(snapshot)),
        **hypothesis_rows(snapshot),
        **{slot: inert(text) for slot, text in measured.items()},
        "pods": inert(_statements(snapshot.evidence, ("pods.ready",), found, "pods.")),
        "log_errors": inert(_statements(snapshot.evidence, ("logs.errors", "logs.earlier_errors"), (), "")),
        "version": inert(_version(snapshot)),
        "predictions": inert(_said(snapshot.evidence, PREDICTIONS)),
        "drift": inert(_said(snapshot.evidence, ("drift.features",))),
        "preprocessing": inert(_said(snapshot.evidence, ("pipeline.golden", "pipeline.code_changed"))),
        **root_cause(snapshot, known or causes()),
        **checklist(snapshot.evidence),
    }
    notes = notes_of(snapshot)
    for slot in NOTED:
        text = notes.get(slot) if footnotes and values[slot] != NOT_MEASURED else None
        values[f"note_{slot}"] = None if text is None else f"[^{slot}]: {inert(text)}"
        if text is not None:
            values[slot] = f"{values[slot]} [^{slot}]"
    return values


def _symptom(snapshot: Snapshot) -> str:
    symptom = SYMPTOMS.get(snapshot.diagnosis.symptom or snapshot.incident.symptom)
    if symptom is None:
        return "not stated, and none seen so far"
    return symptom.title + (" (inferred from the findings)" if snapshot.diagnosis.symptom_inferred else "")


def _severity(snapshot: Snapshot) -> str:
    if not snapshot.severity:
        return "nothing over a threshold so far"
    rule = snapshot.diagnosis.severity_rule
    return snapshot.severity + (f" ({rule})" if rule else "")


def _duration(snapshot: Snapshot) -> str:
    started, onset = snapshot.incident.started_at, snapshot.diagnosis.onset_at
    watched = f"watched since {utc_text(started)} ({_minutes(snapshot.at - started)})"
    if onset is None:
        return watched
    return f"since {utc_text(onset)}, {_minutes(snapshot.at - onset)} ({snapshot.diagnosis.onset_source}); {watched}"


def _minutes(seconds: float) -> str:
    minutes = int(max(0.0, seconds) // 60)
    return "less than a minute" if minutes < 1 else f"{minutes} min"


def _said(evidence: Iterable[Evidence], ids: Sequence[str]) -> str:
    """What the first measured of these says, the bad ones first."""
    known = [one for one in evidence if one.id in ids and one.verdict is not Verdict.UNKNOWN]
    known.sort(key=lambda one: (one.verdict is Verdict.OK, ids.index(one.id)))
    return _joined(_few(known)[:3]) or NOT_MEASURED


def _utilization(snapshot: Snapshot) -> str:
    parts = [
        f"GPU {gpu.index} {gpu.utilization_percent:.0f} % ({gpu.provider}){_gpu_age(snapshot, gpu)}"
        for gpu in snapshot.gpus[:8]
        if gpu.utilization_percent is not None and not gpu.lost
    ]
    for pod in snapshot.pods[:20]:
        usage = snapshot.usage.get(pod.key)
        if usage is not None:
            limit = f" of {pod.cpu_limit_cores:g}" if pod.cpu_limit_cores else ""
            parts.append(f"{pod.name} {usage.cpu_cores:.2f}{limit} cores{_usage_age(snapshot, usage)}")
    parts += [
        f"{process.looked_for} {process.cpu_percent:.0f} % of a core{_age(snapshot, 'process', process.at)}"
        for process in snapshot.processes
        if process.cpu_percent is not None
    ]
    if snapshot.host is not None and snapshot.host.cpu_percent is not None:
        age = _age(snapshot, "host", snapshot.host.at)
        parts.append(f"this machine {snapshot.host.cpu_percent:.0f} % of {snapshot.host.cores} cores{age}")
    return _joined(parts) or NOT_MEASURED


def _memory(snapshot: Snapshot) -> str:
    parts = []
    for gpu in snapshot.gpus[:8]:
        if gpu.memory_used_bytes is not None and not gpu.lost:
            total = f" of {_mib(gpu.memory_total_bytes)}" if gpu.memory_total_bytes else ""
            parts.append(f"GPU {gpu.index} {_mib(gpu.memory_used_bytes)}{total}{_gpu_age(snapshot, gpu)}")
    for pod in snapshot.pods[:20]:
        usage = snapshot.usage.get(pod.key)
        if usage is not None:
            limit = f" of {_mib(pod.memory_limit_bytes)}" if pod.memory_limit_bytes else ""
            parts.append(f"{pod.name} {_mib(usage.memory_bytes)}{limit}{_usage_age(snapshot, usage)}")
    parts += [
        f"{process.looked_for} {_mib(process.rss_bytes)} resident{_age(snapshot, 'process', process.at)}"
        for process in snapshot.processes
        if process.rss_bytes is not None
    ]
    return _joined(parts) or NOT_MEASURED


def _age(snapshot: Snapshot, stream: str, at: float | None = None) -> str:
    """Words for a figure that is no longer current; none for one that is."""
    outdated_at = snapshot.outdated_since(stream, at)
    return "" if outdated_at is None else f" (as of {utc_text(outdated_at)[11:]})"


def _gpu_age(snapshot: Snapshot, gpu: GpuDevice) -> str:
    return _age(snapshot, stream_of(gpu.provider, snapshot), gpu.at)


def _usage_age(snapshot: Snapshot, usage: PodUsage) -> str:
    # metrics-server itself is some way behind, so the pods' stream being current says nothing about its figures.
    old = snapshot.wall(snapshot.at) - usage.at > USAGE_FRESH_S
    return f" (as of {utc_text(usage.at)[11:]})" if old else _age(snapshot, "pods")


def _latency(snapshot: Snapshot) -> str:
    parts = []
    for view in snapshot.latency:
        for window in view.windows:
            if window.window_s is None and window.answered:
                figures = " / ".join(_quantile(one) for one in (window.p50, window.p95, window.p99))
                timed = window.answered + dict(window.errors).get(ErrorKind.TIMEOUT, 0)
                parts.append(f"{figures} (since start, n={timed})")
    return _joined(parts) or NOT_MEASURED


def _requests(snapshot: Snapshot) -> str:
    parts = []
    for view in snapshot.latency:
        whole: LatencyWindow | None = next((one for one in view.windows if one.window_s is None), None)
        if whole is None or not whole.requests:
            continue
        unsent = whole.unsent
        sent = whole.requests - unsent
        kinds = ", ".join(f"{count} {kind}" for kind, count in whole.errors if kind not in NOT_SENT)
        text = f"{sent} probe requests, {sent - whole.answered} failed" + (f" ({kinds})" if kinds else "")
        parts.append(text + (f", {unsent} more never sent" if unsent else ""))
    return _joined(parts) or NOT_MEASURED


def _version(snapshot: Snapshot) -> str:
    stated = sorted({view.last.model_version for view in snapshot.latency if view.last and view.last.model_version})
    if stated:
        return f"{', '.join(stated)} (stated by the server's replies)"
    digests = {c.digest or c.image for pod in snapshot.pods for c in pod.containers if c.digest or c.image}
    return f"image {', '.join(sorted(digests)[:4])}" if digests else NOT_MEASURED


def _statements(
    evidence: Iterable[Evidence],
    always: tuple[str, ...],
    found: Iterable[Evidence],
    prefix: str,
) -> str:
    parts = [one.statement for one in evidence if one.id in always]
    parts += _few([one for one in found if prefix and one.id.startswith(prefix) and one.id not in always])
    return _joined(parts) or NOT_MEASURED


def _few(found: Sequence[Evidence]) -> list[str]:
    """One statement per kind of finding, with how many other things it holds for as well."""
    kinds: dict[str, list[str]] = {}
    for one in found:
        kinds.setdefault(one.id, []).append(one.statement)
    return [
        statements[0] + (f" (and {len(statements) - 1} more like it)" if len(statements) > 1 else "")
        for statements in kinds.values()
    ]


def _quantile(quantile: Quantile | None) -> str:
    if quantile is None:
        return "n/a"
    if quantile.censored:
        return f"at least {quantile.value_ms:.0f} ms"
    if quantile.is_figure:
        return f"{quantile.value_ms:.1f} ms"
    if quantile.low_ms is not None:
        return f"above {quantile.low_ms:.1f} ms"
    return f"below {quantile.high_ms:.1f} ms" if quantile.high_ms is not None else f"about {quantile.value_ms:.1f} ms"


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(parts)


def _mib(size_bytes: int | None) -> str:
    return "n/a" if size_bytes is None else f"{size_bytes / 2**20:.0f} MiB"
