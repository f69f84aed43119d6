"""Each infrastructure scenario starts, its fault shows in raw facts, and nothing is left of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from tests.lab.facts import Facts, Overrides, facts_of

Proof = Callable[[Facts], Awaitable[None]]


async def _killed_for_its_memory(facts: Facts) -> None:
    async def killed() -> bool:
        return bool((await facts.container())["lastState"])

    await facts.until(killed, "a bulk request ends the container")
    ended = (await facts.container())["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    assert await facts.event("OOMKilling")


async def _leaking(facts: Facts) -> None:
    before = (await facts.metrics())["process_resident_memory_bytes"]

    async def grown() -> bool:
        await facts.ask()
        return (await facts.metrics())["process_resident_memory_bytes"] > before + 40e6

    await facts.until(grown, "resident memory grows with the requests")


async def _stopped_by_its_quota(facts: Facts) -> None:
    async def throttled() -> bool:
        name = (await facts.pods())[0]["metadata"]["name"]
        path = facts.lab.folder / "pods" / name / "sys/fs/cgroup/cpu.stat"
        # Not there before the kubelet's first reading, and written anew with each.
        account = dict(line.split() for line in path.read_text().splitlines()) if path.exists() else {}
        return int(account.get("nr_throttled", 0)) > 5

    await facts.until(throttled, "the container is stopped in many periods")
    limits = (await facts.pods())[0]["spec"]["containers"][0]["resources"]["limits"]
    assert int(limits["cpu"].removesuffix("m")) < 100


async def _crashing_at_start(facts: Facts) -> None:
    async def waiting() -> bool:
        pods = await facts.pods()
        states = [pod["status"]["containerStatuses"][0]["state"].get("waiting", {}) for pod in pods]
        return [state.get("reason") for state in states] == ["CrashLoopBackOff"]

    await facts.until(waiting, "the container waits for its next restart")
    ended = (await facts.container())["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("Error", 1)
    said = await facts.log()
    assert "Traceback" in said
    assert "FileNotFoundError" in said
    assert (await facts.ask()).status == 0


async def _unschedulable(facts: Facts) -> None:
    async def pending() -> bool:
        return "Pending" in {pod["status"]["phase"] for pod in await facts.pods()}

    await facts.until(pending, "a pod finds no node")
    lone = next(pod for pod in await facts.pods() if pod["status"]["phase"] == "Pending")
    condition = lone["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert "nodeName" not in lone["spec"]
    assert await facts.event("FailedScheduling")


async def _evicted(facts: Facts) -> None:
    async def evicted() -> bool:
        return "Evicted" in {pod["status"].get("reason") for pod in await facts.pods()}

    await facts.until(evicted, "the node puts the pod out")
    nodes = (await facts.api.get("/api/v1/nodes"))[1]["items"]
    pressure = {c["status"] for node in nodes for c in node["status"]["conditions"] if c["type"] == "MemoryPressure"}
    assert "True" in pressure

    async def replaced() -> bool:
        return (await facts.ask()).status == 200

    await facts.until(replaced, "another pod serves in its place")


async def _complaining_though_well(facts: Facts) -> None:
    async def unready() -> bool:
        return not (await facts.container())["ready"]

    await facts.until(unready, "the kubelet takes the pod out of service")
    assert (await facts.health())[0] == 503
    assert await facts.event("Unhealthy")
    assert (await facts.ask((await facts.urls())[0])).status == 200


async def _one_of_two_fails(facts: Facts) -> None:
    good, bad = await facts.urls()

    async def failing() -> bool:
        return (await facts.ask(bad)).status == 500

    await facts.until(failing, "the bad replica fails")
    assert (await facts.ask(good)).status == 200


async def _crowded_out(facts: Facts) -> None:
    async def crowded() -> bool:
        _, usage = await facts.api.get("/apis/metrics.k8s.io/v1beta1/nodes")
        used = max((int(node["usage"]["cpu"].removesuffix("n")) / 1e9 for node in usage["items"]), default=0.0)
        _, pods = await facts.api.get(f"/apis/metrics.k8s.io/v1beta1/namespaces/{facts.lab.namespace}/pods")
        own = sum(int(pod["containers"][0]["usage"]["cpu"].removesuffix("n")) / 1e9 for pod in pods["items"])
        return used > 0.3 and own < used / 2

    await facts.until(crowded, "others take the node's processor time")
    pid = (await facts.lab.replicas())[0].pid
    assert pid is not None
    assert len(os.sched_getaffinity(pid)) == 1
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19


async def _hot(facts: Facts) -> None:
    async def slow() -> bool:
        return (await facts.ask()).took_s > 0.25

    await facts.until(slow, "inference takes as much longer as the clock is lower")
    assert (await facts.gpu("CLOCKS_EVENT_REASONS"))[0] in (0x60, 0x61)
    assert (await facts.gpu("GPU_TEMP"))[0] > 85
    clock, highest = await facts.gpu("SM_CLOCK"), await facts.gpu("MAX_SM_CLOCK")
    assert clock[0] < highest[0] / 5


async def _broken_card(facts: Facts) -> None:
    async def failing() -> bool:
        return (await facts.ask()).status == 500

    await facts.until(failing, "requests fail")
    assert "uncorrectable ECC error" in await facts.log()
    assert (await facts.gpu("XID_ERRORS"))[0] == 95
    assert (await facts.gpu("ECC_DBE_VOL_TOTAL"))[0] > 0

    async def restarted() -> bool:
        return bool((await facts.container())["restartCount"])

    await facts.until(restarted, "the container is restarted")


async def _busy_without_a_break(facts: Facts) -> None:
    async def saturated() -> bool:
        waiting = (await facts.metrics()).get("fraud_scorer_queue_depth", 0)
        return waiting > 8 and (await facts.gpu("GPU_UTIL"))[0] >= 95

    await facts.until(saturated, "the card is busy and requests queue")


async def _on_the_processor(facts: Facts) -> None:
    async def slow() -> bool:
        return (await facts.ask()).took_s > 0.06 and "Falling back" in await facts.log()

    await facts.until(slow, "the processor computes, and takes its time")

    async def idle() -> bool:
        return (await facts.gpu("GPU_UTIL"))[0] == 0 and (await facts.gpu("FB_USED"))[0] == 0

    await facts.until(idle, "the card does nothing")


async def _no_room_on_the_card(facts: Facts) -> None:
    async def failing() -> bool:
        return (await facts.ask()).status == 500

    await facts.until(failing, "some requests find no room")
    assert "CUDA out of memory" in await facts.log()

    async def full() -> bool:
        return (await facts.gpu("FB_USED"))[0] / 24_576 > 0.95

    await facts.until(full, "the card's memory is used up")


async def _gateway_gone(facts: Facts) -> None:
    async def refused() -> bool:
        return (await facts.ask()).status == 0

    await facts.until(refused, "the service refuses connections")
    assert (await facts.ask((await facts.urls())[0])).status == 200
    assert (await facts.container())["ready"]


async def _late_loading(facts: Facts) -> None:
    async def loading() -> bool:
        return (await facts.ask()).took_s > 0.2 and "model loaded" in await facts.log()

    await facts.until(loading, "a new pod's first request waits for the model")


async def _collecting(facts: Facts) -> None:
    async def paused() -> bool:
        page = await facts.metrics()
        count = page.get("python_gc_duration_seconds_count[2]", 0)
        return count >= 2 and page["python_gc_duration_seconds_sum[2]"] / count > 0.03

    await facts.until(paused, "full collections take long")


async def _queueing(facts: Facts) -> None:
    async def queueing() -> bool:
        return (await facts.metrics()).get("fraud_scorer_queue_depth", 0) > 10

    await facts.until(queueing, "requests queue")
    assert (await facts.gpu("GPU_UTIL"))[0] < 90


async def _connections_used_up(facts: Facts) -> None:
    async def refused() -> bool:
        return (await facts.ask()).status == 502

    await facts.until(refused, "the replica has no connection left for the gateway")

    async def told() -> bool:
        page = await facts.metrics()
        return page.get("fraud_scorer_connections_active", 0) > 0.8 * page.get("fraud_scorer_connections_max", 1e9)

    await facts.until(told, "its own figures say so")


async def _slow_line(facts: Facts) -> None:
    async def slow() -> bool:
        return (await facts.ask()).took_s > 0.5

    await facts.until(slow, "replies trickle in")
    assert await facts.mean_ms("fraud_scorer_request_duration_seconds") < 400


async def _store_hangs(facts: Facts) -> None:
    async def failing() -> bool:
        return (await facts.ask()).status == 503

    await facts.until(failing, "requests fail for want of features")
    assert (await facts.metrics())["fraud_scorer_upstream_requests_total[timeout]"] >= 2
    assert "request to feature-store failed" in await facts.log()


async def _only_together(facts: Facts) -> None:
    async def failing() -> bool:
        return 500 in {reply.status for reply in await facts.ask_together(9)}

    await facts.until(failing, "requests that overlap fail")
    assert {(await facts.ask()).status for _ in range(5)} == {200}


PROOFS: dict[str, tuple[Overrides, Proof]] = {
    "memory-leak": ({"kept_bytes_per_request": 8 * 2**20}, _leaking),
    "memory-limit-exceeded": ({"bulk_every_s": 3.0}, _killed_for_its_memory),
    "cpu-throttled": ({}, _stopped_by_its_quota),
    "crash-loop": ({"backoff_s": 30.0}, _crashing_at_start),
    "unschedulable": ({"replicas": 2}, _unschedulable),
    "evicted": ({}, _evicted),
    "probe-failure": ({}, _complaining_though_well),
    "bad-replica": ({"replicas": 2}, _one_of_two_fails),
    "resource-contention": ({}, _crowded_out),
    "gpu-throttled": ({}, _hot),
    "gpu-fault": ({"break_every_s": 60.0}, _broken_card),
    "gpu-saturated": ({"surge_rps": 20.0}, _busy_without_a_break),
    "gpu-unused": ({}, _on_the_processor),
    "gpu-memory-exhausted": ({}, _no_room_on_the_card),
    "server-unreachable": ({}, _gateway_gone),
    "cold-start": ({"warmup_s": 0.5, "replace_pod_every_s": 8.0}, _late_loading),
    "gc-pauses": ({"pause_s": 0.05, "collect_every_s": 0.5}, _collecting),
    "queueing": ({"surge_rps": 60.0}, _queueing),
    "connection-exhaustion": ({"held": 130}, _connections_used_up),
    "network-slow": ({}, _slow_line),
    "dependency-failure": ({}, _store_hangs),
    "race-condition": ({"burst_requests": 0}, _only_together),
}


@pytest.mark.parametrize("name", PROOFS)
async def test_the_fault_shows(name: str) -> None:
    overrides, proof = PROOFS[name]
    async with asyncio.timeout(120), facts_of(name, overrides) as facts:
        await proof(facts)
