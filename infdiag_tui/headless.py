"""`infdiag triage`: the same session without a screen; data on standard output, talk on standard error."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import signal
import sys
from datetime import UTC, datetime
from typing import Any

from infdiag_tui import exit_codes
from infdiag_tui.clock import utc_text
from infdiag_tui.model import Evidence, Snapshot, SourceState, Verdict
from infdiag_tui.session import ENGINE, Session
from infdiag_tui.text import one_line

_OUT_OF_REACH = (SourceState.UNAVAILABLE, SourceState.FORBIDDEN)
_ASKED_FOR = ("latency", "logs", "pods", "pod-logs", "dcgm", "process")
"""Sources that someone named; this machine's own GPU and host are looked at unasked and may be absent."""


async def watch(session: Session, duration_s: float) -> tuple[Snapshot, bool]:
    """Runs a session for `duration_s`, telling new findings on standard error.

    Returns:
        The last picture, and whether the time ran out (False: interrupted).
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(session.run(), name="session")
    narrating = asyncio.create_task(_narrate(session), name="narrate")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({running, stopping}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        session.conclude()
        last = session.snapshot()
    finally:
        for task in (stopping, narrating, running):
            task.cancel()
        for task in (stopping, narrating, running):
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return last, not stop.is_set()


async def _narrate(session: Session) -> None:
    """Says each finding and each source's change once."""
    said: set[str] = set()
    while True:
        await asyncio.sleep(0.5)
        snapshot = session.snapshot()
        lines = {
            f"{one.id} {one.subject}": f"{one.verdict.value}: {one.statement}"
            for one in snapshot.evidence
            if _is_finding(one)
        }
        for health in snapshot.sources.values():
            if health.state in _OUT_OF_REACH:
                remedy = f". Remedy: {health.remedy}" if health.remedy else ""
                text = f"{health.name}: {health.state.value}: {health.reason}{remedy}"
                lines[f"{health.name} {health.state} {health.reason}"] = text
        for key, line in lines.items():
            if key not in said:
                said.add(key)
                print(f"infdiag: {one_line(line, 600)}", file=sys.stderr)


def _is_finding(evidence: Evidence) -> bool:
    return evidence.verdict in (Verdict.WARN, Verdict.FAIL)


def out_of_reach(snapshot: Snapshot) -> list[str]:
    """The named sources that cannot be reached now, or never gave anything."""
    found = []
    for name, health in snapshot.sources.items():
        silent = health.last_data_at is None and health.state in (SourceState.STARTING, SourceState.STALE)
        if name.split(":")[0] in _ASKED_FOR and (health.state in _OUT_OF_REACH or silent):
            found.append(name)
    return found


def exit_code(snapshot: Snapshot) -> int:
    """Problem found before target out of reach: what an unreachable source says about itself is no other finding."""
    missing = out_of_reach(snapshot)
    if any(_is_finding(one) and one.source not in missing for one in snapshot.evidence):
        return exit_codes.PROBLEM_FOUND
    return exit_codes.UNREACHABLE if missing else exit_codes.OK


def document(snapshot: Snapshot) -> dict[str, Any]:
    """The JSON document of a triage; hypotheses are empty and the root cause null until something names one."""
    incident = snapshot.incident
    return {
        "model": incident.model,
        "symptom": incident.symptom or None,
        "severity": snapshot.severity or None,
        "started": _iso(incident.started_at),
        "duration_s": round(snapshot.at - incident.started_at, 3),
        "hypotheses": [],
        "root_cause": None,
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
            if name != ENGINE
        },
        "report": snapshot.draft.path,
        "report_error": snapshot.draft.save_error or None,
    }


def evidence_fields(evidence: Evidence) -> dict[str, Any]:
    """Evidence as JSON fields, times in ISO 8601."""
    fields = dataclasses.asdict(evidence)
    return {**fields, "verdict": evidence.verdict.value, "at": _iso(evidence.at), "since": _iso(evidence.since)}


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def summary(snapshot: Snapshot) -> str:
    """The same for human eyes."""
    lines = [
        f"{snapshot.incident.model}: {snapshot.severity or 'nothing over a threshold'}",
        f"watched {snapshot.at - snapshot.incident.started_at:.0f} s from {utc_text(snapshot.incident.started_at)}",
        "",
    ]
    lines += [
        f"  {one.verdict.value:7}  {one_line(one.statement)}"
        for one in snapshot.evidence
        if _is_finding(one) or one.id.startswith(("latency.p", "pods.ready"))
    ]
    for name in out_of_reach(snapshot):
        health = snapshot.sources[name]
        lines.append(f"  {health.state.value}: {name}: {one_line(health.reason)}")
        if health.remedy:
            lines.append(f"        remedy: {one_line(health.remedy)}")
    lines += ["", f"report: {snapshot.draft.path}"]
    return "\n".join(lines)


def run(session: Session, duration_s: float, *, as_json: bool) -> int:
    """Runs a triage and prints its result; returns the command's exit code."""
    snapshot, finished = asyncio.run(watch(session, duration_s))
    print(json.dumps(document(snapshot), indent=2) if as_json else summary(snapshot))
    if snapshot.draft.save_error:
        print(f"infdiag: the report was NOT saved: {snapshot.draft.save_error}", file=sys.stderr)
    return exit_code(snapshot) if finished else exit_codes.INTERRUPTED
