"""The model as a Prometheus-compatible server knows it: the time before the incident, then figures as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from infdiag_tui.clock import Clock, set_by_s, steady_time
from infdiag_tui.config import ModelConfig, Prometheus
from infdiag_tui.model import Heartbeat, History, Observation, Sample, SeriesKey, SourceState, Status
from infdiag_tui.servers.adapters import Server, configured
from infdiag_tui.servers.places import served_model
from infdiag_tui.streams.base import Stream, StreamContext, await_pods
from infdiag_tui.streams.prometheus.client import PrometheusClient, QueryRefusedError
from infdiag_tui.streams.prometheus.past import Refused, Span, figures_before, gpus_before, pods_before
from infdiag_tui.streams.prometheus.questions import QUANTILES, bucket_bounds_ms, bucket_of, questions
from infdiag_tui.streams.prometheus.recognise import LEAST_WINDOW_S, Known, Whose, look, pod_matchers, whose
from infdiag_tui.streams.troubles import Trouble, changes
from infdiag_tui.text import one_line

NAME = "server_prometheus"
LOOK_AGAIN_S, LOOK_FOR_CHANGES_S = 30.0, 300.0
"""How often the model's series are looked for: while there are none, and to see what a new version tells."""
GAUGE_STEP_S = 15.0


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The stream, when a server is configured."""
    if config.prometheus is None:
        return []
    endpoint = config.endpoint
    url, name = (endpoint.url, endpoint.model) if endpoint else ("", "")
    model = config.metrics.served_model or served_model(url, name)
    own = configured(config.metrics.choices, where="metrics.names")
    return [ServerPrometheusStream(config.prometheus, model, own, context)]


class ServerPrometheusStream:
    """`History` of the model's latency, load, GPUs and pods at first, then `Sample`s of the whole model.

    Quantiles of latency come from here alone; what the servers' own metrics tell as well is told from here only while
    they tell nothing (`StreamContext.servers_tell`).
    """

    name = NAME

    def __init__(self, settings: Prometheus, model: str, own: Server | None, context: StreamContext) -> None:
        self.stale_after_s = max(60.0, 4 * settings.interval_s)
        self._settings = settings
        self._model = model
        self._own = own
        self._context = context
        self._clock: Clock = context.clock
        self._told_past = False
        self._known: Known | None = None
        self._whose: Whose | None = None
        self._look_at = float("-inf")
        self._refused: Refused = {}

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: the server cannot be asked.
        """
        said: tuple[SourceState, str] | None = None
        troubles: dict[str, Trouble] = {}
        async with PrometheusClient(self._settings, self._context.user_agent) as client:
            if not self._told_past:  # the pods may be all that tells the model's series from others'
                await await_pods(self._context.roster)
            while True:
                began = self._clock.monotonic()
                pods = self._context.roster.current() if self._context.roster is not None else {}
                await self._look(client, whose(self._settings.matchers, pods))
                if not self._told_past:
                    for history in await self._past(client):
                        yield history
                    self._told_past = True
                told = await self._present(client)
                for sample in told:
                    yield sample
                status = self._status(bool(told))
                if (status.state, status.reason) != said:
                    said = status.state, status.reason
                    yield status
                before, troubles = troubles, _not_taken(self._refused)
                for aspect in changes(before, troubles, self._clock.now()):
                    yield aspect
                if told or (self._known is not None and self._known.servers):
                    yield Heartbeat(self._clock.now())
                if not told:  # perhaps it is no longer scraped
                    self._look_at = min(self._look_at, self._clock.monotonic() + LOOK_AGAIN_S)
                await asyncio.sleep(max(0.0, self._settings.interval_s - (self._clock.monotonic() - began)))

    async def _look(self, client: PrometheusClient, mine: Whose) -> None:
        now = self._clock.monotonic()
        if not mine.known or (now < self._look_at and mine == self._whose):
            return
        self._whose = mine
        self._known = await look(client, mine, self._model, self._own)
        self._refused.clear()
        self._look_at = now + (LOOK_FOR_CHANGES_S if self._known.servers else LOOK_AGAIN_S)

    def _asked(self) -> dict[str, str]:
        """The questions about the model's servers."""
        known, mine = self._known, self._whose
        if known is None or mine is None:
            return {}
        return questions(known.servers, known.page, self._model, mine.matchers, mine.pods, known.window_s)

    async def _past(self, client: PrometheusClient) -> list[History]:
        """All that is known of the time before."""
        length_s = self._settings.history_s
        if not length_s:
            return []
        window_s = self._known.window_s if self._known is not None else LEAST_WINDOW_S
        # Steps as long as the windows of rates: neighbouring points then share no event.
        span = Span.before(self._clock.wall(), length_s, window_s)
        found = await figures_before(client, span, self._asked(), self._refused)
        pods = self._context.roster.current() if self._context.roster is not None else {}
        fine = Span.before(span.end, length_s, GAUGE_STEP_S)
        found += await gpus_before(client, fine, self._settings.gpu_matchers, pods, self._refused)
        if pods:
            found += await pods_before(client, fine, pod_matchers(pods), window_s, self._refused)
        set_s = set_by_s(self._clock)
        return [replace(one, times=tuple(at - set_s for at in one.times)) for one in found] if set_s else found

    async def _present(self, client: PrometheusClient) -> list[Sample]:
        """What is known of the moment."""
        asked = self._asked()
        if self._context.servers_tell is not None and self._context.servers_tell():
            asked = {metric: promql for metric, promql in asked.items() if metric in QUANTILES}
        told = []
        for metric, promql in asked.items():
            if metric in self._refused:
                continue
            try:
                result = await client.query(promql)
            except QueryRefusedError as error:
                self._refused[metric] = error
                continue
            for one in result.series[:1]:
                for dated, value in one.points[-1:]:
                    at = steady_time(self._clock, dated)
                    told.append(Sample(SeriesKey(metric), value, at))
                    told += self._bucket(metric, value, at)
        return told

    def _bucket(self, metric: str, value: float, at: float) -> list[Sample]:
        """Between which bounds a quantile lies, as samples of their own."""
        known = self._known
        bounds = bucket_bounds_ms(known.servers, known.page) if known is not None and metric in QUANTILES else ()
        bucket = bucket_of(value, bounds)
        if bucket is None:
            return []
        name = metric.removesuffix("_ms")
        return [Sample(SeriesKey(f"{name}_{end}_ms"), of, at) for end, of in zip(("low", "high"), bucket, strict=True)]

    def _status(self, told: bool) -> Status:
        now = self._clock.now()
        if told:
            return Status(SourceState.LIVE, now)
        if self._known is None:
            return Status(
                SourceState.OFF,
                now,
                "which series are the model's is not known",
                "set prometheus.matchers to labels that only they have",
            )
        mine = self._whose or Whose({})
        where = ", ".join((*(f"{name}={value}" for name, value in mine.matchers.items()), *filter(None, (mine.pods,))))
        if not self._known.servers:
            reason = f"Prometheus has no series of a model server with {where}"
            return Status(SourceState.UNAVAILABLE, now, reason, "correct prometheus.matchers, or let it scrape them")
        return Status(SourceState.LIVE, now, "no request in the last minutes, by Prometheus")


def _not_taken(refused: Refused) -> dict[str, Trouble]:
    if not refused:
        return {}
    _, error = min(refused.items())
    reason = f"{len(refused)} figures cannot be asked for ({', '.join(sorted(refused))}): {error.reason}"
    return {"queries": Trouble(SourceState.DEGRADED, one_line(reason, 400), error.remedy)}
