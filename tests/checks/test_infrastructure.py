"""The infrastructure check over snapshots with and without faults: rows, reasons for gaps, grouped errors, a cgroup."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checks.base import CheckContext, CheckError
from checks.infrastructure import CHECK, InfrastructureParams
from checks.infrastructure_cgroup import parse
from checks.infrastructure_logs import group
from checks.running import run_check
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import (
    CheckResult,
    CheckStatus,
    ClockReason,
    ClusterEvent,
    Container,
    ErrorKind,
    Evidence,
    GpuDevice,
    HostState,
    IncidentInfo,
    LatencyView,
    LatencyWindow,
    LogLine,
    LogView,
    Pod,
    PodUsage,
    ProcessState,
    Quantile,
    Reply,
    Severity,
    Snapshot,
    SourceHealth,
    SourceState,
    Termination,
    Verdict,
)
from tests.checks.beside import Beside
from tests.widgets import samples

NOW = 1_700_000_000.0
MIB = 2**20


def _pod(**fields: Any) -> Pod:
    container = Container(
        "server",
        ready=True,
        cpu_request_cores=1.0,
        cpu_limit_cores=2.0,
        memory_request_bytes=256 * MIB,
        memory_limit_bytes=512 * MIB,
        **fields,
    )
    return Pod("prod", "model-0", "u", "Running", NOW - 3, node="node-a", ready=True, containers=(container,))


def _snapshot(**fields: Any) -> Snapshot:
    pod = fields.pop("pod", _pod())
    usage = {pod.key: PodUsage("prod", "model-0", NOW - 20, 15.0, 1.5, 384 * MIB)}
    base = Snapshot(NOW, 1, IncidentInfo("fraud-scorer", "oom", NOW - 600), pods=(pod,), usage=usage)
    return replace(base, **fields)


async def _check(folder: Path, snapshot: Snapshot | None, **fields: Any) -> CheckResult:
    params = InfrastructureParams(**fields.pop("params", {}))
    context = CheckContext(
        "m", ModelConfig(), folder, time.time, lambda _: None, confirmed=True, snapshot=snapshot, **fields
    )
    result = await run_check(CHECK, params, context)
    json.dumps(result.result)
    return result


def _row(result: CheckResult, resource: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in result.result["use"] if row["resource"] == resource)
    return found


async def test_use_of_a_pod_is_told_against_limits_and_requests_with_source_and_age(tmp_path: Path) -> None:
    result = await _check(tmp_path, _snapshot())

    cpu, memory = _row(result, "pod cpu")["utilisation"], _row(result, "pod memory")["utilisation"]
    assert (cpu["value"], memory["value"]) == (0.75, 0.75)
    assert "150% of its request" in cpu["text"]
    assert "150% of its request" in memory["text"]
    assert (cpu["source"], cpu["age_s"]) == ("pods", 20.0)
    assert result.status is CheckStatus.OK


async def test_what_nobody_measured_is_null_with_a_reason(tmp_path: Path) -> None:
    pod = replace(_pod(), containers=(Container("server"),))
    result = await _check(tmp_path, _snapshot(pod=pod, gpus=(GpuDevice("GPU-1", 0, "H200", NOW, "dcgm"),)))
    no_usage = await _check(tmp_path, _snapshot(usage={}))

    assert _row(result, "pod memory")["utilisation"] is None
    assert "no memory limit is set" in _row(result, "pod memory")["missing"]["utilisation"]
    assert "metrics.k8s.io" in _row(no_usage, "pod cpu")["missing"]["utilisation"]
    for row in (*result.result["use"], *no_usage.result["use"]):
        empty = {name for name in ("utilisation", "saturation", "errors") if row[name] is None}
        assert empty == set(row["missing"])
        assert all(row["missing"].values())


async def test_an_oom_kill_is_in_rows_and_terminations_and_fails_the_check(tmp_path: Path) -> None:
    pod = _pod(restart_count=3, termination=Termination("OOMKilled", 137, NOW - 60))
    said = Evidence("pods.oom_killed", "model-0 was OOMKilled", Verdict.FAIL, "pods", NOW)

    result = await _check(tmp_path, _snapshot(pod=pod, evidence=(said,)))

    assert result.status is CheckStatus.FAIL
    assert "OOMKilled" in result.summary
    assert _row(result, "pod memory")["errors"]["value"] == 1
    assert _row(result, "pod containers")["errors"]["value"] == 3
    assert result.result["terminations"][0] == {
        "pod": "prod/model-0",
        "container": "server",
        "reason": "OOMKilled",
        "exit_code": 137,
        "signal": None,
        "at": NOW - 60,
        "restarts": 3,
    }


async def test_gpu_rows_tell_memory_throttling_xid_and_ecc(tmp_path: Path) -> None:
    gpu = GpuDevice(
        "GPU-1",
        0,
        "H200",
        NOW - 1,
        "nvml",
        utilization_percent=98.0,
        memory_used_bytes=90 * MIB,
        memory_total_bytes=100 * MIB,
        clock_reasons=(ClockReason.GPU_IDLE, ClockReason.HW_THERMAL_SLOWDOWN),
        ecc_uncorrected=2,
        xid=79,
        xid_at=NOW - 5,
    )

    result = await _check(tmp_path, _snapshot(gpus=(gpu,)))

    assert _row(result, "gpu")["utilisation"]["value"] == 98
    assert _row(result, "gpu")["saturation"]["text"] == "clocks held back: thermal (hardware)"
    assert _row(result, "gpu")["errors"]["text"] == "Xid 79"
    assert _row(result, "gpu memory")["utilisation"]["value"] == 0.9
    assert _row(result, "gpu memory")["errors"]["value"] == 2


async def test_host_and_process_rows(tmp_path: Path) -> None:
    host = HostState(
        NOW, "jump", 4, cpu_percent=50.0, load=(8.0, 1.0, 1.0), memory_total_bytes=100, memory_available_bytes=25
    )
    process = ProcessState(NOW, "port 8000", 12, running=False, restarts=1)

    result = await _check(tmp_path, _snapshot(host=host, processes=(process,)))

    assert _row(result, "host cpu")["saturation"]["value"] == 2.0
    assert _row(result, "host memory")["utilisation"]["value"] == 0.75
    assert _row(result, "host memory")["missing"]["saturation"] == "not told"
    assert _row(result, "process")["utilisation"] is None
    assert _row(result, "process")["errors"]["value"] == 2


async def test_evictions_and_a_pod_without_a_node_are_told(tmp_path: Path) -> None:
    evicted = ClusterEvent("e1", "prod", "Pod", "model-0", "Warning", "Evicted", "low on memory", 2, None, NOW - 9, NOW)
    unfit = ClusterEvent("e2", "prod", "Pod", "model-1", "Warning", "FailedScheduling", "no GPU", 4, None, NOW, NOW)
    pending = replace(_pod(), name="model-1", phase="Pending", node="", conditions={"PodScheduled": "no GPU"})

    result = await _check(tmp_path, _snapshot(pods=(_pod(), pending), events=(evicted, unfit)))

    assert _row(result, "node")["errors"]["value"] == 2
    assert _row(result, "scheduling")["saturation"]["text"] == "model-1: no GPU"
    assert _row(result, "scheduling")["errors"]["value"] == 4
    assert result.status is CheckStatus.WARN
    assert "Evicted" in result.summary
    assert [event["reason"] for event in result.result["events"]] == ["FailedScheduling", "Evicted"]


async def test_red_of_a_probed_service(tmp_path: Path) -> None:
    window = LatencyWindow(
        300.0, 300, 297, ((ErrorKind.TIMEOUT, 3),), 0.01, 0.01, p50=Quantile(10, 9, 11), p99=Quantile(80, None, None)
    )
    view = LatencyView("http://m", (window,), Reply("http://m", NOW - 2, NOW - 2, 10.0), None)

    red = (await _check(tmp_path, _snapshot(latency=(view,)))).result["red"][0]

    assert red["rate"]["value"] == 1.0
    assert (red["errors"]["value"], red["errors"]["kinds"]) == (0.01, {"timeout": 3})
    assert red["duration"]["p50"]["value"] == 10
    assert red["duration"]["p95"] is None
    assert red["duration"]["age_s"] == 2.0


async def test_a_service_without_replies_has_no_figures(tmp_path: Path) -> None:
    view = LatencyView("http://m", (LatencyWindow(60.0, 0, 0, (), None, None),), None, None)

    red = (await _check(tmp_path, _snapshot(latency=(view,)))).result["red"][0]

    assert red["rate"] is red["errors"] is red["duration"] is None
    assert set(red["missing"]) == {"rate", "errors", "duration"}


async def test_sources_that_were_not_live_are_named(tmp_path: Path) -> None:
    blind = SourceHealth("dcgm", SourceState.UNAVAILABLE, NOW, reason="connection refused", remedy="start it")

    result = await _check(tmp_path, _snapshot(sources={"dcgm": blind}))

    assert result.result["blind"][0]["reason"] == "connection refused"
    assert "Not seen: dcgm" in result.summary


def _line(text: str, at: float, source: str = "pod-a") -> LogLine:
    return LogLine(source, text, Severity.ERROR, received_at=at + 100, at=at)


def test_error_lines_of_one_template_are_one_group_with_its_dates() -> None:
    oom = [_line(f"CUDA out of memory. Tried to allocate {n}.00 MiB (GPU {n % 2})", NOW + n) for n in range(40)]
    late = [_line(f"request 0x{n:08x} to 10.0.0.{n}:80 timed out after {n} ms", NOW + n, "pod-b") for n in range(7)]

    groups = group([*oom, *late])

    assert [one["count"] for one in groups] == [40, 7]
    assert groups[0]["template"].startswith("CUDA out of memory. Tried to allocate <NUMBER> MiB")
    assert (groups[0]["first_at"], groups[0]["last_at"]) == (NOW, NOW + 39)
    assert groups[1]["sources"] == ["pod-b"]
    assert groups[1]["example"].endswith("after 6 ms")


def test_no_error_line_is_no_group() -> None:
    assert group([]) == []


async def test_grouped_errors_are_evidence(tmp_path: Path) -> None:
    lines = tuple(_line(f"worker {n} died", NOW + n) for n in range(5))
    logs = LogView(lines=lines, errors=lines, counts={Severity.ERROR: 5})

    result = await _check(tmp_path, _snapshot(logs=logs))

    found = next(one for one in result.evidence if one.id == "infrastructure.log_errors")
    assert (found.value, found.sample_size) == (1, 5)
    assert "worker <NUMBER> died" in found.statement


CGROUP = """==> /sys/fs/cgroup/cpu.stat <==
usage_usec 100
nr_periods 1000
nr_throttled {throttled}
throttled_usec 5

==> /sys/fs/cgroup/memory.events <==
low 0
oom 2
oom_kill {killed}
oom_group_kill 0

==> /sys/fs/cgroup/cpu.pressure <==
some avg10=25.50 avg60=1.00 avg300=0.00 total=1
full avg10=0.00 avg60=0.00 avg300=0.00 total=0

==> /sys/fs/cgroup/memory.pressure <==
some avg10=0.00 avg60=0.00 avg300=0.00 total=1
"""


class _Remote(Beside):
    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text

    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        assert command[0] == "head"
        return self.code, self.text.encode(), b""


async def test_a_containers_throttling_and_worker_kills_are_found(tmp_path: Path) -> None:
    remote = _Remote(1, CGROUP.format(throttled=400, killed=2))

    result = await _check(tmp_path, _snapshot(), remote=remote, params={"in_pod": True})

    found = {one.id: (one.value, str(one.verdict)) for one in result.evidence}
    assert found["infrastructure.cpu_throttled"] == (0.4, "warn")
    assert found["infrastructure.cpu_pressure"] == (0.255, "warn")
    assert found["infrastructure.memory_pressure"] == (0.0, "ok")
    assert found["infrastructure.oom_kills"] == (2.0, "fail")
    assert result.result["container"]["throttled_share"] == 0.4


async def test_a_container_without_head_is_a_sentence(tmp_path: Path) -> None:
    result = await _check(tmp_path, _snapshot(), remote=_Remote(127, ""), params={"in_pod": True})

    assert result.status is CheckStatus.ERROR
    assert "`head`" in result.summary


def test_a_kernel_without_these_files_gives_no_figures() -> None:
    found = parse("")

    assert (found.throttled_share, found.oom_kills, found.cpu_pressure) == (None, None, None)


@pytest.mark.parametrize(("snapshot", "params"), [(None, {}), (_snapshot(), {"in_pod": True})])
async def test_missing_inputs_say_what_gives_them(
    tmp_path: Path, snapshot: Snapshot | None, params: dict[str, Any]
) -> None:
    result = await _check(tmp_path, snapshot, params=params)

    assert result.status is CheckStatus.SKIPPED
    assert "kubernetes.selector" in result.summary


async def test_an_exec_that_is_forbidden_is_a_sentence(tmp_path: Path) -> None:
    class Forbidden(Beside):
        async def run(self, *_: Any, **__: Any) -> tuple[int, bytes, bytes]:
            raise CheckError("exec into prod/model-0 is forbidden: ask for create on pods/exec")

    result = await _check(tmp_path, _snapshot(), remote=Forbidden(), params={"in_pod": True})

    assert result.status is CheckStatus.ERROR
    assert "forbidden" in result.summary


async def test_nothing_observed_is_not_called_healthy(tmp_path: Path) -> None:
    empty = Snapshot(
        NOW, 1, IncidentInfo("m", "", NOW), sources={"pods": SourceHealth("pods", SourceState.STARTING, NOW)}
    )

    result = await _check(tmp_path, empty)

    assert result.status is CheckStatus.SKIPPED
    assert "Nothing has been observed yet" in result.summary


@pytest.mark.parametrize("text", samples.HOSTILE)
async def test_hostile_names_and_messages_come_out_printable(tmp_path: Path, text: str) -> None:
    result = await _check(tmp_path, samples.hostile(text))

    told = json.dumps(result.result, ensure_ascii=False) + result.summary
    assert all(character.isprintable() for character in told.replace("\u200d", ""))
