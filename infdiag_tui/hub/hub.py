"""The hub: takes every observation, keeps the latest state of things and bounded histories, tells subscribers.

It belongs to one event loop and is not thread-safe; other threads get immutable snapshots.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager

from infdiag_tui.hub.log_ring import LogRing
from infdiag_tui.hub.replies import ReplyLog
from infdiag_tui.hub.replies_in_turn import RepliesInTurn
from infdiag_tui.hub.ring import SeriesRing
from infdiag_tui.hub.signature_count import SignatureCount
from infdiag_tui.model import (
    ClusterEvent,
    GpuDevice,
    History,
    HostState,
    LatencyView,
    LogLine,
    LogView,
    Observation,
    Pod,
    PodGone,
    PodUsage,
    ProcessState,
    Reply,
    Sample,
    SeriesKey,
    SeriesView,
    SignatureSeen,
)

MAX_SERIES = 4_000
"""Series kept; of a cluster that makes more, the ones longest without a sample leave first."""
MAX_EVENTS = 500
MAX_GONE = 300
MAX_USAGE_WITHOUT_POD = 100
NEAREST_GPU_PROVIDER = "nvml"
NEARER_HOLDS_S = 15.0
"""A card that two sources report is shown by the nearer one unless that has been silent for this long."""


class Subscription:
    """A bounded feed of observations; what does not fit is dropped oldest first and counted."""

    def __init__(self, capacity: int) -> None:
        self._pending: deque[Observation] = deque()
        self._capacity = capacity
        self._arrived = asyncio.Event()
        self.dropped = 0

    def offer(self, observation: Observation) -> None:
        """Takes an observation without waiting."""
        if len(self._pending) >= self._capacity:
            self._pending.popleft()
            self.dropped += 1
        self._pending.append(observation)
        self._arrived.set()

    async def take(self) -> list[Observation]:
        """Waits for at least one observation and returns all that are pending."""
        await self._arrived.wait()
        self._arrived.clear()
        taken = list(self._pending)
        self._pending.clear()
        return taken

    async def __aiter__(self) -> AsyncIterator[Observation]:
        while True:
            for observation in await self.take():
                yield observation


class Hub:
    """All that was observed in one incident, bounded in memory.

    Args:
        opened_at: when the incident was opened, to date lines that stood in a log before; default: with the first line.
        steady: turns a time that the cluster states into one of the clock that all else here is dated by; default:
            both are the same.

    Attributes:
        counts: how many observations of each type ever came, exact.
    """

    def __init__(
        self,
        *,
        max_log_lines: int = 20_000,
        series_capacity: int = 720,
        opened_at: float | None = None,
        steady: Callable[[float], float] = float,
    ) -> None:
        self._series: dict[SeriesKey, SeriesRing] = {}
        self._series_capacity = series_capacity
        self._logs = LogRing(max_log_lines)
        self._signatures = SignatureCount(opened_at, MAX_EVENTS, steady)
        self._replies: dict[str, ReplyLog] = {}
        self._in_turn = RepliesInTurn()
        self._hosts: dict[str, HostState] = {}
        self._processes: dict[str, ProcessState] = {}
        self._gpus: dict[str, GpuDevice] = {}
        self._pods: dict[str, Pod] = {}
        self._usage: dict[str, PodUsage] = {}
        self._gone: deque[PodGone] = deque(maxlen=MAX_GONE)
        self._events: dict[str, ClusterEvent] = {}
        self._subscriptions: set[Subscription] = set()
        self.counts: Counter[str] = Counter()

    def put(self, observation: Observation) -> None:
        """Takes one observation; never waits, never grows without bound."""
        self.counts[type(observation).__name__] += 1
        match observation:
            case Sample(key=key, value=value, at=at):
                self._ring(key).append(at, value)
            case History(key=key, times=times, values=values, source=source):
                self._ring(key).prepend(times, values, source)
            case LogLine():
                self._logs.append(observation)
                self._signatures.add(observation)
            case Reply():
                self._take_reply(observation)
            case Pod():
                self._put_pod(observation)
            case PodGone():
                self._put_gone(observation)
            case PodUsage():
                self._put_usage(observation)
            case ClusterEvent():
                self._put_event(observation)
            case GpuDevice():
                self._put_gpu(observation)
            case HostState():
                self._hosts[observation.key] = observation
            case ProcessState():
                self._processes[observation.key] = observation
            case _:
                pass  # heartbeats and statuses are the supervisor's
        for subscription in self._subscriptions:
            subscription.offer(observation)

    @contextmanager
    def subscribe(self, capacity: int = 10_000) -> Iterator[Subscription]:
        """A feed of all observations from now on, for as long as the `with` block lasts."""
        subscription = Subscription(capacity)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    @property
    def host(self) -> HostState | None:
        """This machine's latest state."""
        return next(iter(self._hosts.values()), None)

    @property
    def processes(self) -> tuple[ProcessState, ...]:
        """The watched processes."""
        return tuple(self._processes.values())

    @property
    def gpus(self) -> tuple[GpuDevice, ...]:
        """All GPUs, by host and index."""
        return tuple(sorted(self._gpus.values(), key=lambda gpu: (gpu.host, gpu.index, gpu.uuid)))

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that exist, by key."""
        return tuple(self._pods[key] for key in sorted(self._pods))

    @property
    def gone(self) -> tuple[PodGone, ...]:
        """The pods that left, oldest first."""
        return tuple(self._gone)

    @property
    def usage(self) -> Mapping[str, PodUsage]:
        """Latest usage by pod key, a copy."""
        return dict(self._usage)

    @property
    def events(self) -> tuple[ClusterEvent, ...]:
        """The newest cluster events, newest first."""
        return tuple(sorted(self._events.values(), key=_event_time, reverse=True))

    @property
    def log_total(self) -> int:
        """Log entries ever received."""
        return self._logs.total

    def logs(self) -> LogView:
        """The log tail."""
        return self._logs.view()

    def signatures(self) -> tuple[SignatureSeen, ...]:
        """The known lines that were seen, the most recent first; counts are exact."""
        return self._signatures.view()

    def log_errors_since(self, at: float) -> list[LogLine]:
        """Error entries received from `at` on."""
        return self._logs.errors_since(at)

    def _take_reply(self, reply: Reply) -> None:
        if reply.in_turn:
            self._in_turn.add(reply)
        else:
            self._replies.setdefault(reply.target, ReplyLog(reply.target)).add(reply)

    def latency(self, now: float) -> tuple[LatencyView, ...]:
        """What the probes say, target by target."""
        return tuple(log.view(now) for log in self._replies.values())

    def by_replica(self, now: float) -> tuple[LatencyView, ...]:
        """The replicas that are probed in turn."""
        return self._in_turn.views(now)

    def series(self) -> Mapping[SeriesKey, SeriesView]:
        """All series; unchanged ones are the same objects as before."""
        return {key: ring.view() for key, ring in self._series.items()}

    def _ring(self, key: SeriesKey) -> SeriesRing:
        ring = self._series.pop(key, None)
        if ring is None:
            ring = SeriesRing(self._series_capacity)
            if len(self._series) >= MAX_SERIES:
                self._series.pop(next(iter(self._series)))
        self._series[key] = ring  # last in the order: the first is the one longest without a sample
        return ring

    def _put_pod(self, pod: Pod) -> None:
        known = self._pods.get(pod.key)
        if known is not None and known.uid != pod.uid:
            self._usage.pop(pod.key, None)  # what the old pod used says nothing about the new one
        self._pods[pod.key] = pod

    def _put_gone(self, gone: PodGone) -> None:
        self._gone.append(gone)
        known = self._pods.get(gone.key)
        # A StatefulSet's new pod may bear the old one's name: only the pod that went is removed.
        if known is not None and known.uid == gone.uid:
            del self._pods[gone.key]
            self._usage.pop(gone.key, None)

    def _put_usage(self, usage: PodUsage) -> None:
        self._usage[usage.key] = usage
        # metrics-server tells of pods for a while after they went, when nothing will remove them here any more.
        if len(self._usage) > 2 * len(self._pods) + MAX_USAGE_WITHOUT_POD:
            self._usage = {key: kept for key, kept in self._usage.items() if key in self._pods}

    def _put_gpu(self, gpu: GpuDevice) -> None:
        """Keeps one account of a card: while the driver itself answers, an exporter's slower figures stay out."""
        known = self._gpus.get(gpu.key)
        nearer = known is not None and known.provider == NEAREST_GPU_PROVIDER != gpu.provider
        if known is not None and nearer and not known.lost and gpu.at - known.at < NEARER_HOLDS_S:
            return
        self._gpus[gpu.key] = gpu

    def _put_event(self, event: ClusterEvent) -> None:
        self._events[event.key] = event
        self._signatures.add_event(event)
        if len(self._events) > MAX_EVENTS:
            oldest = min(self._events.values(), key=_event_time)
            del self._events[oldest.key]


def _event_time(event: ClusterEvent) -> float:
    return event.last_at or event.first_at or event.at
