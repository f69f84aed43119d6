from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.streams.kube.parse import parse_event, parse_pod, parse_usage
from infdiag_tui.streams.kube.quantities import duration_s, quantity, unix_s
from tests.streams.kube.fake_api import event, pod, usage


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", 0.25),
        ("1500m", 1.5),
        ("250000n", 0.00025),
        ("128974848Ki", 128974848 * 1024),
        ("1Gi", 2**30),
        ("2G", 2e9),
        ("1e3", 1000.0),
        ("0.5", 0.5),
        ("1E", 1e18),
        ("12k", 12000.0),
        ("abc", None),
        ("1Zi", None),
        ("", None),
        ("1e999", None),
    ],
)
def test_quantities(text: str, value: float | None) -> None:
    assert quantity(text) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("15s", 15.0),
        ("1m0.5s", 60.5),
        ("1h2m3s", 3723.0),
        ("30ms", 0.03),
        ("x", None),
        ("5", None),
        ("", None),
        (3, None),
    ],
)
def test_durations(text: Any, value: float | None) -> None:
    assert duration_s(text) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize("stamp", ["", "yesterday", None, 5, "2026-99-01T00:00:00Z"])
def test_a_time_that_cannot_be_read_is_none(stamp: Any) -> None:
    assert unix_s(stamp) is None


def test_absent_fields_are_none_and_not_zero() -> None:
    bare = parse_pod({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}, 1.0)
    (container,) = bare.containers
    assert container.memory_limit_bytes is None
    assert container.cpu_limit_cores is None
    assert container.gpu_limit is None
    assert container.termination is None
    assert bare.created_at is None
    assert bare.memory_limit_bytes is None


def test_conditions_that_are_not_as_they_should_be_are_kept_with_their_reason() -> None:
    raw = pod("a")
    raw["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"},
        {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
        {"type": "Initialized", "status": "True"},
        {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
        {"type": "ContainersReady", "status": "Unknown"},
    ]
    assert parse_pod(raw, 1.0).conditions == {
        "PodScheduled": "Unschedulable: 0/3 nodes are available",
        "Ready": "ContainersNotReady",
        "DisruptionTarget": "PreemptionByScheduler",
        "ContainersReady": "Unknown",
    }


def test_a_limit_that_was_resized_in_place_counts() -> None:
    raw = pod("a")
    raw["status"]["containerStatuses"][0]["resources"] = {"limits": {"memory": "4Gi"}}
    assert parse_pod(raw, 1.0).containers[0].memory_limit_bytes == 4 * 2**30


def test_a_container_that_ended_holds_this_runs_end() -> None:
    raw = pod("a")
    ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-01-31T03:00:00Z", "signal": 9}
    raw["status"]["containerStatuses"][0]["state"] = {"terminated": ended}
    (container,) = parse_pod(raw, 1.0).containers
    assert container.state == "terminated"
    assert container.termination is not None
    assert (container.termination.reason, container.termination.signal) == ("OOMKilled", 9)


def test_text_from_the_server_is_made_printable_and_secrets_are_hidden() -> None:
    raw = pod("a", message="\x1b]0;owned\x07pull failed: token=abcdef123456", reason="Ev\x1b[31micted")
    found = parse_pod(raw, 1.0)
    assert found.reason == "Evicted"
    assert "abcdef" not in found.message
    assert found.message.isprintable()


def test_events_in_all_their_forms() -> None:
    old = parse_event(event("e", "a"), 9.0)
    assert (old.count, old.first_at, old.last_at) == (3, unix_s("2026-01-31T03:00:00Z"), unix_s("2026-01-31T03:05:00Z"))
    fields: dict[str, Any] = {
        "firstTimestamp": None,
        "lastTimestamp": None,
        "count": None,
        "eventTime": "2026-01-31T03:00:00.5Z",
    }
    new = parse_event(event("e", "a", **fields), 9.0)
    assert (new.count, new.first_at, new.last_at) == (1, 1769828400.5, 1769828400.5)
    series = {"count": 7, "lastObservedTime": "2026-01-31T03:09:00.000000Z"}
    repeated = parse_event(event("e", "a", **fields, series=series), 9.0)
    assert (repeated.count, repeated.last_at) == (7, unix_s("2026-01-31T03:09:00Z"))


def test_usage_that_is_incomplete_is_no_usage() -> None:
    whole = parse_usage(usage("a"))
    assert whole is not None
    assert whole.memory_bytes == 2**29
    broken = usage("a")
    broken["containers"].append({"name": "sidecar", "usage": {"cpu": "1m"}})
    assert parse_usage(broken) is None
    assert parse_usage({**usage("a"), "timestamp": None}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
parts = st.dictionaries(
    st.sampled_from(
        [
            "name",
            "uid",
            "labels",
            "conditions",
            "containers",
            "containerStatuses",
            "state",
            "resources",
            "phase",
            "series",
        ]
    ),
    json_values,
)


@given(meta=parts, spec=parts, status=parts)
def test_no_object_however_odd_breaks_the_parser(meta: Any, spec: Any, status: Any) -> None:
    raw = {"metadata": meta, "spec": spec, "status": status, "involvedObject": spec, "containers": status}
    parse_pod(raw, 1.0)
    parse_event(raw, 1.0)
    parse_usage(raw)
