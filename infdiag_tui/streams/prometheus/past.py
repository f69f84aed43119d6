"""The time before the incident was opened, as a Prometheus-compatible server kept it: GPUs and pods."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from infdiag_tui.model import History, Pod, SeriesKey
from infdiag_tui.streams.dcgm_text import PREFIX as DCGM
from infdiag_tui.streams.dcgm_text import card_of, is_blank
from infdiag_tui.streams.gpus import amd
from infdiag_tui.streams.gpus.cards import MAX_NAMED_CARDS, Cards
from infdiag_tui.streams.prometheus.client import PrometheusClient, QueryRefusedError, selector
from infdiag_tui.streams.prometheus.results import Series

SOURCE = "Prometheus"
MOST_POINTS = 360
"""Points of one series: half of what the hub keeps of it."""
_MIB = 1024.0 * 1024.0

GPU_FIGURES: Mapping[str, tuple[tuple[str, float], ...]] = {
    "gpu.utilization_percent": (
        (f"{DCGM}DEV_GPU_UTIL", 1.0),
        (f"{DCGM}PROF_GR_ENGINE_ACTIVE", 100.0),
        *((name, 1.0) for name in amd.UTILIZATION),
    ),
    "gpu.memory_used_bytes": ((f"{DCGM}DEV_FB_USED", _MIB), *((name, _MIB) for name in amd.USED_MIB)),
    "gpu.temperature_c": ((f"{DCGM}DEV_GPU_TEMP", 1.0), *((name, 1.0) for name in amd.TEMPERATURE)),
    "gpu.power_w": ((f"{DCGM}DEV_POWER_USAGE", 1.0), *((name, 1.0) for name in amd.POWER)),
    "gpu.sm_clock_mhz": ((f"{DCGM}DEV_SM_CLOCK", 1.0),),
}
"""The figures that charts are drawn from, by the series that tell them, the first that a card has, and their factor."""


Refused = dict[str, QueryRefusedError]
"""Queries that the server did not take (too much for it, as a rule), by what they would have told."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time asked for, Unix seconds, and the step."""

    start: float
    end: float
    step_s: float

    @classmethod
    def before(cls, now: float, length_s: float, least_step_s: float) -> Span:
        """The time up to `now`, in steps that do not give more points than are kept."""
        step_s = max(least_step_s, math.ceil(length_s / MOST_POINTS))
        return cls(now - length_s, now, step_s)

    async def of(self, client: PrometheusClient, promql: str, what: str, refused: Refused) -> tuple[Series, ...]:
        """An expression's values in this time; none where the server does not take it, which `refused` then holds.

        Raises:
            SourceError: the server cannot be asked.
        """
        try:
            return (await client.query_range(promql, start=self.start, end=self.end, step_s=self.step_s)).series
        except QueryRefusedError as error:
            refused[what] = error
            return ()


async def gpus_before(
    client: PrometheusClient, span: Span, matchers: Mapping[str, str], pods: Mapping[str, Pod], refused: Refused
) -> list[History]:
    """The figures in that time of the cards that these pods hold or held; of all, where labels tell of none.

    Raises:
        SourceError: the server cannot be asked.
    """
    cards = Cards(matchers)
    await cards.learn(client, pods, over_s=span.end - span.start)
    names = [name for figure in GPU_FIGURES.values() for name, _ in figure if name.startswith(DCGM)]
    pattern = f"{'|'.join(names)}|({amd.PREFIX})?({'|'.join(amd.NAMES)})"
    asked = selector("", matchers, pattern=pattern, more=cards.matcher)
    found = list(_gpu_history(await span.of(client, asked, "GPUs", refused)))
    # A whole fleet's cards would push the model's own series out of the hub.
    return found if len({one.key.entity for one in found}) <= MAX_NAMED_CARDS else []


def _gpu_history(series: Iterable[Series]) -> Iterator[History]:
    by_card: dict[str, dict[str, list[Series]]] = {}
    for one in series:
        is_dcgm = one.name.startswith(DCGM)
        card = card_of(one.labels) if is_dcgm else amd.card_of(one.labels)
        name = one.name if is_dcgm else one.name.removeprefix(amd.PREFIX)
        if card:
            by_card.setdefault(card, {}).setdefault(name, []).append(one)
    for card, figures in by_card.items():
        for metric, choices in GPU_FIGURES.items():
            for name, factor in choices:
                points = _joined(figures.get(name, ()))
                kept = [(at, value * factor) for at, value in points if not is_blank(value)]
                if kept:
                    yield _history(SeriesKey(metric, card), kept)
                    break


async def pods_before(
    client: PrometheusClient, span: Span, pods: str, window_s: float, refused: Refused
) -> list[History]:
    """Memory, CPU and restarts of the pods that these matchers name, by cAdvisor and kube-state-metrics.

    Raises:
        SourceError: the server cannot be asked.
    """
    used = selector("container_memory_working_set_bytes", {}, more=f'{pods}, container!="", container!="POD"')
    busy = selector("container_cpu_usage_seconds_total", {}, more=f'{pods}, container!="", container!="POD"')
    restarts = selector("kube_pod_container_status_restarts_total", {}, more=pods)
    asked = {
        "pod.memory_bytes": f"sum by (namespace, pod) ({used})",
        "pod.cpu_cores": f"sum by (namespace, pod) (rate({busy}[{window_s:.0f}s]))",
        "pod.restarts": f"sum by (namespace, pod) ({restarts})",
    }
    found: list[History] = []
    for metric, promql in asked.items():
        for one in await span.of(client, promql, metric, refused):
            if one.points:
                key = f"{one.labels.get('namespace', '')}/{one.labels.get('pod', '')}"
                found.append(_history(SeriesKey(metric, key), one.points))
    return found


async def figures_before(
    client: PrometheusClient, span: Span, asked: Mapping[str, str], refused: Refused
) -> list[History]:
    """What these questions had as answers in that time, for the whole model.

    Raises:
        SourceError: the server cannot be asked.
    """
    found = []
    for metric, promql in asked.items():
        points = _joined(await span.of(client, promql, metric, refused))
        if points:
            found.append(_history(SeriesKey(metric), points))
    return found


def _joined(series: Iterable[Series]) -> list[tuple[float, float]]:
    """Points of several series as one: a card's labels change with its pod. The first of equal times counts."""
    points: dict[float, float] = {}
    for one in series:
        for at, value in one.points:
            points.setdefault(at, value)
    return sorted(points.items())


def _history(key: SeriesKey, points: Iterable[tuple[float, float]]) -> History:
    times, values = zip(*points, strict=True)
    return History(key, times, values, SOURCE)
