"""GPUs over time: without a break, idle though the model works, at a fraction of their clock; and Xids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import (
    ClockReason,
    GpuDevice,
    GpuProcess,
    HostState,
    Phases,
    ProcessState,
    Reply,
    SeriesView,
    Verdict,
)
from tests.findings.scenes import BAD, NOW, found, of, one, pod, replies, scene, series, verdict

SATURATED, IDLE, CLOCK = "gpu.saturated", "gpu.idle_under_load", "gpu.clock_drop"


def gpu(**changes: Any) -> GpuDevice:
    return GpuDevice("GPU-1", 0, "H100", NOW, "nvml", **changes)


def used(
    percent: float,
    *,
    readings: int = 31,
    more: dict[Any, SeriesView] | None = None,
    replies_: list[Reply] | None = None,
    device: GpuDevice | None = None,
    **fields: Any,
) -> Any:
    told = {("gpu.utilization_percent", "GPU-1"): series([percent] * readings, every_s=1.0), **(more or {})}
    return scene(told, replies_ or (), gpus=(device or gpu(),), **fields)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(99.0, Verdict.FAIL), (95.0, Verdict.FAIL), (92.0, Verdict.WARN), (88.0, Verdict.UNKNOWN), (70.0, Verdict.OK)],
)
def test_busy_without_a_break(percent: float, expected: Verdict) -> None:
    assert verdict(used(percent), SATURATED) is expected


def test_a_break_is_one_and_ten_seconds_are_too_short() -> None:
    told = {("gpu.utilization_percent", "GPU-1"): series([99.0] * 20 + [20.0] + [99.0] * 10, every_s=1.0)}
    assert verdict(scene(told, gpus=(gpu(),)), SATURATED) is Verdict.WARN
    assert of(used(99.0, readings=10), SATURATED) == []
    stale = {("gpu.utilization_percent", "GPU-1"): series([99.0] * 40, every_s=1.0, end=NOW - 100)}
    assert of(scene(stale, gpus=(gpu(),)), SATURATED) == []


def serving(ms: float, rate: float, entity: str = "prod/m-1") -> dict[Any, SeriesView]:
    return {
        ("stages.inference_ms", entity): series([ms] * 10),
        ("server.request_rate", entity): series([rate] * 10),
    }


HELD = gpu(pod="prod/m-1")


@pytest.mark.parametrize(
    ("percent", "ms", "rate", "expected"),
    [(1.0, 300.0, 3.0, Verdict.FAIL), (40.0, 300.0, 3.0, Verdict.OK), (1.0, 2.0, 3.0, None), (5.0, 300.0, 0.1, None)],
)
def test_idle_while_its_pod_works(percent: float, ms: float, rate: float, expected: Verdict | None) -> None:
    assert verdict(used(percent, more=serving(ms, rate), device=HELD, pods=(pod(),)), IDLE) is expected


def test_somebody_elses_card_may_idle() -> None:
    working = serving(300.0, 3.0)
    assert of(used(0.0, more=working, device=gpu(pod="prod/other"), pods=(pod(),)), IDLE) == []
    assert of(used(0.0, more=working, pods=(pod(),)), IDLE) == [], "nobody says whose it is"


def test_the_probe_alone_only_warns() -> None:
    slow = replies([500.0] * 40, phases=Phases(wait_ms=490.0))
    assert verdict(used(0.0, replies_=slow, device=HELD, pods=(pod(),)), IDLE) is Verdict.WARN
    quick = replies([10.0] * 40, phases=Phases(wait_ms=9.0))
    assert of(used(0.0, replies_=quick, device=HELD, pods=(pod(),)), IDLE) == []


def test_a_card_beside_the_watched_process_that_nobody_uses() -> None:
    state = ProcessState(NOW, "port 8000", 7, running=True, rss_bytes=1, started_at=NOW - 900)
    here: dict[str, Any] = {"processes": (state,), "host": HostState(NOW, "h", 2)}
    slow = replies([500.0] * 40, phases=Phases(wait_ms=490.0))
    assert verdict(used(0.0, replies_=slow, device=gpu(host="h", processes=()), **here), IDLE) is Verdict.WARN
    others = gpu(host="h", processes=(GpuProcess(99),))
    assert of(used(0.0, replies_=slow, device=others, **here), IDLE) == []
    assert of(used(0.0, replies_=slow, device=gpu(host="elsewhere", processes=()), **here), IDLE) == []


def clocked(mhz: float, percent: float = 80.0, **changes: Any) -> Verdict | None:
    device = gpu(sm_clock_max_mhz=1980, **changes)
    more = {("gpu.sm_clock_mhz", "GPU-1"): series([mhz] * 31, every_s=1.0)}
    return verdict(used(percent, more=more, device=device), CLOCK)


def test_the_clock_against_the_highest_while_busy() -> None:
    assert clocked(1900) is Verdict.OK
    assert clocked(1300) is Verdict.WARN
    assert clocked(700) is Verdict.FAIL
    assert clocked(300, percent=10.0) is None, "an idle card slows down as it should"
    chosen = (ClockReason.APPLICATIONS_CLOCKS_SETTING,)
    assert clocked(700, clock_reasons=chosen) is None


def test_no_xid_is_known_only_where_xids_would_be_heard_of() -> None:
    assert verdict(scene(gpus=(gpu(xid_watched=True),)), "gpu.xid") is Verdict.OK
    assert of(scene(gpus=(gpu(),)), "gpu.xid") == []
    assert verdict(scene(gpus=(gpu(xid_watched=True, xid=79, xid_at=NOW),)), "gpu.xid") is Verdict.FAIL


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 84.0))
def test_a_card_with_time_left_never_fires(percent: float) -> None:
    assert [each.id for each in found(used(percent)) if each.verdict in BAD] == []
    assert one(used(percent), SATURATED).verdict is Verdict.OK
