"""The incidents that the lab can stage: data, read from `tables/`."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from infdiag_tui.lab.dialects import Dialect, dialects

Override = int | float | bool
"""A value that may replace a scenario's own, for tests that cannot wait."""

_MIB = 1024 * 1024
_TABLES = ("healthy", "pods", "gpu", "serving", "model", "data", "pipeline", "pairs")
_FIXED = {"name", "summary", "causes", "faults"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    `kind` is that of a class in `lab/faults/` or, for what is wrong inside a replica's process, in
    `lab/server/faults/`. `replicas` are those that have it, by index; empty: all.
    """

    kind: str
    replicas: tuple[int, ...] = ()
    values: Mapping[str, Override] = field(default_factory=dict)

    def strikes(self, replica: int) -> bool:
        """True when that replica has it."""
        return not self.replicas or replica in self.replicas


@dataclass(frozen=True, slots=True)
class Scenario:
    """One incident: the cluster it happens in, what goes wrong, and what a right diagnosis must name.

    Every fault begins `fault_after_s` after the lab is ready; those inside replicas one replica after the other,
    `fault_stagger_s` apart.
    """

    name: str
    summary: str
    causes: tuple[str, ...] = ()
    """The ids of the causes; for who compares a diagnosis with the truth, and never told to who makes one."""
    faults: tuple[Fault, ...] = ()
    replicas: int = 3
    traffic_rps: float = 6.0
    rows_min: int = 1
    rows_max: int = 8
    fault_after_s: float = 20.0
    fault_stagger_s: float = 0.0
    memory_limit_bytes: int = 256 * _MIB
    """A replica at rest holds about 70 MiB."""
    merchants: int = 20_000
    """Rows of the table that the model looks merchants up in."""
    max_concurrency: int = 32
    """Requests that a replica works on at a time."""
    max_connections: int = 512
    """Connections that a replica accepts at a time."""
    backoff_s: float = 10.0
    """The wait before a container's second restart, doubled for each further one (the kubelet's own value)."""
    backoff_max_s: float = 40.0
    usage_interval_s: float = 3.0
    """Seconds between two readings of the replicas' CPU and memory for metrics.k8s.io."""
    dialect: int = 0
    """Which of the dialects everything is named in."""

    @property
    def names(self) -> Dialect:
        """The names of everything."""
        return dialects()[self.dialect]


def scenarios() -> dict[str, str]:
    """Every scenario's name with one line on what happens in it."""
    return {scenario.name: scenario.summary for scenario in all_scenarios().values()}


@cache
def all_scenarios() -> Mapping[str, Scenario]:
    """Every scenario by name, in the order of the tables."""
    return {scenario.name: scenario for table in _TABLES for scenario in _read(table)}


def scenario_named(name: str, overrides: Mapping[str, Override] | None = None) -> Scenario:
    """The scenario of that name, with single values of it or of its faults replaced.

    Raises:
        ValueError: No such scenario, or no such value, or a value of another type.
    """
    known = all_scenarios()
    if name not in known:
        raise ValueError(f"There is no lab scenario named {name!r}. Choose one of: {', '.join(known)}.")
    scenario = known[name]
    for key, value in (overrides or {}).items():
        scenario = _with(scenario, key, value)
    if scenario.dialect >= len(dialects()):
        raise ValueError(f"There is no dialect {scenario.dialect}; there are {len(dialects())}, counted from 0.")
    return scenario


def _with(scenario: Scenario, key: str, value: Override) -> Scenario:
    own = {one.name for one in dataclasses.fields(Scenario)} - _FIXED
    of_faults = {name for fault in scenario.faults for name in fault.values}
    if key in own:
        _check(key, getattr(scenario, key), value)
        return dataclasses.replace(scenario, **{key: value})  # type: ignore[arg-type]  # checked just above
    if key not in of_faults:
        raise ValueError(
            f"A lab scenario has no value {key!r} to override. Known: {', '.join(sorted(own | of_faults))}."
        )
    faults = []
    for fault in scenario.faults:
        if key in fault.values:
            _check(key, fault.values[key], value)
            fault = dataclasses.replace(fault, values={**fault.values, key: value})  # noqa: PLW2901
        faults.append(fault)
    return dataclasses.replace(scenario, faults=tuple(faults))


def _check(key: str, default: Override, value: Override) -> None:
    fits = isinstance(value, bool) == isinstance(default, bool) and (
        isinstance(value, int) or isinstance(default, float)
    )
    if not fits or value < 0:
        raise ValueError(f"The lab value {key!r} must be a {type(default).__name__} of at least 0, not {value!r}.")


def _read(table: str) -> Iterator[Scenario]:
    path = Path(__file__).with_name("tables") / f"{table}.toml"
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["scenarios"]:
        faults = tuple(_fault(one) for one in entry.pop("faults", ()))
        yield Scenario(**{**entry, "causes": tuple(entry.get("causes", ())), "faults": faults})


def _fault(entry: dict[str, Any]) -> Fault:
    kind, replicas = entry.pop("kind"), tuple(entry.pop("replicas", ()))
    return Fault(kind, replicas, entry)
