"""Model servers' metrics as data: which series tell which stage and which signal, and where they are scraped."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from infdiag_tui.servers.stages import NAMED, Stage

CONFIGURED = "configured metrics"

Unit = Literal["s", "ms", "us", "ns"]

SignalName = Literal[
    "requests",
    "errors",
    "rejected",
    "queue_depth",
    "in_flight",
    "batch_size",
    "kv_cache",
    "gc",
    "connections",
    "connections_limit",
    "dependency",
    "dependency_errors",
    "nan_outputs",
    "model_load",
]
"""What a server may tell besides the times of stages.

`requests`, `errors`, `rejected`, `dependency_errors` and `nan_outputs` count, `gc` and `dependency` are times with a
count, `model_load` is a time, `batch_size` a mean, `kv_cache` a share; the others are levels.
"""
SIGNALS: tuple[SignalName, ...] = get_args(SignalName)


class ChoiceError(ValueError):
    """A metric that the operator named cannot be read: one sentence on what is wrong with it."""


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(_Data):
    """One time that a server tells; see the head of servers.toml for the meaning of the keys."""

    name: str
    stage: Stage
    unit: Unit = "s"
    histogram: tuple[str, ...] = ()
    sum: tuple[str, ...] = ()
    count: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    gauge: tuple[str, ...] = ()
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    where: dict[str, str] = Field(default_factory=dict)
    whole_server: bool = False
    note: str = ""
    offer: str = ""

    @property
    def computed(self) -> bool:
        """True when it is made from other parts."""
        return bool(self.plus)

    @property
    def metric(self) -> str:
        """What to call it in a sentence."""
        return (self.histogram + self.sum + self.gauge or (self.note,))[0]


class Signal(_Data):
    """One figure that a server tells besides stages; see the head of servers.toml for the meaning of the keys."""

    name: SignalName
    counter: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    histogram: tuple[str, ...] = ()
    sum: tuple[str, ...] = ()
    count: tuple[str, ...] = ()
    gauge: tuple[str, ...] = ()
    unit: Unit = "s"
    scale: float = 1.0
    labels: dict[str, str] = Field(default_factory=dict)
    where: dict[str, str] = Field(default_factory=dict)
    combine: Literal["sum", "max"] = "sum"
    whole_server: bool = False


class Server(_Data):
    """One kind of model server."""

    name: str
    known_by: tuple[str, ...]
    places: tuple[str, ...]
    parts: tuple[Part, ...]
    signals: tuple[Signal, ...] = ()
    model_labels: tuple[str, ...] = ()
    offer: str = ""


class _File(_Data):
    servers: tuple[Server, ...]


@cache
def known_servers() -> tuple[Server, ...]:
    """Every server of servers.toml, in its order."""
    text = files(__package__).joinpath("servers.toml").read_text(encoding="utf-8")
    return _File.model_validate(tomllib.loads(text)).servers


_METRIC = r"[A-Za-z_:][A-Za-z0-9_:.]*"
_CHOICE = re.compile(rf"({_METRIC})(?:/({_METRIC}))?(?:\{{(.*)\}})?\Z")
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"([^"]*)"\s*(?:,|\Z)')
_SUFFIXES: tuple[tuple[tuple[str, ...], Unit], ...] = (
    (("_milliseconds", "_millis", "_ms"), "ms"),
    (("_microseconds", "_micros", "_us"), "us"),
    (("_nanoseconds", "_nanos", "_ns"), "ns"),
    (("_seconds", "_secs", "_s"), "s"),
)


def configured(
    choices: tuple[str, ...], unit: Literal["", "s", "ms", "us", "ns"] = "", *, where: str = "--stage"
) -> Server | None:
    """The metrics that the operator named, e.g. `preprocess=app_preprocess_seconds{model="a"}` or `queue=SUM/COUNT`.

    Besides the stages the names of signals stand before the `=` (`queue_depth=app_waiting`). The unit of a time is that
    of its name, seconds without one; `unit` outranks it. `where` names the flag or key in error messages.

    Raises:
        ChoiceError: a choice cannot be read.
    """
    if not choices:
        return None
    parts: list[Part] = []
    signals: list[Signal] = []
    for choice in choices:
        made = _chosen(choice, unit, where)
        if isinstance(made, Part):
            parts.append(made)
        else:
            signals.append(made)
    known_by = (
        *(name for part in parts for name in (*part.count, *(f"{base}_count" for base in part.histogram))),
        *(name for signal in signals for name in (*signal.counter, *signal.gauge, *signal.sum)),
        *(f"{base}_count" for signal in signals for base in signal.histogram),
    )
    return Server(name=CONFIGURED, known_by=known_by, places=("/metrics",), parts=tuple(parts), signals=tuple(signals))


def named_stage(choice: str, flag: str) -> tuple[Stage, str]:
    """`STAGE=NAME` taken apart.

    Raises:
        ChoiceError: no such stage, or no name.
    """
    word, _, name = choice.partition("=")
    stage = next((stage for stage in NAMED if stage == word.strip()), None)
    if stage is None or not name.strip():
        raise ChoiceError(f"{flag} {choice!r}: write STAGE=NAME with a stage of {', '.join(NAMED)}.")
    return stage, name.strip()


def _chosen(choice: str, unit: Literal["", "s", "ms", "us", "ns"], where: str) -> Part | Signal:
    word = choice.partition("=")[0].strip()
    signal = next((name for name in SIGNALS if name == word), None)
    stage: Stage = ""
    if signal is None:
        stage, metric = named_stage(choice, where)
    else:
        metric = choice.partition("=")[2].strip()
    match = _CHOICE.match(metric)
    if match is None:
        raise ChoiceError(
            f'{where} {choice!r}: {metric!r} is no metric; write NAME, SUM/COUNT or NAME{{label="value"}}.'
        )
    name, count, labels = match[1], match[2], dict(_LABEL.findall(match[3] or ""))
    if match[3] and not labels:
        raise ChoiceError(f'{where} {choice!r}: labels are written {{name="value"}}.')
    base = re.sub(r"_(?:sum|count|bucket)\Z", "", name) if count is None else name
    unit_of = unit or unit_in(base) or "s"
    if signal is not None:
        return _signal(signal, base, count, labels, unit_of)
    if count is not None:
        return Part(name=base, stage=stage, unit=unit_of, sum=(base,), count=(count,), labels=labels)
    return Part(name=base, stage=stage, unit=unit_of, histogram=(base,), labels=labels)


def _signal(name: SignalName, base: str, count: str | None, labels: dict[str, str], unit: Unit) -> Signal:
    if count is not None:
        return Signal(name=name, sum=(base,), count=(count,), labels=labels, unit=unit)
    if name in ("gc", "dependency"):
        return Signal(name=name, histogram=(base,), labels=labels, unit=unit)
    if name == "batch_size":
        return Signal(name=name, histogram=(base,), gauge=(base,), labels=labels)
    if name == "model_load":
        return Signal(name=name, histogram=(base,), gauge=(base,), labels=labels, unit=unit, combine="max")
    if name in ("requests", "errors", "rejected", "dependency_errors", "nan_outputs"):
        return Signal(name=name, counter=(base,), labels=labels)
    if name == "kv_cache":
        percent = re.search(r"_(?:percent|pct)\Z", base) is not None
        return Signal(name=name, gauge=(base,), labels=labels, scale=0.01 if percent else 1.0, combine="max")
    return Signal(name=name, gauge=(base,), labels=labels)


def unit_in(name: str) -> Unit | None:
    """The unit of time that ends a metric's name, None without one."""
    base = re.sub(r"_(?:total|sum|count|bucket)\Z", "", name)
    return next((unit for endings, unit in _SUFFIXES if base.endswith(endings)), None)
