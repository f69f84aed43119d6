"""Recognises what an unknown server's metrics tell, by the customs in conventions.toml; when in doubt it does not.

What a page tells is put as a `Server`, as if it stood in servers.toml, so that known and unknown ones are read alike.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict

from infdiag_tui.servers.adapters import Part, Server, Signal, SignalName
from infdiag_tui.servers.families import Family, Kind, families_of, singular
from infdiag_tui.servers.metrics_text import MetricsPage
from infdiag_tui.servers.stages import Stage, stage_of

NAME = "common conventions"

_STAGE_RULES: tuple[Stage, ...] = ("preprocess", "postprocess", "serialization", "queue")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Data):
    """One rule; see the head of conventions.toml."""

    tells: str
    kind: Literal["time", "distribution", "counter", "seconds", "gauge", "gauge_time"]
    any: tuple[str, ...]
    also: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    many: bool = False


class _Conventions(_Data):
    words: dict[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    labels: dict[str, tuple[str, ...]]
    outcomes: dict[str, str]

    def spelled(self, words: Iterable[str]) -> tuple[str, ...]:
        """`words` with the lists that they refer to, each as family names spell it."""
        found: list[str] = []
        for word in words:
            if word.startswith("@"):
                found += self.spelled(self.words[word[1:]])
            else:
                found.append("_".join(singular(part) for part in word.split("_")))
        return tuple(found)


@cache
def _conventions() -> _Conventions:
    text = files(__package__).joinpath("conventions.toml").read_text(encoding="utf-8")
    read = _Conventions.model_validate(tomllib.loads(text))
    rules = tuple(
        rule.model_copy(
            update={"any": read.spelled(rule.any), "also": read.spelled(rule.also), "none": read.spelled(rule.none)}
        )
        for rule in read.rules
    )
    return read.model_copy(update={"rules": rules})


def recognised(page: MetricsPage, model: str = "") -> Server:
    """What a page's families tell, as a server; empty where nothing was recognised.

    Args:
        page: a scraped page.
        model: the model's name, to narrow series to it where a label has that value.
    """
    return _Reader(page, model).server()


class _Reader:
    """One page on its way to a server."""

    def __init__(self, page: MetricsPage, model: str) -> None:
        self._page = page
        self._model = model
        self._families = families_of(page)
        self._by_label = tuple(self._staged())
        taken = {family.name for family, _ in self._by_label}
        self._open = tuple(family for family in self._families if family.name not in taken)

    def server(self) -> Server:
        parts = tuple(self._parts())
        signals = tuple(self._signals(parts))
        return Server(
            name=NAME, known_by=(), places=(), parts=parts, signals=signals, model_labels=self._model_labels()
        )

    # --- stages ---

    def _parts(self) -> Iterator[Part]:
        told: set[str] = set()
        for family, parts in self._by_label:
            for part in parts:
                told.add(part.stage)
                yield self._narrowed(part, family)
        for stage in _STAGE_RULES:
            if stage not in told:
                found = self._meeting(stage)
                yield from (self._part(stage, family) for family in found)
                told.update(stage for _ in found)
        yield from self._computing(told)

    def _staged(self) -> Iterator[tuple[Family, list[Part]]]:
        """Families whose series tell stages by a label: `stage_seconds{stage="preprocess"}`."""
        for family in self._families:
            label = next((name for name in _conventions().labels["stage"] if name in family.labels), None)
            if family.kind != "time" or label is None or family.has(_conventions().spelled(["@dependency", "@gc"])):
                continue
            values = sorted({sample.labels.get(label, "") for sample in self._page.get(f"{family.name}_count")})
            parts = [
                Part(
                    name=f"{label} {value}",
                    stage=stage,
                    unit=family.unit or "s",
                    histogram=(family.name,),
                    labels={label: value},
                )
                for value in values
                if value and (stage := stage_of(value)) != ""
            ]
            if parts:
                yield family, parts

    def _computing(self, told: set[str]) -> Iterator[Part]:
        """The model's own time and the whole request's.

        A family that speaks of predicting is the model's own where its name says so (`model`), or where it stands
        beside families of preprocessing or postprocessing and carries no status or route; else it may be either, and
        is taken for the whole request if nothing else is.
        """
        candidates = self._meeting("inference", every=True) if "inference" not in told else []
        beside = bool(told & {"preprocess", "postprocess"})
        routed = _conventions().labels["status"] + _conventions().labels["route"]
        own = [
            family
            for family in candidates
            if not family.labels.intersection(routed)
            and (family.has(("model",)) or (beside and self._is_sibling(family)))
        ]
        if own:
            yield self._part("inference", own[0])
        whole = (
            [family for family in self._meeting("total", every=True) if family not in own]
            if "total" not in told
            else []
        )
        whole = whole or [family for family in candidates if family not in own and "total" not in told]
        if whole:
            yield self._part("total", max(whole, key=self._speaks_of_predicting))

    def _is_sibling(self, family: Family) -> bool:
        """True unless it names requests where its neighbours do not: those speak of stages, it of the whole."""
        routes = _conventions().spelled(["@routes"])
        stages = [one for stage in ("preprocess", "postprocess") for one in self._meeting(stage)]
        return not family.has(routes) or not stages or any(one.has(routes) for one in stages)

    def _speaks_of_predicting(self, family: Family) -> tuple[bool, bool]:
        routed = _conventions().labels["route"]
        return family.has(_conventions().spelled(["@computing"])), bool(family.labels.intersection(routed))

    def _part(self, stage: Stage, family: Family) -> Part:
        part = Part(name=family.name, stage=stage, unit=family.unit or "s", histogram=(family.name,))
        return self._narrowed(part, family)

    def _narrowed(self, part: Part, family: Family) -> Part:
        return part.model_copy(update={"where": self._requests_only(family, f"{family.name}_count")})

    # --- signals ---

    def _signals(self, parts: Sequence[Part]) -> Iterator[Signal]:
        total = next((part for part in parts if part.stage == "total"), None)
        yield from self._counts(total)
        yield from self._of("nan_outputs", "counter")
        yield from self._of("queue_depth", "gauge")
        yield from self._of("in_flight", "gauge")
        for family in self._meeting("batch_size"):
            yield Signal(name="batch_size", histogram=(family.name,))
        for family in self._meeting("gc"):
            if family.kind == "time":
                yield Signal(name="gc", histogram=(family.name,), unit=family.unit or "s")
            else:
                yield Signal(name="gc", counter=(family.name,), unit=family.unit or "s")
        for family in self._meeting("model_load"):
            if family.kind == "time":
                yield Signal(name="model_load", histogram=(family.name,), unit=family.unit or "s", combine="max")
            else:
                yield Signal(name="model_load", gauge=(family.name,), unit=family.unit or "s", combine="max")
        yield from self._connections()
        yield from self._dependencies()

    def _counts(self, total: Part | None) -> Iterator[Signal]:
        """Requests, failures and refusals: by a status label where requests carry one, else by their own counters."""
        status_labels = _conventions().labels["status"]
        counters = self._meeting("requests", every=True)
        counters.sort(key=lambda family: not family.labels.intersection(status_labels))
        series, labels, where = "", frozenset[str](), dict[str, str]()
        if counters:
            series, labels = counters[0].name, counters[0].labels
            where = self._requests_only(counters[0], series)
        if total is not None and not labels.intersection(status_labels):
            family = next(one for one in self._families if one.name == total.histogram[0])
            if not series or family.labels.intersection(status_labels):
                series, labels, where = f"{family.name}_count", family.labels, dict(total.where)
        failures, refusals = self._meeting("errors"), self._meeting("rejected")
        if series:
            more = tuple(one.name for one in failures) if "_success_" in (counters[0].words if counters else "") else ()
            yield Signal(name="requests", counter=(series,), where=where, add=more)
        status = next((name for name in status_labels if name in labels), None)
        outcomes = _conventions().outcomes
        if status is not None:
            yield Signal(name="errors", counter=(series,), where={**where, status: outcomes["error"]})
        elif failures and series:
            yield Signal(name="errors", counter=(failures[0].name,))
        if refusals and series:
            yield Signal(name="rejected", counter=(refusals[0].name,))
        elif status is not None:
            yield Signal(name="rejected", counter=(series,), where={**where, status: outcomes["rejected"]})

    def _of(self, name: SignalName, kind: Kind) -> Iterator[Signal]:
        for family in self._meeting(name):
            if kind == "gauge":
                yield Signal(name=name, gauge=(family.name,))
            else:
                yield Signal(name=name, counter=(family.name,))

    def _connections(self) -> Iterator[Signal]:
        """A pair of gauges that differ only in the word for "in use" and "at most".

        Open files against their limit are no such pair: that few are open does not say that connections are left.
        """
        read = _conventions()
        state, bound = read.spelled(["@state"]), read.spelled(["@bound"])
        aside = (*read.spelled(["@dependency"]), "pending", "waiting", "idle", "min", "minimum")
        gauges = [
            family
            for family in self._families
            if family.kind == "gauge" and family.has(("connection", "conn", "socket")) and not family.has(aside)
        ]
        limits = {_stem(family.words, bound): family for family in gauges if family.has(bound)}
        for used in gauges:
            limit = limits.get(_stem(used.words, state))
            if limit is not None and limit is not used:
                yield Signal(name="connections", gauge=(used.name,))
                yield Signal(name="connections_limit", gauge=(limit.name,))
                return

    def _dependencies(self) -> Iterator[Signal]:
        read = _conventions()
        times, failures = self._meeting("dependency"), self._meeting("dependency_errors")
        for family in times:
            yield Signal(name="dependency", histogram=(family.name,), unit=family.unit or "s")
        if failures:
            yield Signal(name="dependency_errors", counter=(failures[0].name,))
            return
        counted = [(f"{one.name}_count", one) for one in times]
        counted += [(one.name, one) for one in self._meeting("dependency_calls", every=True)]
        for series, family in counted:
            status = next((name for name in read.labels["status"] if name in family.labels), None)
            if status is not None:
                yield Signal(name="dependency_errors", counter=(series,), where={status: read.outcomes["error"]})
                return

    # --- finding ---

    def _meeting(self, tells: str, *, every: bool = False) -> list[Family]:
        """The families that meet the rules for `tells`, best first; only the best unless the rule takes many."""
        found: list[tuple[int, int, str, Family]] = []
        many = every
        for rule in (rule for rule in _conventions().rules if rule.tells == tells):
            many = many or rule.many
            for family in self._open:
                rank = family.rank(rule.any) if family.kind == rule.kind else None
                if rank is None or family.has(rule.none) or (rule.also and not family.has(rule.also)):
                    continue
                found.append((rank, len(family.name), family.name, family))
        found.sort(key=lambda item: item[:3])
        return [item[3] for item in (found if many else found[:1])]

    def _requests_only(self, family: Family, series: str) -> dict[str, str]:
        """Leaves health checks and scrapes out where a label tells routes, and reads where requests are posts."""
        read = _conventions()
        where = {name: read.outcomes["aside"] for name in read.labels["route"] if name in family.labels}
        methods = {sample.labels.get("method", "").lower() for sample in self._page.get(series)}
        return {**where, "method": "(?i)post"} if "post" in methods else where

    def _model_labels(self) -> tuple[str, ...]:
        """The label that has the model's name as a value; none where none has."""
        if not self._model:
            return ()
        for name in _conventions().labels["model"]:
            samples = (sample for family in self._page.by_name.values() for sample in family)
            if any(sample.labels.get(name) == self._model for sample in samples):
                return (name,)
        return ()


def _stem(words: str, without: Iterable[str]) -> str:
    """A family's words without the first of `without` that it has."""
    for word in sorted(without, key=len, reverse=True):
        if f"_{word}_" in words:
            return words.replace(f"_{word}_", "_", 1)
    return words
