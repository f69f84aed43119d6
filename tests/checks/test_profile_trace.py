"""What a device's trace says: busy and idle time, copies by operator, and which operator was the slow one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.profile import ProfileParams
from checks.profile_child.torch_run import device_time
from checks.profile_child.trace import analyse, union_us
from checks.profile_parts.verdicts import judge


def _event(category: str, name: str, ts: float, dur: float, **args: Any) -> dict[str, Any]:
    tid = 7 if category in ("kernel", "gpu_memcpy") else 1
    return {"ph": "X", "cat": category, "name": name, "ts": ts, "dur": dur, "tid": tid, "args": args}


def _call(start: float) -> list[dict[str, Any]]:
    """One call of 1,000 µs: a product (200 µs on the device), then a result read back by `aten::item` (20 µs)."""
    return [
        _event("user_annotation", "infdiag.iteration", start, 1_000),
        _event("cpu_op", "aten::linear", start + 10, 60, **{"External id": 1 + start}),
        _event("cpu_op", "aten::addmm", start + 20, 40, **{"External id": 2 + start}),
        _event("kernel", "sgemm", start + 100, 200, **{"External id": 2 + start}),
        _event("cpu_op", "aten::item", start + 300, 90, **{"External id": 3 + start}),
        _event("cpu_op", "aten::_local_scalar_dense", start + 310, 70, **{"External id": 4 + start}),
        _event(
            "gpu_memcpy", "Memcpy DtoH (Device -> Pageable)", start + 350, 20, bytes=4, **{"External id": 4 + start}
        ),
        _event("gpu_memcpy", "Memcpy DtoD (Device -> Device)", start + 400, 30, bytes=64, **{"External id": 2 + start}),
    ]


def test_busy_idle_and_copies_of_a_device_are_read_from_the_trace() -> None:
    found = analyse([*_call(0), *_call(2_000), _event("kernel", "before any call", 1_500, 50)])

    assert found["device_events"]["busy_us"] == 500
    assert found["device_events"]["idle_share"] == pytest.approx(0.75)
    assert found["copies"]["operators"] == [
        {"direction": "device to host", "operator": "aten::item", "count": 2, "bytes": 8, "us": 40.0}
    ]
    assert found["copies"]["share_of_device_time"] == pytest.approx(40 / 500)
    assert found["outside_operators"] == pytest.approx(1 - (60 + 90) / 1_000)
    assert max(found["typical_shares"], key=found["typical_shares"].__getitem__) == "aten::addmm"


def test_copies_and_an_idle_device_are_findings() -> None:
    found = analyse(_call(0))
    use = found.pop("device_events")
    result = {
        **found,
        "iterations": 1,
        "device": "cuda",
        "operators": [{"name": "aten::addmm", "calls": 1, "share": 0.9}],
        "device_use": use,
        "graph_breaks": None,
        "missing": {},
    }

    evidence = {one.id: one for one in judge(result, ProfileParams(), 1.0)}

    assert str(evidence["profile.host_device_copies"].verdict) == "warn"
    assert evidence["profile.host_device_copies"].value == 1
    assert "aten::item" in evidence["profile.host_device_copies"].statement
    assert str(evidence["profile.device_idle"].verdict) == "warn"
    assert evidence["profile.device_idle"].value == pytest.approx(0.75)


def test_one_disturbed_call_does_not_name_the_wrong_operator() -> None:
    events = []
    for number in range(5):
        start = number * 10_000.0
        disturbed = 5_000 if number == 2 else 0
        events += [
            _event("user_annotation", "infdiag.iteration", start, 9_000),
            _event("cpu_op", "aten::addmm", start + 1, 100, **{"External id": 10 * number + 1}),
            _event("cpu_op", "aten::relu", start + 200, 10 + disturbed, **{"External id": 10 * number + 2}),
        ]

    shares = analyse(events)["typical_shares"]

    assert shares["aten::addmm"] == pytest.approx(100 / 110)


def test_an_operators_own_time_leaves_out_what_it_calls() -> None:
    events = [
        _event("user_annotation", "infdiag.iteration", 0, 1_000),
        _event("cpu_op", "aten::linear", 0, 100, **{"External id": 1}),
        _event("cpu_op", "aten::addmm", 5, 90, **{"External id": 2}),
    ]

    assert analyse(events)["typical_shares"] == {"aten::addmm": 0.9, "aten::linear": 0.1}


def test_device_times_are_read_under_the_old_and_the_new_name() -> None:
    old, new = SimpleNamespace(self_cuda_time_total=7), SimpleNamespace(self_device_time_total=8)

    assert device_time(old, "self_device_time_total") == 7
    assert device_time(new, "self_device_time_total") == 8
    assert device_time(SimpleNamespace(), "self_device_time_total") is None


_SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])))


@given(_SPANS, st.integers(0, 60), st.integers(0, 40))
def test_the_union_of_spans_counts_every_moment_once(spans: list[tuple[int, int]], low: int, length: int) -> None:
    moments = {moment for start, end in spans for moment in range(start, end)}

    assert union_us(spans, [(low, low + length)]) == len(moments & set(range(low, low + length)))
