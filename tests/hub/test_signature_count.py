"""Known lines are counted as they come: exactly, with first and last, and never without bound."""

from __future__ import annotations

import dataclasses

from infdiag_tui.hub.hub import Hub
from infdiag_tui.hub.signature_count import SignatureCount
from infdiag_tui.knowledge.signatures import signatures
from infdiag_tui.model import BACKLOG_S, ClusterEvent, LogLine, Severity, SignatureSeen

NOW = 1_700_000_000.0
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


def line(text: str, at: float = NOW, **changes: float) -> LogLine:
    return LogLine("app.log", text, Severity.INFO, received_at=at, **changes)  # type: ignore[arg-type]


def event(count: int, *, uid: str = "e1", last_at: float = NOW) -> ClusterEvent:
    words = "Readiness probe failed: HTTP probe failed with statuscode: 503"
    return ClusterEvent(uid, "prod", "Pod", "m-1", "Warning", "Unhealthy", words, count, NOW - 60, last_at, NOW)


def only(hub: Hub) -> SignatureSeen:
    (seen,) = hub.signatures()
    return seen


def test_counts_stay_exact_when_lines_leave_the_ring() -> None:
    hub = Hub(max_log_lines=10, opened_at=NOW - 100)
    for number in range(500):
        hub.put(line(OOM if number < 40 else "all is well", NOW + number))
    seen = only(hub)
    assert (seen.id, seen.count, seen.first_at, seen.last_at) == ("torch-cuda-out-of-memory", 40, NOW, NOW + 39)
    assert seen.sample == OOM
    assert seen.source == "app.log"
    assert not any(OOM in kept.text for kept in hub.logs().lines)


def test_the_sample_is_the_headline_of_the_newest() -> None:
    hub = Hub(opened_at=NOW - 100)
    hub.put(line(OOM, NOW))
    hub.put(line(f'Traceback (most recent call last):\n  File "a.py", line 1\n{OOM} Again.', NOW + 1))
    assert only(hub).sample == f"{OOM} Again."


def test_what_stood_in_the_log_before_is_dated_by_its_own_time() -> None:
    hub = Hub(opened_at=NOW)
    hub.put(LogLine("app.log", OOM, Severity.ERROR, received_at=NOW + 1, at=NOW - 7200))
    hub.put(LogLine("app.log", OOM, Severity.ERROR, received_at=NOW + BACKLOG_S + 1, at=NOW - 7200))
    assert (only(hub).first_at, only(hub).last_at) == (NOW - 7200, NOW + BACKLOG_S + 1)


def test_an_event_that_is_told_again_counts_what_is_new() -> None:
    hub = Hub(opened_at=NOW - 100)
    for told in (event(3), event(3), event(5, last_at=NOW + 30), event(1, uid="e2", last_at=NOW + 10)):
        hub.put(told)
    seen = only(hub)
    assert (seen.id, seen.count, seen.last_at, seen.is_event) == ("k8s-probe-failed", 6, NOW + 30, True)
    assert seen.first_at == NOW - 60
    assert seen.source == "prod/m-1"
    assert seen.sample.startswith("Unhealthy: Readiness probe failed")


def test_what_is_remembered_is_bounded() -> None:
    count = SignatureCount(NOW, max_events=50)
    for number in range(500):
        count.add_event(event(1, uid=f"e{number}"))
    examples = [text for one in signatures().values() for text in one.positive]
    for number in range(5_000):
        count.add(line(f"{number} {examples[number % len(examples)]}"))
    assert len(count._event_counts) == 50
    assert 0 < len(count.view()) <= len(signatures())


def test_the_view_is_the_same_object_until_another_comes() -> None:
    hub = Hub(opened_at=NOW)
    hub.put(line(OOM))
    first = hub.signatures()
    hub.put(line("all is well"))
    assert hub.signatures() is first
    hub.put(dataclasses.replace(line(OOM), received_at=NOW + 1))
    assert only(hub).count == 2
