"""The machine's clock is set in mid-run: what the cluster dates is judged by the clock's new time, and nothing changes.

The cluster goes by the same time as the machine's clock as it is now; series and replies go on by the steady one.
"""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.model import Pod, PodGone, PodUsage, Snapshot, Termination
from tests.findings.scenes import MIB, NOW, found, one, pod, scene, series

HOUR = 3600.0
SET_BY = (-HOUR, HOUR)


def dated(plain: Pod, set_by: float) -> Pod:
    """The pod as a cluster tells of it whose clock is that much ahead of the steady one."""

    def moved(at: float | None) -> float | None:
        return None if at is None else at + set_by

    containers = tuple(
        dataclasses.replace(
            part,
            started_at=moved(part.started_at),
            termination=part.termination
            and dataclasses.replace(part.termination, finished_at=moved(part.termination.finished_at)),
        )
        for part in plain.containers
    )
    return dataclasses.replace(
        plain,
        created_at=moved(plain.created_at),
        ready_at=moved(plain.ready_at),
        unready_at=moved(plain.unready_at),
        containers=containers,
    )


def ended(name: str, code: int, reason: str, age_s: float) -> Pod:
    end = Termination(reason, code, NOW - age_s)
    return pod(name, containers=(dataclasses.replace(pod().containers[0], restart_count=1, termination=end),))


def incident(set_by: float) -> Snapshot:
    """Ends of half an hour and of an hour and a half ago, a restart that memory shows, new images, failed probes."""
    leaky = pod("leaky", containers=(dataclasses.replace(pod().containers[0], started_at=NOW - 300.0),))
    other_image = dataclasses.replace(pod().containers[0], digest="sha256:2")
    starting = dataclasses.replace(pod().containers[0], started_at=NOW - 30.0)
    pods = (
        leaky,
        ended("crashed", 1, "Error", HOUR / 2),
        ended("crashed-long-ago", 1, "Error", 1.5 * HOUR),
        ended("killed", 137, "OOMKilled", HOUR / 2),
        ended("killed-long-ago", 137, "OOMKilled", 1.5 * HOUR),
        pod("new", created_at=NOW - 120.0, ready_at=NOW - 100.0, containers=(other_image,)),
        pod("starting", ready=False, ready_at=None, unready_at=NOW - 30.0, containers=(starting,)),
        pod("lost", ready=False, ready_at=None, unready_at=NOW - 60.0),
    )
    # Before the restart five minutes ago memory stood higher: seen as one run, it falls.
    memory = [900.0] * 10 + [200.0 + 2.0 * step for step in range(21)]
    return scene(
        {
            ("pod.memory_bytes", "prod/leaky"): series([value * MIB for value in memory], every_s=15.0),
            ("pod.ready", "prod/leaky"): series([1.0], end=NOW - 7000.0),
            ("pod.readiness_failures", "prod/starting"): series([0, 1, 2, 3], every_s=5.0),
            ("pod.readiness_failures", "prod/lost"): series([0, 1, 2, 3], every_s=5.0),
        },
        pods=tuple(dated(one_pod, set_by) for one_pod in pods),
        gone=tuple(PodGone("prod", f"old-{n}", f"o{n}", NOW - 130.0 + n) for n in range(2)),
        usage={"prod/leaky": PodUsage("prod", "leaky", NOW - 20.0 + set_by, 15.0, 0.2, 990 * MIB)},
        clock_set_s=set_by,
    )


def told(set_by: float) -> set[tuple[str, str, str, object, float | None]]:
    return {(one.id, one.subject, one.verdict.value, one.value, one.since) for one in found(incident(set_by))}


def verdicts(all_told: set[tuple[str, str, str, object, float | None]], id_: str) -> dict[str, str]:
    return {subject: verdict for id_of, subject, verdict, _, _ in all_told if id_of == id_}


def test_the_incident_shows_what_each_finding_is_to_say() -> None:
    seen = told(0.0)
    assert verdicts(seen, "pods.exit_error") == {"prod/crashed": "fail", "prod/crashed-long-ago": "ok"}
    assert verdicts(seen, "pods.oom_killed") == {"prod/killed": "fail", "prod/killed-long-ago": "warn"}
    assert verdicts(seen, "pods.memory_slope") == {"prod/leaky": "fail"}
    assert verdicts(seen, "pods.memory_share") == {"prod/leaky": "fail"}
    assert verdicts(seen, "pods.replaced") == {"": "warn"}
    assert verdicts(seen, "pods.image_skew") == {"": "warn"}, "a rollout may be under way"
    assert verdicts(seen, "pods.probe_failures") == {"prod/lost": "fail"}, "the other is still starting"


@pytest.mark.parametrize("set_by", SET_BY)
def test_a_clock_that_is_set_changes_no_finding(set_by: float) -> None:
    assert told(set_by) == told(0.0)


def test_a_run_begins_where_its_container_started_by_the_series_time() -> None:
    window_s = one(incident(-HOUR), "pods.memory_slope").window_s
    assert window_s is not None
    assert window_s <= 300.0
