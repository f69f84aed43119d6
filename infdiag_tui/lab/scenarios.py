"""The table of incidents that the lab can stage, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

Override = int | float | bool
"""A value that may replace a scenario's own, for tests that cannot wait."""

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scenario:
    """One incident: the cluster it happens in and the fault that the model servers are given.

    Every fault begins `fault_after_s` after the lab's start, one replica after the other, `fault_stagger_s` apart.
    """

    name: str
    summary: str
    replicas: int = 3
    traffic_rps: float = 8.0
    fault_after_s: float = 15.0
    fault_stagger_s: float = 5.0
    memory_limit_bytes: int = 176 * _MIB
    """A replica at rest holds about 60 MiB."""
    merchants: int = 20_000
    """Rows of the table that the model looks merchants up in."""
    warmup_rows: int = 0
    """Rows that a lazily loaded model scores before its first request: the greater part of a cold start's work."""
    kept_bytes_per_request: int = 0
    """What each request leaves behind for ever once the fault has begun."""
    scan_merchants: bool = False
    """Once the fault has begun, merchants are found by scanning the table instead of by its index."""
    lazy_load: bool = False
    """Pods created once the fault has begun report ready before their model is loaded; the first request pays."""
    replace_pod_every_s: float = 0.0
    """A pod is replaced this often once the fault has begun; 0: never."""
    backoff_s: float = 10.0
    """The wait before a container's second restart, doubled for each further one (the kubelet's own value)."""
    backoff_max_s: float = 40.0
    usage_interval_s: float = 5.0
    """Seconds between two readings of the replicas' CPU and memory for metrics.k8s.io."""


_SCENARIOS = (
    Scenario("healthy", "All is well: three replicas under light load."),
    Scenario(
        "memory-leak",
        "Every request leaves memory behind until the container is OOMKilled, restarts and fills again.",
        kept_bytes_per_request=5 * _MIB // 4,
    ),
    Scenario(
        "preprocessing-slow",
        "Feature lookup degrades from an index to a scan of the whole table; the model itself is as fast as ever.",
        merchants=250_000,
        scan_merchants=True,
    ),
    Scenario(
        "cold-start",
        "Pods are replaced again and again, and each new one loads its model while its first requests wait.",
        merchants=100_000,
        warmup_rows=500_000,
        lazy_load=True,
        fault_stagger_s=0.0,
        replace_pod_every_s=20.0,
    ),
)
_BY_NAME = {scenario.name: scenario for scenario in _SCENARIOS}


def scenarios() -> dict[str, str]:
    """Every scenario's name with one line on what happens in it."""
    return {scenario.name: scenario.summary for scenario in _SCENARIOS}


def scenario_named(name: str, overrides: Mapping[str, Override] | None = None) -> Scenario:
    """The scenario of that name, with single values replaced.

    Raises:
        ValueError: No such scenario, or no such value, or a value of another type.
    """
    if name not in _BY_NAME:
        raise ValueError(f"There is no lab scenario named {name!r}. Choose one of: {', '.join(_BY_NAME)}.")
    scenario = _BY_NAME[name]
    fixed = {"name", "summary"}
    known = {field.name for field in dataclasses.fields(Scenario)} - fixed
    for key, value in (overrides or {}).items():
        if key not in known:
            raise ValueError(f"A lab scenario has no value {key!r} to override. Known: {', '.join(sorted(known))}.")
        default = getattr(scenario, key)
        fits = isinstance(value, bool) == isinstance(default, bool) and (
            isinstance(value, int) or isinstance(default, float)
        )
        if not fits or value < 0:
            raise ValueError(f"The lab value {key!r} must be a {type(default).__name__} of at least 0, not {value!r}.")
    return dataclasses.replace(scenario, **dict(overrides or {}))  # type: ignore[arg-type]  # checked just above
