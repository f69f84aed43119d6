"""The model server's own metrics, of every replica that can be reached: read, differenced and told as series."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from urllib.parse import urlsplit

from infdiag_tui.config import Endpoint, Metrics, ModelConfig
from infdiag_tui.model import Heartbeat, Observation, Pod, Sample, SeriesKey, SourceState, Status
from infdiag_tui.servers.adapters import configured
from infdiag_tui.servers.places import origin_of, replica_base, served_model, stated_metrics
from infdiag_tui.servers.reading import Reading, connections_share, figures, together
from infdiag_tui.streams.base import Roster, Stream, StreamContext
from infdiag_tui.streams.reach.base import Reach
from infdiag_tui.streams.reach.open import reach_for
from infdiag_tui.streams.server_pages import PageReader
from infdiag_tui.streams.server_watch import Place, Watched
from infdiag_tui.streams.troubles import Trouble, changes
from infdiag_tui.text import clean, one_line

NAME = "server_metrics"
MAX_REPLICAS = 100
"""Replicas read in each round; of more, the first by name. A page costs a few milliseconds to read."""
SCOUTS = 2
"""Pods asked before it is known whether this machine reaches pods at all, as few jump hosts do."""
PODS_AGAIN_S = 60.0
DETAILED_REPLICAS = 24
"""Up to so many replicas have every figure as a series of their own, more of them only those that tell them apart."""
TELLING_APART = frozenset(
    {
        "server.request_rate",
        "server.request_ms",
        "server.error_share",
        "server.queue_depth",
        "server.gc_share",
        "server.connections_share",
    }
)
KEPT_ROUNDS = 2.5
KEPT_BEHIND_ONE_ADDRESS_S = 60.0


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The metrics of the endpoint's server and of the model's pods; none where neither is configured."""
    settings = config.metrics
    if not settings.enabled or not (settings.urls or config.endpoint or context.roster):
        return []
    stream = ServerMetricsStream(config.endpoint, settings, context, reach_for(config, context))
    context.servers_tell = lambda: stream.telling
    return [stream]


class ServerMetricsStream:
    """Samples of every replica (entity: the pod's key, or host and port) and of all together (entity empty).

    The URLs of the config if there are any; else the pods' metrics, and those of the endpoint's host while no pod
    gives any. Where nobody asked for metrics and the server has none, the stream is off and says so.
    """

    name = NAME

    def __init__(
        self, endpoint: Endpoint | None, settings: Metrics, context: StreamContext, reach: Reach | None = None
    ) -> None:
        self._reach = reach
        self._by_name = reach is not None and reach.via.in_cluster
        self.stale_after_s = max(20.0, 4 * settings.interval_s)
        self._endpoint = endpoint
        self._settings = settings
        self._clock = context.clock
        self._user_agent = context.user_agent
        self._roster: Roster | None = context.roster
        self._own = configured(settings.choices, where="metrics.names")
        url, model = (endpoint.url, endpoint.model) if endpoint else ("", "")
        self._model = settings.served_model or served_model(url, model)
        self._watched: dict[Place, Watched] = {}
        self._latest: dict[str, tuple[Place, Reading, float]] = {}
        self._pods_again_at = float("-inf")
        self._pods_silent = ""
        self._pods_told = False
        self._told_at = float("-inf")

    @property
    def telling(self) -> bool:
        """True while some replica's figures are current."""
        return self._clock.monotonic() - self._told_at <= self.stale_after_s

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: the endpoint's files cannot be used.
        """
        told: dict[str, Trouble] = {}
        said: tuple[SourceState, str] | None = None
        async with PageReader(self._endpoint, self._settings, self._clock, self._user_agent, self._reach) as reader:
            while True:
                began = self._clock.monotonic()
                places = self._places()
                for observation in await self._round(reader, places):
                    yield observation
                now = self._clock.now()
                overall, troubles = self._state(places, now)
                if (overall.state, overall.reason) != said:
                    said = (overall.state, overall.reason)
                    yield overall
                for status in changes(told, troubles, now):
                    yield status
                told = troubles
                await asyncio.sleep(max(0.0, self._settings.interval_s - (self._clock.monotonic() - began)))

    # --- where ---

    def _places(self) -> list[Place]:
        """Where to read in this round."""
        if self._settings.urls:
            host = urlsplit(self._endpoint.url).hostname if self._endpoint else None
            places = [
                Place(_entity(url), stated=(url,), own=urlsplit(url).hostname == host) for url in self._settings.urls
            ]
        else:
            places = self._reachable(self._pod_places())
            # The endpoint's host is asked while no pod gives metrics. Once one did, they are where to look, also while
            # none is ready.
            self._pods_told = self._pods_told or any(self._gives(place) for place in places)
            pending = any(not self._watch(place).reason for place in places)
            if self._endpoint is not None and not self._pods_told and not pending:
                base = origin_of(self._endpoint.url)
                places = [*places, Place(_entity(base), base)]
        for place in self._watched.keys() - set(places):
            del self._watched[place]
        return places

    def _gives(self, place: Place) -> bool:
        return self._watch(place).found and not self._watch(place).quiet

    def _pod_places(self) -> list[Place]:
        pods = self._roster.current() if self._roster is not None else {}
        ready = [pods[key] for key in sorted(pods) if pods[key].ready and not pods[key].deleting]
        return [place for pod in ready[:MAX_REPLICAS] if (place := self._pod_place(pod)) is not None]

    def _pod_place(self, pod: Pod) -> Place | None:
        stated = stated_metrics(pod, by_name=self._by_name)
        if stated is not None:
            return Place(pod.key, stated=(stated,))
        base = replica_base(pod, self._endpoint.url if self._endpoint else "", by_name=self._by_name)
        return None if base is None else Place(pod.key, base)

    def _reachable(self, pods: list[Place]) -> list[Place]:
        """All pods once one of them has answered; until then a few, now and then."""
        if any(self._watch(place).answered for place in pods):
            self._pods_silent = ""
            return pods
        now, scouts = self._clock.monotonic(), pods[:SCOUTS]
        if now < self._pods_again_at:
            return []
        if scouts and all(self._watch(place).reason for place in scouts):
            self._pods_again_at, self._pods_silent = now + PODS_AGAIN_S, self._watch(scouts[0]).reason
            return []
        return scouts

    def _watch(self, place: Place) -> Watched:
        if place not in self._watched:
            self._watched[place] = Watched(place, self._model, self._own)
        return self._watched[place]

    # --- reading ---

    async def _round(self, reader: PageReader, places: Sequence[Place]) -> list[Observation]:
        now = self._clock.monotonic()
        wanted = {place: self._watch(place).wanted(now) for place in places}
        urls = {url: own for of in wanted.values() for url, own in of.items()}
        fetched = dict(zip(urls, await reader.fetch_all(urls), strict=True))
        told: list[Observation] = []
        current = False
        for place, of in wanted.items():
            watched = self._watch(place)
            found = watched.take([fetched[url] for url in of]) if of else None
            current = current or (bool(of) and watched.found and not watched.reason)
            if found is not None:
                entity, reading, at = found
                self._latest[entity] = (place, reading, at)
                told += self._samples(entity, reading, at, detailed=len(places) <= DETAILED_REPLICAS)
        if current:
            at, self._told_at = self._clock.now(), self._clock.monotonic()
            told += self._all_together(at, set(places))
            told.append(Heartbeat(at))
        return told

    def _samples(self, entity: str, reading: Reading, at: float, *, detailed: bool) -> Iterator[Sample]:
        for metric, value in figures(reading).items():
            if detailed or metric in TELLING_APART:
                yield Sample(SeriesKey(metric, entity), value, at)

    def _all_together(self, now: float, places: set[Place]) -> Iterator[Sample]:
        """The whole model's figures, from every replica's last reading that is recent enough."""
        alone_s = KEPT_ROUNDS * self._settings.interval_s
        kept = {
            entity: held
            for entity, held in self._latest.items()
            if held[0] in places
            and now - held[2] <= (alone_s if entity == held[0].entity else KEPT_BEHIND_ONE_ADDRESS_S)
        }
        self._latest = kept
        readings = [reading for _, reading, _ in kept.values()]
        if not readings:
            return
        at = max(at for _, _, at in kept.values())
        worst = max((share for one in readings if (share := connections_share(one)) is not None), default=None)
        for metric, value in figures(together(readings), worst_connections=worst).items():
            yield Sample(SeriesKey(metric), value, at)

    # --- how it fares ---

    def _state(self, places: Sequence[Place], now: float) -> tuple[Status, dict[str, Trouble]]:
        """The stream's state, and what ails some of its replicas."""
        watched = [self._watch(place) for place in places]
        silent = [one for one in watched if one.reason]
        if any(one.found and not one.reason for one in watched):
            return Status(SourceState.LIVE, now), _some_silent([one for one in silent if not one.quiet], len(watched))
        reason = silent[0].reason if silent else self._pods_silent
        if not reason:
            return Status(SourceState.STARTING, now, "no replica is ready yet" if not watched else ""), {}
        remedy = "name where they are in metrics.urls, or set metrics.enabled = false"
        if self._settings.urls:
            remedy = "correct metrics.urls in infdiag.toml, or leave them out"
        elif any(one.found for one in silent):
            remedy = "name what its metrics tell in metrics.names"
        # Where nobody named a place for metrics, it is no fault that there are none, nor that pods are out of reach.
        asked = bool(self._settings.urls) or any(one.place.stated for one in watched)
        unasked = not asked and (not watched or any(one.answered for one in watched))
        state = SourceState.OFF if unasked else SourceState.UNAVAILABLE
        return Status(state, now, one_line(clean(f"no metrics: {reason}")), remedy), {}


def _some_silent(silent: Sequence[Watched], of: int) -> dict[str, Trouble]:
    if not silent:
        return {}
    reason = f"{len(silent)} of {of} replicas give no metrics: {silent[0].place.entity}: {silent[0].reason}"
    return {"replicas": Trouble(SourceState.DEGRADED, one_line(clean(reason)), "look at that replica's log and port")}


def _entity(url: str) -> str:
    """Host and port, as a place without a pod is called."""
    return one_line(clean(urlsplit(url).netloc.rpartition("@")[2]), 100)


__all__ = ["NAME", "ServerMetricsStream", "build"]
