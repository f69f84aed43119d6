"""Pods' ends, images, probes and replacements, and that there is nothing of the kind."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infdiag_tui.model import (
    ClusterEvent,
    Container,
    PodGone,
    SourceHealth,
    SourceState,
    Termination,
    Verdict,
)
from tests.findings.scenes import BAD, NOW, found, of, one, pod, scene, series, verdict

QUIET = (
    "oom_killed",
    "restarts",
    "crash_loop",
    "unschedulable",
    "evicted",
    "exit_error",
    "image_pull",
    "probe_failures",
)


def container(**changes: Any) -> Container:
    return dataclasses.replace(pod().containers[0], **changes)


def ended(code: int, reason: str = "Error", age_s: float = 60.0) -> Container:
    return container(restart_count=1, termination=Termination(reason, code, NOW - age_s))


@pytest.mark.parametrize("what", QUIET)
def test_pods_with_nothing_wrong_say_so(what: str) -> None:
    evidence = one(scene(pods=(pod("a"), pod("b"))), f"pods.{what}")
    assert (evidence.verdict, evidence.subject, evidence.sample_size) == (Verdict.OK, "", 2)


@pytest.mark.parametrize("what", QUIET)
def test_without_pods_nobody_says_that_all_is_well(what: str) -> None:
    assert of(scene(), f"pods.{what}") == []


def test_a_container_that_ended_by_itself() -> None:
    evidence = one(scene(pods=(pod(containers=(ended(1),)),)), "pods.exit_error")
    assert evidence.verdict is Verdict.FAIL
    assert "exit code 1" in evidence.statement
    assert verdict(scene(pods=(pod(containers=(ended(139),)),)), "pods.exit_error") is Verdict.FAIL


@pytest.mark.parametrize(("code", "reason"), [(137, "OOMKilled"), (137, "Error"), (143, "Error"), (0, "Completed")])
def test_one_that_was_killed_or_done_did_not_end_in_error(code: int, reason: str) -> None:
    assert verdict(scene(pods=(pod(containers=(ended(code, reason),)),)), "pods.exit_error") is Verdict.OK


def test_an_end_of_yesterday_is_not_of_this_incident() -> None:
    assert verdict(scene(pods=(pod(containers=(ended(1, age_s=90_000),)),)), "pods.exit_error") is Verdict.OK


def test_an_image_that_cannot_be_pulled_is_no_crash_loop() -> None:
    waiting = container(state="waiting", state_reason="ImagePullBackOff", state_message="not found")
    snapshot = scene(pods=(pod(containers=(waiting,), ready=False),))
    assert verdict(snapshot, "pods.image_pull") is Verdict.FAIL
    assert verdict(snapshot, "pods.crash_loop") is Verdict.OK
    looping = container(state="waiting", state_reason="CrashLoopBackOff")
    assert verdict(scene(pods=(pod(containers=(looping,)),)), "pods.crash_loop") is Verdict.FAIL


def test_a_pod_without_a_node_yet_is_not_called_placed() -> None:
    assert of(scene(pods=(pod(), pod("new", node="", phase="Pending", ready=False))), "pods.unschedulable") == []


def totals(metric: str, *values: float, every_s: float = 10.0, end: float = NOW) -> dict[tuple[str, str], object]:
    return {(f"pod.{metric}", "prod/m-1"): series(values, every_s=every_s, end=end)}


def probes(told: dict[tuple[str, str], object], **changes: Any) -> Verdict | None:
    return verdict(scene(told, pods=(pod(**changes),)), "pods.probe_failures")


def test_probes_that_fail_are_counted_within_five_minutes() -> None:
    assert probes(totals("readiness_failures", 40)) is Verdict.OK, "what there was at first sight is no news"
    assert probes(totals("readiness_failures", 40, 41)) is Verdict.WARN
    assert probes(totals("readiness_failures", 40, 41, 43)) is Verdict.FAIL
    assert probes(totals("liveness_failures", 0, 3)) is Verdict.FAIL
    assert probes(totals("liveness_failures", 0, 3, end=NOW - 400)) is Verdict.OK


def test_a_readiness_probe_that_fails_while_its_container_starts_is_waiting() -> None:
    young = container(started_at=NOW - 30)
    assert probes(totals("readiness_failures", 0, 5), containers=(young,)) is None
    assert probes(totals("liveness_failures", 0, 5), containers=(young,)) is Verdict.FAIL


def test_a_young_pod_that_was_ready_and_is_no_more_fails_its_probes() -> None:
    young = container(started_at=NOW - 30)
    failing = totals("readiness_failures", 0, 5)
    assert probes(failing, containers=(young,), ready=False, unready_at=NOW - 20) is Verdict.FAIL
    assert probes(failing, containers=(young,), ready=False, unready_at=NOW - 30) is None, "the restart's own doing"
    seen = {("pod.ready", "prod/m-1"): series((1.0, 0.0), every_s=15.0)}
    assert probes(failing | seen, containers=(young,), ready=False) is Verdict.FAIL


def test_the_last_failure_is_quoted() -> None:
    said = ClusterEvent(
        "u", "prod", "Pod", "m-1", "Warning", "Unhealthy", "Readiness probe failed: 503", 3, NOW, NOW, NOW
    )
    told = scene(totals("readiness_failures", 0, 3), pods=(pod(),), events=(said,))
    assert one(told, "pods.probe_failures").statement.endswith("the last: Readiness probe failed: 503")


def test_where_events_may_not_be_read_nobody_says_that_no_probe_failed() -> None:
    health = SourceHealth("pods", SourceState.DEGRADED, NOW, NOW, reason="no events: not allowed to list events")
    assert of(scene(pods=(pod(),), sources={"pods": health}), "pods.probe_failures") == []


def gone(count: int, age_s: float = 100.0) -> tuple[PodGone, ...]:
    return tuple(PodGone("prod", f"old-{n}", f"u{n}", NOW - age_s) for n in range(count))


def test_pods_that_are_replaced_again_and_again() -> None:
    young = tuple(pod(f"m-{n}", created_at=NOW - 60) for n in range(3))
    old = tuple(pod(f"m-{n}") for n in range(3))
    id_ = "pods.replaced"
    assert verdict(scene(pods=old), id_) is Verdict.OK
    assert verdict(scene(pods=young), id_) is Verdict.UNKNOWN
    assert verdict(scene(pods=young, gone=gone(1)), id_) is Verdict.UNKNOWN
    assert verdict(scene(pods=young, gone=gone(3)), id_) is Verdict.WARN, "one rollout replaces each once"
    evidence = one(scene(pods=young, gone=gone(4)), id_)
    assert (evidence.verdict, evidence.since) == (Verdict.FAIL, NOW - 100)
    assert verdict(scene(pods=old, gone=gone(5, age_s=4000)), id_) is Verdict.OK
    assert verdict(scene(pods=old, gone=gone(5)), id_) is Verdict.UNKNOWN, "scaled down, and nothing came"


def test_images_that_differ() -> None:
    other = container(digest="sha256:2")
    id_ = "pods.image_skew"
    assert verdict(scene(pods=(pod("a"), pod("b"))), id_) is Verdict.OK
    assert of(scene(pods=(pod("a"),)), id_) == []
    assert verdict(scene(pods=(pod("a"), pod("b", containers=(other,)))), id_) is Verdict.FAIL
    rollout = pod("b", containers=(other,), created_at=NOW - 60)
    assert verdict(scene(pods=(pod("a"), rollout)), id_) is Verdict.WARN
    assert verdict(scene(pods=(pod("a"), pod("b"), pod("c", containers=(other,), ready=False))), id_) is Verdict.OK


def test_healthy_pods_give_no_finding_at_all() -> None:
    assert [each.id for each in found(scene(pods=(pod("a"), pod("b")))) if each.verdict in BAD] == []
