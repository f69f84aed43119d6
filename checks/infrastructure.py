"""The infrastructure check: what the sources saw of pods, GPUs, nodes and logs, laid out as USE and RED.

Its result has `use` (rows of resource, utilisation, saturation, errors), `red` (rows of service, rate, errors,
duration), `log_errors` (grouped), `events`, `terminations`, `container` (its cgroup, with --in-pod) and `blind`: the
sources that were not live, with their reason.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from checks import infrastructure_cgroup as cgroup
from checks.base import CONTAINER, Check, CheckContext, CheckError, Outcome, Params, no_way, place_of
from checks.infrastructure_charts import use_charts
from checks.infrastructure_logs import group
from checks.infrastructure_red import red_rows
from checks.infrastructure_rows import EVICTING, use_rows
from checks.printable_json import printable_json
from infdiag_tui.clock import utc_text
from infdiag_tui.model import PROBLEM_STATES, CheckStatus, Evidence, Impact, Progress, Snapshot, Verdict
from infdiag_tui.text import clean, one_line

SOURCE = "infrastructure"
OWN_KINDS = ("pods.", "gpu.", "host.", "process.", "logs.")
"""Evidence of the snapshot that is about infrastructure."""

_STATUS = {Verdict.FAIL: CheckStatus.FAIL, Verdict.WARN: CheckStatus.WARN}


class InfrastructureParams(Params):
    """How far to look."""

    in_pod: bool = Field(
        False,
        description="Also read the container's cgroup by exec: CPU throttling, OOM kills, pressure.",
        json_schema_extra={"needs": CONTAINER},
    )
    throttled_share: float = Field(
        0.05, gt=0, le=1, description="Share of CPU periods with throttling that is a finding."
    )
    pressure_share: float = Field(0.1, gt=0, le=1, description="Share of time with something waiting that is one.")


class InfrastructureCheck(Check[InfrastructureParams]):
    """Reads nothing anew but the container's cgroup: it lays out what is being watched."""

    name = "infrastructure"
    title = "Pods, GPUs, nodes and logs as USE and RED"
    step = 2
    needs_snapshot = True
    impact = Impact.EXEC
    symptoms = ("oom", "latency-variance", "intermittent-failures", "slow-inference")
    params = InfrastructureParams

    def missing(self, params: InfrastructureParams, context: CheckContext) -> str:
        """The watched sources, and the way into the container where it is asked for."""
        if context.snapshot is None:
            return "Nothing is being watched: give kubernetes.selector, gpu.dcgm_url or logs.files in the config."
        return no_way(context, CONTAINER) if params.in_pod else ""

    def impact_of(self, params: InfrastructureParams) -> Impact:
        """Only reading the cgroup enters the container."""
        return Impact.EXEC if params.in_pod else Impact.READ_ONLY

    def announce(self, params: InfrastructureParams, context: CheckContext) -> str:
        """What it will do."""
        del params
        return f"Reads a few small files of /sys/fs/cgroup with head, {place_of(context)}."

    async def run(self, params: InfrastructureParams, context: CheckContext) -> Outcome:
        """Lays the snapshot out."""
        snapshot = context.snapshot
        if snapshot is None:
            raise CheckError("nothing is being watched")
        context.report(Progress("grouping error lines", 0.1))
        groups = await asyncio.to_thread(group, snapshot.logs.errors)
        container, place = None, ""
        if params.in_pod and context.remote is not None:
            place = context.remote.place
            context.report(Progress("reading the container's cgroup", 0.6))
            container = await cgroup.read(context.remote)
        result: dict[str, Any] = printable_json(_result(snapshot, groups, container, place))
        if not (result["use"] or result["red"] or snapshot.logs.total or container):
            return Outcome(CheckStatus.SKIPPED, _unseen(snapshot), result=result)
        evidence = (
            *_watched(snapshot),
            *_logs(groups, snapshot),
            *_nodes(snapshot),
            *_container(container, place_of(context), params, context.now()),
        )
        charts = use_charts(result["use"])
        return Outcome(_status(evidence), _summary(evidence, result), evidence, result, charts=charts)


def _result(
    snapshot: Snapshot, groups: list[dict[str, Any]], container: cgroup.Cgroup | None, place: str
) -> dict[str, Any]:
    account = None
    if container is not None:
        account = {"place": place, **dataclasses.asdict(container), "throttled_share": container.throttled_share}
    return {
        "at": snapshot.at,
        "use": [row.as_dict() for row in use_rows(snapshot)],
        "red": red_rows(snapshot),
        "log_errors": groups,
        "events": _events(snapshot),
        "terminations": _terminations(snapshot),
        "container": account,
        "blind": [
            {
                "source": name,
                "state": str(health.state),
                "reason": one_line(clean(health.reason)),
                "remedy": health.remedy,
            }
            for name, health in sorted(snapshot.sources.items())
            if health.state in PROBLEM_STATES
        ],
    }


def _events(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Warnings of the cluster about these pods, the newest first."""
    warnings = [event for event in snapshot.events if event.type != "Normal"]
    warnings.sort(key=lambda event: -(event.last_at or event.at))
    return [
        {
            "reason": one_line(clean(event.reason), 100),
            "object": f"{event.kind}/{event.name}",
            "message": one_line(clean(event.message), 300),
            "count": event.count,
            "first_at": event.first_at,
            "last_at": event.last_at,
        }
        for event in warnings
    ]


def _terminations(snapshot: Snapshot) -> list[dict[str, Any]]:
    """How containers' runs ended, the newest first."""
    found = [
        {
            "pod": pod.key,
            "container": container.name,
            "reason": one_line(clean(container.termination.reason), 100),
            "exit_code": container.termination.exit_code,
            "signal": container.termination.signal,
            "at": container.termination.finished_at,
            "restarts": container.restart_count,
        }
        for pod in snapshot.pods
        for container in (*pod.init_containers, *pod.containers)
        if container.termination is not None
    ]
    return sorted(found, key=lambda one: -(one["at"] or 0.0))


def _watched(snapshot: Snapshot) -> Iterator[Evidence]:
    """What the sources' own findings say of infrastructure, in their own words and with their own thresholds."""
    for one in snapshot.evidence:
        if one.id.startswith(OWN_KINDS) and one.verdict in _STATUS:
            yield one


def _logs(groups: list[dict[str, Any]], snapshot: Snapshot) -> Iterator[Evidence]:
    if not snapshot.logs.total:
        return
    count = sum(int(one["count"]) for one in groups)
    top = groups[0] if groups else None
    words = "No error line was read"
    if top is not None:
        first, last = utc_text(top["first_at"]), utc_text(top["last_at"])
        words = f"{count} error lines are of {len(groups)} kinds; {top['count']} are “{one_line(top['template'], 160)}”"
        words += f", {first} to {last}"
    yield Evidence(
        id="infrastructure.log_errors",
        statement=words,
        # That there are too many errors is for logs.errors to say: it knows the rate and the threshold.
        verdict=Verdict.OK,
        source=SOURCE,
        at=snapshot.at,
        value=float(len(groups)),
        unit="templates",
        sample_size=count,
    )


def _nodes(snapshot: Snapshot) -> Iterator[Evidence]:
    found = [event for event in snapshot.events if event.reason in EVICTING]
    if not found:
        return
    newest = max(found, key=lambda event: event.last_at or event.at)
    told = ", ".join(sorted({event.reason for event in found}))
    yield Evidence(
        id="infrastructure.node_pressure",
        statement=one_line(clean(f"Nodes are in trouble ({told}); the latest: {newest.name}: {newest.message}"), 400),
        verdict=Verdict.WARN,
        source=SOURCE,
        at=newest.at if newest.last_at is None else snapshot.steady(newest.last_at),
        value=float(sum(event.count for event in found)),
        unit="events",
    )


def _container(found: cgroup.Cgroup | None, where: str, params: InfrastructureParams, at: float) -> Iterator[Evidence]:
    if found is None:
        return
    limits = (
        (
            "cpu_throttled",
            found.throttled_share,
            params.throttled_share,
            "throttled_share",
            "of the CPU periods were cut",
        ),
        ("cpu_pressure", found.cpu_pressure, params.pressure_share, "pressure_share", "of 10 s waited for a CPU"),
        (
            "memory_pressure",
            found.memory_pressure,
            params.pressure_share,
            "pressure_share",
            "of 10 s waited for memory",
        ),
    )
    for name, value, limit, parameter, words in limits:
        if value is None:
            continue
        yield Evidence(
            id=f"infrastructure.{name}",
            statement=f"{value:.1%} {words} {where}",
            verdict=Verdict.WARN if value > limit else Verdict.OK,
            source=SOURCE,
            at=at,
            value=value,
            unit="share",
            sample_size=found.periods if name == "cpu_throttled" else None,
            threshold=limit,
            threshold_source=f"parameter {parameter}",
        )
    if found.oom_kills is not None:
        killed = found.oom_kills
        yield Evidence(
            id="infrastructure.oom_kills",
            statement=f"{killed} processes were killed for memory {where} since it started",
            verdict=Verdict.FAIL if killed else Verdict.OK,
            source=SOURCE,
            at=at,
            value=float(killed),
            unit="kills",
            threshold=0.0,
            threshold_source="a worker's OOM kill restarts no container, and so shows nowhere else",
        )


def _unseen(snapshot: Snapshot) -> str:
    why = "; ".join(f"{name}: {one.reason}" for name, one in sorted(snapshot.sources.items()) if one.reason)
    return one_line(clean("Nothing has been observed yet" + (f": {why}." if why else "; wait for the sources.")), 600)


def _status(evidence: tuple[Evidence, ...]) -> CheckStatus:
    verdicts = {one.verdict for one in evidence}
    return next((_STATUS[verdict] for verdict in (Verdict.FAIL, Verdict.WARN) if verdict in verdicts), CheckStatus.OK)


def _summary(evidence: tuple[Evidence, ...], result: dict[str, Any]) -> str:
    found = sorted((one for one in evidence if one.verdict in _STATUS), key=lambda one: one.verdict is not Verdict.FAIL)
    blind = ", ".join(one["source"] for one in result["blind"])
    unseen = f" Not seen: {blind}." if blind else ""
    if not found:
        return f"Nothing wrong in {len(result['use'])} resources and {len(result['red'])} services.{unseen}"
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return one_line(f"{found[0].statement}{more}.{unseen}", 600)


CHECK = InfrastructureCheck()
