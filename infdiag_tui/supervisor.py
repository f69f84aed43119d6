"""Keeps streams alive: restarts with jittered backoff, visible health and reasons, cancellation that leaves nothing."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

from infdiag_tui.clock import Clock
from infdiag_tui.model import PROBLEM_STATES, Observation, SourceHealth, SourceState, Status
from infdiag_tui.streams.base import SourceError, Stream

log = logging.getLogger(__name__)

_BURST = 200
"""Observations taken from one stream before the others get their turn."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between restarts: doubling from `first_s` to `most_s`, each drawn from its upper half.

    The cap is low because an operator watches: three seconds after a source is back, its panel should be too. A run
    that lasted `calm_s` starts the count afresh.
    """

    first_s: float = 0.25
    most_s: float = 2.5
    calm_s: float = 10.0

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """The delay after the n-th failure in a row (n from 1)."""
        full = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 16))
        return rng.uniform(full / 2, full)


@dataclass(slots=True)
class _Watch:
    """What the supervisor knows about one stream."""

    stream: Stream
    state: SourceState
    since: float
    reason: str = ""
    remedy: str = ""
    declared: bool = False
    """The stream itself said so in this run; only it can take that back."""
    aspects: dict[str, Status] = field(default_factory=dict)
    last_data_at: float | None = None
    restarts: int = 0
    retry_at: float | None = None

    def turn(self, state: SourceState, at: float, reason: str = "", remedy: str = "") -> None:
        if state is not self.state:
            self.since = at
        self.state, self.reason, self.remedy = state, reason, remedy

    def health(self, now: float) -> SourceHealth:
        """The stream's state as of `now`, with what its aspects say and with its age taken into account."""
        state, reason, remedy, since = self.state, self.reason, self.remedy, self.since
        troubled = [status for status in self.aspects.values() if status.state in PROBLEM_STATES]
        if state is SourceState.LIVE and troubled:
            state = SourceState.DEGRADED
            since = min(status.at for status in troubled)
        if state not in (SourceState.FORBIDDEN, SourceState.UNAVAILABLE):
            reason = "; ".join(filter(None, (reason, *(status.reason for status in troubled))))
            remedy = "; ".join(filter(None, (remedy, *(status.remedy for status in troubled))))
        limit_s = self.stream.stale_after_s
        if self.last_data_at is None:
            if state is SourceState.STARTING and now - self.since > limit_s:
                state = SourceState.STALE
                reason = f"no data yet after {now - self.since:.0f} s"
        elif state in (SourceState.LIVE, SourceState.DEGRADED) and now - self.last_data_at > limit_s:
            state = SourceState.STALE
            since = self.last_data_at + limit_s
            reason = "; ".join(filter(None, (f"nothing new for {now - self.last_data_at:.0f} s", reason)))
        return SourceHealth(
            name=self.stream.name,
            state=state,
            since=since,
            last_data_at=self.last_data_at,
            reason=reason,
            remedy=remedy,
            restarts=self.restarts,
            retry_at=self.retry_at,
            stale_after_s=limit_s,
        )


class Supervisor:
    """Runs streams and knows how each fares.

    Args:
        streams: what to run; names must differ.
        put: takes each observation; must not wait.
        clock: wall and monotonic time.
        backoff: delays between restarts.
        seed: of the jitter, for tests.

    Raises:
        ValueError: two streams bear one name.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        put: Callable[[Observation], None],
        clock: Clock,
        *,
        backoff: Backoff | None = None,
        seed: int | None = None,
    ) -> None:
        self._put = put
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._rng = random.Random(seed)
        started = clock.now()
        self._watches: dict[str, _Watch] = {}
        for stream in streams:
            if stream.name in self._watches:
                raise ValueError(f"two streams are named {stream.name!r}")
            self._watches[stream.name] = _Watch(stream, SourceState.STARTING, started)

    async def run(self) -> None:
        """Runs every stream until cancelled; on return no task, socket or generator of theirs is left."""
        async with asyncio.TaskGroup() as group:
            for watch in self._watches.values():
                group.create_task(self._keep_alive(watch), name=f"stream {watch.stream.name}")

    def health(self, now: float) -> Mapping[str, SourceHealth]:
        """Every stream's health as of `now` (Unix seconds)."""
        return {name: watch.health(now) for name, watch in self._watches.items()}

    async def _keep_alive(self, watch: _Watch) -> None:
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                await self._follow(watch)
                error = SourceError("the source ended by itself")
            except SourceError as failure:
                error = failure
            except Exception as failure:
                # A defect of one source must cost that panel alone; the traceback is in the incident's log.
                log.exception("stream %s failed", watch.stream.name)
                error = SourceError(
                    f"unexpected {type(failure).__name__}: {failure}",
                    remedy="a defect of infdiag: the incident folder's infdiag.log has the details",
                )
            _heed_cancellation()
            calm = self._clock.monotonic() - began >= self._backoff.calm_s
            failures = 1 if calm else failures + 1
            delay_s = max(self._backoff.delay_s(failures, self._rng), error.retry_after_s or 0.0)
            now = self._clock.now()
            watch.aspects.clear()
            watch.declared = False
            watch.turn(error.state, now, error.reason, error.remedy)
            watch.retry_at = now + delay_s
            await asyncio.sleep(delay_s)
            watch.restarts += 1
            watch.retry_at = None

    async def _follow(self, watch: _Watch) -> None:
        taken = 0
        # Streams are async generators; closing them here runs their clean-up before the restart, not at garbage time.
        async with aclosing(cast("Any", watch.stream.observe())) as observations:
            async for observation in observations:
                _heed_cancellation()
                self._note(watch, observation)
                self._put(observation)
                taken += 1
                if taken % _BURST == 0:
                    await asyncio.sleep(0)

    def _note(self, watch: _Watch, observation: Observation) -> None:
        now = self._clock.now()
        if isinstance(observation, Status):
            if observation.aspect:
                watch.aspects[observation.aspect] = observation
            else:
                watch.declared = True
                watch.turn(observation.state, now, observation.reason, observation.remedy)
            return
        watch.last_data_at = now
        if not watch.declared and watch.state is not SourceState.LIVE:
            watch.turn(SourceState.LIVE, now)


def _heed_cancellation() -> None:
    """Ends this task if it was cancelled and a stream swallowed that, as `asyncio.wait_for` may before Python 3.12."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
