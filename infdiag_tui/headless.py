"""`infdiag triage`: the same session without a screen; data on standard output, talk on standard error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys

from infdiag_tui import exit_codes
from infdiag_tui.clock import utc_text
from infdiag_tui.model import (
    Evidence,
    HypothesisStatus,
    Snapshot,
    SourceHealth,
    SourceState,
    Verdict,
)
from infdiag_tui.report.document import document
from infdiag_tui.session import Session
from infdiag_tui.text import one_line

log = logging.getLogger(__name__)

_OUT_OF_REACH = (SourceState.UNAVAILABLE, SourceState.FORBIDDEN)
_ASKED_FOR = ("latency", "logs", "pods", "pod-logs", "dcgm", "gpu-source", "process", "server_prometheus")
"""Sources that someone named; this machine's own GPU and host are looked at unasked and may be absent."""


_NOTHING_YET = "nothing came from it in this time; watch longer, as with --for 30s"

_OWN_ABSENCE = ("latency", "process")
"""Sources whose findings, while they are out of reach, say no more than that; what pods told before stands."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def watch(session: Session, duration_s: float) -> tuple[Snapshot, bool]:
    """Runs a session for `duration_s`, telling new findings on standard error.

    Returns:
        The last picture, and whether the time ran out (False: interrupted).
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # as under nohup

    def interrupted() -> None:
        stop.set()
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)  # a second Ctrl+C ends at once, whatever the first one waits for

    for number in handled:
        loop.add_signal_handler(number, interrupted)
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
        await asyncio.gather(stopping, narrating, running, return_exceptions=True)
    for task in (narrating, running):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
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
                lines[f"{health.name} {health.state} {health.reason}"] = _trouble(health)
            elif health.state is SourceState.DEGRADED:
                # Once: its reason may quote a reply, each with a number of its own.
                lines[f"{health.name} {health.state}"] = _trouble(health)
        for key, line in lines.items():
            if key not in said:
                said.add(key)
                _say(one_line(line, 600))


def _say(text: str) -> None:
    """Talks to the operator; with nobody listening any more the triage goes on."""
    with contextlib.suppress(OSError):
        print(f"infdiag: {text}", file=sys.stderr, flush=True)


def _hand_over(text: str) -> None:
    """Prints the result; where that fails, says so and leaves the exit code to tell the outcome."""
    if sys.stdout is None:  # started with it closed (`>&-`)
        _say("the result could not be written: standard output is closed")
        return
    try:
        print(text.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding), flush=True)
    except BrokenPipeError:
        _discard_output()  # the reader went away (`| head`): it has what it wanted
    except OSError as error:
        _discard_output()
        _say(f"the result could not be written to standard output: {error.strerror}")


def _discard_output() -> None:
    # What is still buffered would fail again, and change the exit code, when the interpreter ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _trouble(health: SourceHealth) -> str:
    remedy = f". Remedy: {health.remedy}" if health.remedy else ""
    return f"{health.name}: {health.state.value}: {health.reason}{remedy}"


def _is_finding(evidence: Evidence) -> bool:
    return evidence.verdict in (Verdict.WARN, Verdict.FAIL)


def out_of_reach(snapshot: Snapshot) -> list[str]:
    """The named sources that cannot be reached now, never gave anything, or (pods) found nothing of what was named."""
    found = []
    for name, health in snapshot.sources.items():
        silent = health.last_data_at is None and health.state in (SourceState.STARTING, SourceState.STALE)
        nothing = name == "pods" and health.state is SourceState.DEGRADED and not snapshot.pods
        if name.split(":")[0] in _ASKED_FOR and (health.state in _OUT_OF_REACH or silent or nothing):
            found.append(name)
    return found


def exit_code(snapshot: Snapshot) -> int:
    """Problem found before target out of reach: that a target does not answer is no other finding.

    A server that answered in this incident and then no longer did was within reach: that is a problem found.
    """
    missing = out_of_reach(snapshot)
    own_words = set(_OWN_ABSENCE).intersection(missing)
    if any(window.answered for view in snapshot.latency for window in view.windows):
        own_words.discard("latency")
    if any(_is_finding(one) and one.source not in own_words for one in snapshot.evidence):
        return exit_codes.PROBLEM_FOUND
    return exit_codes.UNREACHABLE if missing else exit_codes.OK


def summary(snapshot: Snapshot) -> str:
    """The same for human eyes."""
    missing = out_of_reach(snapshot)
    fine = "nothing over a threshold" + (", but not everything could be watched" if missing else "")
    lines = [
        f"{snapshot.incident.model}: {snapshot.severity or fine}",
        f"watched {snapshot.at - snapshot.incident.started_at:.0f} s from {utc_text(snapshot.incident.started_at)}",
        "",
    ]
    lines += _diagnosis_lines(snapshot)
    lines += [
        f"  {one.verdict.value:7}  {one_line(one.statement)}"
        for one in snapshot.evidence
        if _is_finding(one) or one.id.startswith(("latency.p", "pods.ready"))
    ]
    for name, health in snapshot.sources.items():
        if name not in missing and health.state is not SourceState.DEGRADED:
            continue
        lines.append(f"  {health.state.value}: {name}: {one_line(health.reason or _NOTHING_YET)}")
        if health.remedy:
            lines.append(f"        remedy: {one_line(health.remedy)}")
    unsaved = "NOT saved to " if snapshot.draft.save_error else ""
    lines += ["", f"report: {unsaved}{snapshot.draft.path}"]
    return "\n".join(lines)


def _diagnosis_lines(snapshot: Snapshot) -> list[str]:
    diagnosis = snapshot.diagnosis
    lines = [f"  root cause: {one.title} ({one.component}): {one.reason}" for one in diagnosis.root_causes]
    likely = [one for one in diagnosis.hypotheses if one.status is HypothesisStatus.LIKELY and not one.because_of]
    for one in likely[:3]:
        next_check = f"; to settle it: infdiag check {one.next_check}" if one.next_check else ""
        lines.append(f"  likely: {one.title} ({one.component}): {one.reason}{next_check}")
    if diagnosis.conflict:
        lines.append(f"  contradictory: {diagnosis.conflict}")
    if not lines and snapshot.severity and diagnosis.next_checks:
        best = diagnosis.next_checks[0]
        lines.append(f"  no cause stands out; next: infdiag check {best.check}, which {best.reason}")
    return [*map(one_line, lines), ""] if lines else []


def run(session: Session, duration_s: float, *, as_json: bool) -> int:
    """Runs a triage and prints its result; returns the command's exit code."""
    try:
        snapshot, finished = asyncio.run(watch(session, duration_s))
    except Exception as error:
        log.exception("the triage failed")
        details = f"{session.snapshot().incident.folder}/infdiag.log"
        _say(f"a defect of infdiag ended the triage: {type(error).__name__}: {error}. Details: {details}")
        return exit_codes.DEFECT
    _hand_over(json.dumps(document(snapshot), indent=2) if as_json else summary(snapshot))
    if as_json:
        for name in out_of_reach(snapshot):
            if not snapshot.sources[name].reason:
                _say(f"{name}: {snapshot.sources[name].state.value}: {_NOTHING_YET}")
    if snapshot.draft.save_error:
        _say(
            f"the report was NOT saved to {snapshot.draft.path}: {snapshot.draft.save_error}. "
            "Make room there, or name another folder with --out DIR."
        )
    return exit_code(snapshot) if finished else exit_codes.INTERRUPTED
