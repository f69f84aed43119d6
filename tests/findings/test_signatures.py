"""Evidence from known lines, and what it does to the ranking of causes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infdiag_tui.clock import utc_text
from infdiag_tui.diagnosis import diagnose
from infdiag_tui.knowledge.causes import causes
from infdiag_tui.knowledge.signatures import signature_weights
from infdiag_tui.model import Evidence, SignatureSeen, SourceHealth, SourceState, Verdict
from tests.findings.scenes import NOW, of, one, scene

OOM = SignatureSeen("torch-cuda-out-of-memory", 12, NOW - 300, NOW - 20, "CUDA out of memory.", "prod/m-1/server")
STARTED = NOW - 3600


def evidence(seen: SignatureSeen, **fields: Any) -> Evidence:
    return one(scene(signatures=(seen,), **fields), "logs.signature")


def test_it_says_what_how_often_when_and_quotes_the_newest() -> None:
    found = evidence(OOM)
    assert (found.subject, found.value, found.unit, found.source) == (OOM.id, 12.0, "lines", "logs")
    assert (found.verdict, found.since, found.at) == (Verdict.FAIL, NOW - 300, NOW - 20)
    for words in ("PyTorch: CUDA out of memory", "12 lines", utc_text(NOW - 300), utc_text(NOW - 20), OOM.sample):
        assert words in found.statement


@pytest.mark.parametrize(
    ("id_", "verdict"),
    [("torch-cuda-out-of-memory", Verdict.FAIL), ("xid-application", Verdict.WARN), ("vllm-compiling", Verdict.OK)],
)
def test_the_verdict_is_the_severity_of_the_signature(id_: str, verdict: Verdict) -> None:
    assert evidence(dataclasses.replace(OOM, id=id_)).verdict is verdict


def test_lines_older_than_an_hour_before_the_incident_have_no_verdict() -> None:
    old = STARTED - 3601
    assert evidence(dataclasses.replace(OOM, first_at=old - 9, last_at=old)).verdict is Verdict.UNKNOWN
    within = dataclasses.replace(OOM, first_at=STARTED - 3599, last_at=STARTED - 3599)
    assert evidence(within).verdict is Verdict.FAIL


def test_of_a_line_that_also_came_long_before_the_beginning_is_not_known() -> None:
    assert evidence(dataclasses.replace(OOM, first_at=STARTED - 9_000)).since is None


def test_a_line_that_also_comes_in_good_times_says_nothing_before_there_are_enough() -> None:
    few = dataclasses.replace(OOM, id="sglang-retract", count=4)
    assert evidence(few).verdict is Verdict.UNKNOWN
    enough = evidence(dataclasses.replace(few, count=5))
    assert (enough.verdict, enough.threshold, enough.sample_size) == (Verdict.WARN, 5.0, 5)


def test_an_event_is_the_cluster_s_and_keeps_its_verdict_when_that_falls_silent() -> None:
    seen = dataclasses.replace(OOM, id="k8s-unschedulable", is_event=True)
    silent = SourceHealth("pods", SourceState.UNAVAILABLE, NOW - 10, NOW - 30)
    found = evidence(seen, sources={"pods": silent})
    assert (found.source, found.verdict) == ("pods", Verdict.FAIL)


def test_a_signature_that_is_not_known_is_no_evidence() -> None:
    assert not of(scene(signatures=(dataclasses.replace(OOM, id="gone"),)), "logs.signature")


def test_a_decisive_line_confirms_its_cause() -> None:
    found = diagnose((evidence(OOM),), causes(), "oom", signatures=signature_weights())
    first = found.hypotheses[0]
    assert first.cause == "gpu-memory-exhausted"
    assert first.status == "confirmed"


def test_a_line_that_only_echoes_a_cause_moves_none() -> None:
    dead = evidence(dataclasses.replace(OOM, id="vllm-engine-dead"))
    quiet = diagnose((), causes(), "oom", signatures=signature_weights())
    echoed = diagnose((dead,), causes(), "oom", signatures=signature_weights())
    assert [h.cause for h in echoed.hypotheses] == [h.cause for h in quiet.hypotheses]
    assert not any(h.status == "confirmed" for h in echoed.hypotheses)
