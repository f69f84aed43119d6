"""GPUs as a Prometheus-compatible server knows them: dcgm-exporter's fields and AMD's, joined to the model's pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import NamedTuple

from infdiag_tui.clock import Clock, steady_time
from infdiag_tui.config import Prometheus
from infdiag_tui.model import GpuDevice, Heartbeat, Observation, Pod, SourceState
from infdiag_tui.streams.base import Roster, SourceError, await_pods
from infdiag_tui.streams.dcgm_text import FIELDS, Entity, device, entities_of
from infdiag_tui.streams.dcgm_text import PREFIX as DCGM
from infdiag_tui.streams.gpu_samples import samples
from infdiag_tui.streams.gpus import amd
from infdiag_tui.streams.gpus.account import GpuAccount, XidMemory, lost_cards, no_pods_yet
from infdiag_tui.streams.gpus.cards import Cards
from infdiag_tui.streams.prometheus.client import PrometheusClient, selector
from infdiag_tui.streams.prometheus.results import Result, Series
from infdiag_tui.streams.troubles import Trouble, changes
from infdiag_tui.text import one_line

PROVIDER = "prometheus"
LOOK_BACK_S = 150
"""Raw points of so long are asked for, so that each bears the time of its own scrape: an instant query would give
values of up to five minutes ago as if they were of now."""
LEARN_S = 60.0
MOST_CARDS = 128
"""More than a model has, or a screen shows: a whole fleet's."""
SAME_SCRAPE_S = 1.0
_NO_XID = 2**31
"""DCGM's blank values lie beyond it."""
_PATTERN = f"{DCGM}({'|'.join(FIELDS)})|({amd.PREFIX})?({'|'.join(amd.NAMES)})"


class _Reading(NamedTuple):
    """One series of the reply: metric, labels, its points."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class GpuPrometheusStream:
    """A `GpuDevice` with samples for each GPU, dated by its last scrape.

    The query is narrowed on the server to the cards that the model's pods hold, where labels tell, and to
    `prometheus.gpu_matchers`.
    """

    name = "gpu-prometheus"
    label = "Prometheus"

    def __init__(self, settings: Prometheus, roster: Roster | None, clock: Clock, user_agent: str) -> None:
        self.stale_after_s = float(LOOK_BACK_S)
        self._settings = settings
        self._roster = roster
        self._clock = clock
        self._user_agent = user_agent
        self._account = GpuAccount("Prometheus")
        self._xids = XidMemory()
        self._cards = Cards(settings.gpu_matchers)
        self._learned_of: frozenset[str] = frozenset()
        self._learn_at = float("-inf")
        self._told_at: dict[str, float] = {}

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: the server cannot be asked, or knows of no GPU.
        """
        told: dict[str, Trouble] = {}
        if not await await_pods(self._roster) and self._roster is not None and not self._settings.gpu_matchers:
            raise no_pods_yet()
        async with PrometheusClient(self._settings, self._user_agent) as client:
            while True:
                began = self._clock.monotonic()
                pods = self._roster.current() if self._roster is not None else {}
                await self._learn(client, pods)
                query = selector("", self._settings.gpu_matchers, pattern=_PATTERN, more=self._cards.matcher)
                result = await client.query(f"{query}[{LOOK_BACK_S}s]")
                devices = self._devices(result, pods)
                now = self._clock.now()
                troubles = {**lost_cards(devices), **warned(result, client.service.shown)}
                for status in changes(told, troubles, now):
                    yield status
                told = troubles
                for observation in self._news(devices, now):
                    yield observation
                await asyncio.sleep(max(0.0, self._settings.interval_s - (self._clock.monotonic() - began)))

    async def _learn(self, client: PrometheusClient, pods: Mapping[str, Pod]) -> None:
        """Asks for the model's cards when its pods have changed, and now and then: a pod gets its card late."""
        now, keys = self._clock.monotonic(), frozenset(pods)
        if keys != self._learned_of or now >= self._learn_at:
            await self._cards.learn(client, pods)
            self._learned_of, self._learn_at = keys, now + (LEARN_S if self._cards.known else 0.0)

    def _devices(self, result: Result, pods: Mapping[str, Pod]) -> list[GpuDevice]:
        found = read_cards(result.series, self._xids)
        if not found and self._account.empty:
            where = f" with {selector('', self._settings.gpu_matchers)}" if self._settings.gpu_matchers else ""
            raise SourceError(
                f"Prometheus knows no GPU{where}: no series of dcgm-exporter or AMD's exporter",
                remedy="let it scrape dcgm-exporter, or correct prometheus.gpu_matchers",
                state=SourceState.UNAVAILABLE if self._settings.gpu_matchers else SourceState.OFF,
                retry_after_s=30.0,
            )
        chosen = self._account.of_model(self._account.take(found), pods)
        if len(chosen) > MOST_CARDS:
            raise SourceError(
                f"Prometheus knows {len(chosen)} GPUs, and no label tells which of them are the model's",
                remedy="set prometheus.gpu_matchers, or let dcgm-exporter map its cards to pods",
                retry_after_s=60.0,
            )
        return chosen

    def _news(self, devices: list[GpuDevice], now: float) -> list[Observation]:
        """What was not told yet; that Prometheus answers says nothing of a card that it no longer scrapes."""
        news: list[Observation] = []
        for gpu in devices:
            if gpu.lost or gpu.at > self._told_at.get(gpu.uuid, float("-inf")):
                self._told_at[gpu.uuid] = gpu.at
                xid_at = None if gpu.xid_at is None else steady_time(self._clock, gpu.xid_at)
                gpu_here = replace(gpu, at=steady_time(self._clock, gpu.at), xid_at=xid_at)
                news += [gpu_here, *samples(gpu_here)]
        if any(not gpu.lost for gpu in devices):
            news.append(Heartbeat(now))
        return news


def read_cards(series: tuple[Series, ...], xids: XidMemory) -> list[GpuDevice]:
    """The cards of a reply with raw points, each as of its last scrape.

    A series that ended before that (another pod's, an option taken back) is no longer true and left out.
    """
    by_card: dict[str, list[_Reading]] = {}
    for one in series:
        if one.points:
            by_card.setdefault(_card(one), []).append(_Reading(one.name, one.labels, one.points))
    found = []
    for readings in by_card.values():
        at = max(reading.points[-1][0] for reading in readings)
        current = [reading for reading in readings if at - reading.points[-1][0] <= SAME_SCRAPE_S]
        latest = [(reading.name, reading.labels, reading.points[-1][1]) for reading in current]
        entities = entities_of(latest)
        if entities:
            found.append(_dcgm(entities[0], current, at, xids))
        elif (card := amd.amd_device(latest, at, PROVIDER)) is not None:
            found.append(card)
    return found


def _card(one: Series) -> str:
    if one.name.startswith(DCGM):
        labels = one.labels
        return f"{labels.get('UUID') or labels.get('Hostname', '')}/{labels.get('gpu')}/{labels.get('GPU_I_ID', '')}"
    return amd.card_of(one.labels)


def _dcgm(entity: Entity, readings: list[_Reading], at: float, xids: XidMemory) -> GpuDevice:
    """The card, its Xid dated by the points of the gauge."""
    for reading in readings:
        if reading.name == f"{DCGM}DEV_XID_ERRORS":
            for point_at, value in reading.points:
                if point_at > xids.read_at(entity.uuid) and 0 <= value < _NO_XID:
                    xids.note(entity.uuid, int(value), point_at)
    return device(entity, at, *xids.last(entity.uuid), PROVIDER)


def warned(result: Result, shown: str) -> dict[str, Trouble]:
    """What to say of a reply's warnings: as a rule that some of the data is missing."""
    if not result.warnings:
        return {}
    return {
        "warnings": Trouble(
            SourceState.DEGRADED,
            one_line(f"{shown} warns: {'; '.join(result.warnings)}", 400),
            "figures may be incomplete: look at the stores behind it",
        )
    }
