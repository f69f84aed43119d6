"""Evidence from pods' states and events: ends, images, probes, replacements; and that nothing of the kind is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from infdiag_tui.clock import utc_text
from infdiag_tui.findings.series import EMPTY
from infdiag_tui.model import ClusterEvent, Container, Evidence, Pod, SeriesKey, Snapshot, Verdict
from infdiag_tui.text import one_line

RECENT_S = 3600.0
"""A termination within the last hour belongs to this incident; an older one only warns."""

_KILLED = (137, 143)
"""Exit codes of a process that SIGKILL or SIGTERM ended: somebody else's doing."""
_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
)

PROBE_WINDOW_S = 300.0
PROBES_FAIL = 3
"""As many failures as Kubernetes' default failureThreshold, after which it acts."""
STARTING_S = 60.0
"""A readiness probe that fails so soon after its container's start is waiting for it, unless it was ready meanwhile."""
RESTART_S = 1.0
"""A pod that stops being ready so soon after its container's start does so because of the restart."""

REPLACED_WINDOW_S = 600.0
REPLACED_LEAST = 2
ROLLOUT_S = 600.0
"""Different images for longer than this after the newest pod came are no rollout under way."""

_NONE_WORDS = {
    "pods.oom_killed": "no container was OOMKilled",
    "pods.restarts": "no container has restarted",
    "pods.crash_loop": "no container is in a crash loop",
    "pods.unschedulable": "every pod has a node",
    "pods.evicted": "no pod was evicted",
    "pods.exit_error": "no container ended with an error of its own",
    "pods.image_pull": "every image was pulled",
}


def assess(snapshot: Snapshot, found: Iterable[Evidence]) -> Iterator[Evidence]:
    """Evidence beyond what single pods show by themselves; `found` is what those have shown."""
    own = [*_ends(snapshot), *_images(snapshot)]
    yield from own
    if not snapshot.pods:
        return
    yield from _absent(snapshot, {one.id for one in (*found, *own)})
    yield from _probes(snapshot)
    yield from _replaced(snapshot)
    yield from _skew(snapshot)


def _evidence(id_: str, statement: str, verdict: Verdict, at: float, subject: str = "") -> Evidence:
    bad = verdict in (Verdict.WARN, Verdict.FAIL)
    return Evidence(id_, one_line(statement), verdict, "pods", at, value=bad, subject=subject)


def _ends(snapshot: Snapshot) -> Iterator[Evidence]:
    wall = snapshot.wall(snapshot.at)
    for pod in snapshot.pods:
        for container in (*pod.init_containers, *pod.containers):
            end = container.termination
            if end is None or not end.exit_code or end.exit_code in _KILLED or end.reason == "OOMKilled":
                continue
            recent = end.finished_at is None or wall - end.finished_at <= RECENT_S
            when = "" if end.finished_at is None else f" at {utc_text(end.finished_at)}"
            text = f"{pod.name}: {container.name} ended by itself with exit code {end.exit_code}{when}"
            verdict = Verdict.FAIL if recent else Verdict.OK
            yield _evidence("pods.exit_error", text, verdict, snapshot.at, pod.key)


def _images(snapshot: Snapshot) -> Iterator[Evidence]:
    for pod in snapshot.pods:
        for container in (*pod.init_containers, *pod.containers):
            if container.state == "waiting" and container.state_reason in _IMAGE_REASONS:
                said = f": {container.state_message}" if container.state_message else ""
                text = f"{pod.name} cannot pull {container.image} ({container.state_reason}){said}"
                yield _evidence("pods.image_pull", text, Verdict.FAIL, snapshot.at, pod.key)


def _absent(snapshot: Snapshot, present: set[str]) -> Iterator[Evidence]:
    """What no pod has. Pods that are still being made say nothing of how they will fare."""
    count = len(snapshot.pods)
    for id_, words in _NONE_WORDS.items():
        waits = id_ == "pods.unschedulable" and any(not pod.node and not _is_over(pod) for pod in snapshot.pods)
        if id_ not in present and not waits:
            yield Evidence(
                id_,
                f"{words} ({count} pods)" if count > 1 else words,
                Verdict.OK,
                "pods",
                snapshot.at,
                value=0.0 if id_ == "pods.restarts" else False,
                unit="restarts" if id_ == "pods.restarts" else "",
                sample_size=count,
            )


def _is_over(pod: Pod) -> bool:
    return pod.phase in ("Succeeded", "Failed")


# --- probes ---


def _probes(snapshot: Snapshot) -> Iterator[Evidence]:
    """Failed readiness and liveness probes within five minutes, by pod; one that all is well where events are read."""
    bad = False
    for pod in snapshot.pods:
        count = _failed_probes(snapshot, pod)
        if not count:
            continue
        bad = True
        last = next((one.message for one in snapshot.events if one.reason == "Unhealthy" and _about(one, pod)), "")
        yield Evidence(
            "pods.probe_failures",
            one_line(f"{pod.name}: {count:.0f} probes failed in {PROBE_WINDOW_S / 60:.0f} min; the last: {last}"),
            Verdict.FAIL if count >= PROBES_FAIL else Verdict.WARN,
            "pods",
            snapshot.at,
            value=count,
            unit="failures",
            subject=pod.key,
            window_s=PROBE_WINDOW_S,
            threshold=float(PROBES_FAIL),
            threshold_source="Kubernetes' default failureThreshold",
        )
    health = snapshot.source("pods")
    waiting = any(_risen(snapshot, "pod.readiness_failures", pod.key, 0.0) for pod in snapshot.pods)
    if not bad and not waiting and "no events" not in health.reason:
        yield Evidence(
            "pods.probe_failures",
            f"no probe has failed in {PROBE_WINDOW_S / 60:.0f} min",
            Verdict.OK,
            "pods",
            snapshot.at,
            value=0.0,
            unit="failures",
            window_s=min(PROBE_WINDOW_S, snapshot.at - snapshot.incident.started_at),
            sample_size=len(snapshot.pods),
            threshold=float(PROBES_FAIL),
        )


def _about(event: ClusterEvent, pod: Pod) -> bool:
    return (event.namespace, event.name) == (pod.namespace, pod.name)


def _failed_probes(snapshot: Snapshot, pod: Pod) -> float:
    started = max((one.started_at for one in pod.containers if one.started_at is not None), default=0.0)
    liveness = _risen(snapshot, "pod.liveness_failures", pod.key, 0.0)
    readiness = _risen(snapshot, "pod.readiness_failures", pod.key, _ready_first(snapshot, pod, started))
    return liveness + readiness


def _ready_first(snapshot: Snapshot, pod: Pod, started: float) -> float:
    """From when on a failed readiness probe is news: once the pod was ready, else once it had time to become so.

    `started` is by the cluster's clock, what is returned by the snapshot's.
    """
    lost = pod.unready_at is not None and pod.unready_at > started + RESTART_S
    started = snapshot.steady(started)
    if lost:
        return started
    ready = snapshot.series.get(SeriesKey("pod.ready", pod.key), EMPTY)
    seen = (at for at, value in zip(ready.times, ready.values, strict=True) if value and at > started)
    return min(next(seen, started + STARTING_S), started + STARTING_S)


def _risen(snapshot: Snapshot, metric: str, entity: str, not_before: float) -> float:
    """How far a running total rose within the window, after `not_before`."""
    view = snapshot.series.get(SeriesKey(metric, entity), EMPTY)
    start = max(snapshot.at - PROBE_WINDOW_S, not_before)
    risen = 0.0
    for place in range(1, len(view.times)):
        if view.times[place] >= start:
            risen += max(0.0, view.values[place] - view.values[place - 1])
    return risen


# --- replacements and images ---


def _replaced(snapshot: Snapshot) -> Iterator[Evidence]:
    """Pods that left while others took their place. As many as there are replicas may be one rollout."""
    since = snapshot.at - REPLACED_WINDOW_S
    gone = [one for one in snapshot.gone if one.at >= since]
    created_since = snapshot.wall(since)
    young = [pod for pod in snapshot.pods if pod.created_at is not None and pod.created_at >= created_since]
    replicas = sum(not _is_over(pod) for pod in snapshot.pods)
    count = len(gone) if young else 0
    if count >= REPLACED_LEAST:
        verdict = Verdict.FAIL if count > max(replicas, REPLACED_LEAST) else Verdict.WARN
        text = f"{count} pods were replaced in {REPLACED_WINDOW_S / 60:.0f} min, of {replicas} there are"
    elif gone or young:
        verdict, text = Verdict.UNKNOWN, f"{len(gone)} pods left and {len(young)} are new: perhaps a single change"
    else:
        verdict, text = Verdict.OK, "no pod is new and none has left"
    yield Evidence(
        "pods.replaced",
        text,
        verdict,
        "pods",
        snapshot.at,
        value=float(count),
        unit="pods",
        window_s=min(REPLACED_WINDOW_S, snapshot.at - snapshot.incident.started_at),
        sample_size=replicas,
        threshold=float(REPLACED_LEAST),
        since=gone[0].at if verdict in (Verdict.WARN, Verdict.FAIL) else None,
    )


def _skew(snapshot: Snapshot) -> Iterator[Evidence]:
    ready = [pod for pod in snapshot.pods if pod.ready and not pod.deleting]
    if len(ready) < 2:
        return
    names = [container.name for pod in ready for container in pod.containers]
    shared = [name for name, count in Counter(names).items() if count > 1]
    for name in shared:
        images = Counter(image for pod in ready if (image := _image(_container(pod, name))))
        if len(images) > 1:
            newest = max((pod.created_at or 0.0 for pod in ready), default=0.0)
            lasting = snapshot.wall(snapshot.at) - newest > ROLLOUT_S
            shown = ", ".join(f"{image[-20:]} ({count})" for image, count in images.most_common(4))
            text = f"ready pods run {len(images)} different images of {name}: {shown}"
            yield _evidence("pods.image_skew", text, Verdict.FAIL if lasting else Verdict.WARN, snapshot.at)
            return
    yield _evidence("pods.image_skew", f"{len(ready)} ready pods run the same image", Verdict.OK, snapshot.at)


def _container(pod: Pod, name: str) -> Container | None:
    return next((container for container in pod.containers if container.name == name), None)


def _image(container: Container | None) -> str:
    return (container.digest or container.image) if container is not None else ""
