"""What a Prometheus-compatible server knows of a model: which of its series are whose, and what they tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infdiag_tui.model import Pod
from infdiag_tui.servers.adapters import Server, known_servers
from infdiag_tui.servers.conventions import recognised
from infdiag_tui.servers.counters import known_by
from infdiag_tui.servers.metrics_text import MetricSample, MetricsPage
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.prometheus.client import PrometheusClient, quoted, selector
from infdiag_tui.streams.prometheus.questions import KnownPage
from infdiag_tui.streams.prometheus.results import Series

_OF_REPLICA_SET = re.compile(r"(.+)-[a-z0-9]{5,10}-[a-z0-9]{5}")
_OF_STATEFUL_SET = re.compile(r"(.+)-\d{1,5}")
DEFAULT_SCRAPE_S = 60.0
LEAST_WINDOW_S = 60.0
_COUNTED_OVER_S = 600


@dataclass(frozen=True, slots=True)
class Whose:
    """Which series are the model's: the config's labels, else the pods that its owner has, or had."""

    matchers: Mapping[str, str]
    pods: str = ""
    """Matchers of its pods, as written in PromQL."""

    @property
    def known(self) -> bool:
        """True when the model's series can be told from others."""
        return bool(self.matchers or self.pods)


def whose(matchers: Mapping[str, str], pods: Mapping[str, Pod]) -> Whose:
    """The configured labels outrank the pods."""
    if matchers or not pods:
        return Whose(matchers)
    return Whose(matchers, pod_matchers(pods))


def pod_matchers(pods: Mapping[str, Pod]) -> str:
    """Labels `namespace` and `pod` of these pods, and of those that stood in their place before a rollout."""
    names = sorted({_siblings(pod.name) for pod in pods.values()})
    spaces = sorted({pod.namespace for pod in pods.values()})
    return f"namespace=~{quoted('|'.join(spaces))}, pod=~{quoted('|'.join(names))}"


def _siblings(name: str) -> str:
    if (match := _OF_REPLICA_SET.fullmatch(name)) is not None:
        return f"{_escaped(match[1])}-[a-z0-9]{{5,10}}-[a-z0-9]{{5}}"
    if (match := _OF_STATEFUL_SET.fullmatch(name)) is not None:
        return f"{_escaped(match[1])}-[0-9]{{1,5}}"
    return _escaped(name)


def _escaped(name: str) -> str:
    return name.replace(".", "\\.")


@dataclass(frozen=True, slots=True)
class Known:
    """What was recognised."""

    page: KnownPage
    servers: tuple[Server, ...]
    window_s: float
    """What rates are to be over: at least four scrapes, so that one that is missed leaves a rate."""


async def look(client: PrometheusClient, whose_: Whose, model: str, own: Server | None) -> Known:
    """Asks for the model's series as they are now.

    Raises:
        SourceError: the server cannot be asked.
    """
    series = selector("", whose_.matchers, more=whose_.pods) if whose_.matchers else "{" + whose_.pods + "}"
    found = (await client.query(series)).series
    page = page_of(found, await _types(client) if found else None)
    known = [server for server in known_servers() if known_by(server, page.page)]
    servers = [*([own] if own is not None else []), *known, recognised(page.page, model)]
    told = tuple(server for server in servers if server.parts or server.signals)
    window_s = max(LEAST_WINDOW_S, 4 * await _scrape_s(client, series, page.page)) if told else LEAST_WINDOW_S
    return Known(page, told, window_s)


async def _types(client: PrometheusClient) -> Mapping[str, str]:
    """What kinds of metrics there are, without which gauges that no table names cannot be told; or nothing."""
    try:
        return await client.types()
    except SourceError:
        return {}


def page_of(series: Sequence[Series], types: Mapping[str, str] | None = None) -> KnownPage:
    """An instant vector as a page; a native histogram stands there with its `_sum` and `_count`."""
    by_name: dict[str, list[MetricSample]] = {}
    natives = set()
    for one in series:
        labels = {name: text for name, text in one.labels.items() if name != "__name__"}
        if one.native is not None:
            natives.add(one.name)
            for ending, value in zip(("_count", "_sum"), one.native, strict=True):
                by_name.setdefault(one.name + ending, []).append(MetricSample(one.name + ending, labels, value))
            by_name.setdefault(one.name, []).append(MetricSample(one.name, labels, one.native[0]))
        elif one.points:
            by_name.setdefault(one.name, []).append(MetricSample(one.name, labels, one.points[-1][1]))
    named = {name: tuple(of) for name, of in by_name.items()}
    stated = {name: kind for name, kind in (types or {}).items() if name in named}
    return KnownPage(MetricsPage(named, stated), frozenset(natives))


async def _scrape_s(client: PrometheusClient, series: str, page: MetricsPage) -> float:
    """How often the model is scraped, seconds, by how many points its series got in the last minutes."""
    name = next(iter(sorted(page.by_name)), "")
    if not name:
        return DEFAULT_SCRAPE_S
    narrowed = selector(name, {}, more=series.strip("{}"))
    result = await client.query(f"max(count_over_time({narrowed}[{_COUNTED_OVER_S}s]))")
    counts = [point[1] for one in result.series for point in one.points]
    # One that has only just begun to be scraped has few points, however often that is.
    return min(DEFAULT_SCRAPE_S, _COUNTED_OVER_S / max(counts)) if counts and max(counts) > 1 else DEFAULT_SCRAPE_S
