"""The best GPU source that works, named; a worse one takes over while it fails, and it is returned to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, cast

from infdiag_tui.clock import Clock
from infdiag_tui.model import GpuDevice, Observation, SourceState, Status
from infdiag_tui.streams.base import SourceError, Stream
from infdiag_tui.streams.troubles import Trouble

NAME = "gpu-source"
TRIAL_EVERY_S = 15.0
"""How often a better source is tried while a worse one tells."""
TRIAL_MOST_S = 240.0
"""The pause doubles up to this each time the better one fails again soon after it was returned to."""
GOOD_READINGS = 3
"""Readings in a row before a source is returned to."""
SETTLED_S = 120.0
_UNASKED = SourceState.OFF


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source and what it is called in a sentence."""

    stream: Stream
    label: str


class ChosenGpuStream:
    """Tells what the best of several sources tells.

    Args:
        candidates: the best first.
        clock: monotonic and wall time.
        trial_every_s: seconds between two looks at better sources.
    """

    name = NAME

    def __init__(self, candidates: Sequence[Candidate], clock: Clock, *, trial_every_s: float = TRIAL_EVERY_S) -> None:
        self._candidates = tuple(candidates)
        self._clock = clock
        self._trial_every_s = trial_every_s
        self._trial_wait_s = trial_every_s
        self._active = 0
        self.stale_after_s = self._candidates[0].stream.stale_after_s
        """That of the source in use: they are read at different rates."""
        self._returned_at = float("-inf")
        self._failures: dict[int, SourceError] = {}
        self._aspects: set[str] = set()
        self._bars: dict[int, tuple[SourceError, float]] = {}
        """Sources that asked for a pause when they failed: their failure, and until when (monotonic)."""

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: no source works.
        """
        self._failures.clear()
        self._active = 0
        while True:
            self.stale_after_s = self._candidates[self._active].stream.stale_after_s
            trial: asyncio.Task[int] | None = None
            if self._active:
                trial = asyncio.create_task(self._better(self._active), name="trial of a better GPU source")
            try:
                if (barred := self._barred(self._active)) is not None:
                    raise barred
                async with aclosing(self._told(self._active, trial)) as told:
                    async for observation in told:
                        yield observation
                assert trial is not None
                self._active = trial.result()
                self._returned_at = self._clock.monotonic()
            except SourceError as error:
                self._failed(error)
            finally:
                if trial is not None:
                    trial.cancel()
                    with suppress(asyncio.CancelledError):
                        await trial
            for aspect in sorted(self._aspects):  # what the one before said of itself is over
                yield Status(SourceState.LIVE, self._clock.now(), aspect=aspect)
            self._aspects.clear()

    def _failed(self, error: SourceError) -> None:
        """Goes on to the next source.

        Raises:
            SourceError: there is none.
        """
        settled = self._clock.monotonic() - self._returned_at > SETTLED_S
        self._trial_wait_s = self._trial_every_s if settled else min(TRIAL_MOST_S, 2 * self._trial_wait_s)
        self._note(self._active, error)
        if self._active + 1 < len(self._candidates):
            self._active += 1
            return
        asked = [one for one in self._failures.values() if one.state is not _UNASKED]
        shown = [f"{self._candidates[index].label}: {one.reason}" for index, one in sorted(self._failures.items())]
        worst = asked[0] if asked else error
        waits = [one.retry_after_s for one in self._failures.values() if one.retry_after_s is not None]
        raise SourceError(
            "; ".join(shown),
            remedy="; ".join(dict.fromkeys(one.remedy for one in asked or [error] if one.remedy)),
            state=worst.state,
            retry_after_s=min(waits) if len(waits) == len(self._failures) else None,
        ) from error

    def _note(self, index: int, error: SourceError) -> None:
        self._failures[index] = error
        if error.retry_after_s is not None and self._barred(index) is None:
            self._bars[index] = error, self._clock.monotonic() + error.retry_after_s

    def _barred(self, index: int) -> SourceError | None:
        """Why a source is not to be tried yet: looking for an exporter costs an API server that others use as well."""
        error, until = self._bars.get(index, (None, 0.0))
        return error if self._clock.monotonic() < until else None

    async def _told(self, index: int, trial: asyncio.Task[int] | None) -> AsyncGenerator[Observation, None]:
        """What a source tells, after its name; ends when `trial` has found a better one.

        Raises:
            SourceError: it fails, or has been silent for too long.
        """
        candidate = self._candidates[index]
        named = False
        async with aclosing(cast("Any", candidate.stream.observe())) as observations:
            iterator = aiter(observations)
            while True:
                coming = asyncio.ensure_future(_next(iterator))
                waited: set[asyncio.Future[Any]] = {coming}
                if trial is not None:
                    waited.add(trial)
                try:
                    done, _ = await asyncio.wait(
                        waited, timeout=candidate.stream.stale_after_s, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    if not coming.done():
                        coming.cancel()
                        with suppress(asyncio.CancelledError, SourceError):
                            await coming
                if trial is not None and trial in done:
                    return
                if coming not in done:
                    raise SourceError(f"{candidate.label} has told nothing for {candidate.stream.stale_after_s:.0f} s")
                observation = coming.result()
                if isinstance(observation, Status):
                    if not observation.aspect:
                        continue  # how the whole fares is said here
                    self._aspects.add(observation.aspect)
                elif not named:
                    named = True
                    for status in self._name(index):
                        yield status
                yield observation

    def _name(self, index: int) -> Sequence[Status]:
        """Which source tells now, and which better one that was asked for does not."""
        now = self._clock.now()
        label = self._candidates[index].label
        better = [
            (self._candidates[other].label, error)
            for other, error in sorted(self._failures.items())
            if other < index and error.state is not _UNASKED
        ]
        trouble = Trouble(SourceState.LIVE, f"from {label}", "")
        if better:
            name, error = better[0]
            trouble = Trouble(SourceState.DEGRADED, f"from {label}, because {name} fails: {error.reason}", error.remedy)
        return [Status(trouble.state, now, trouble.reason, trouble.remedy)]

    async def _better(self, below: int) -> int:
        """The best source above this one, once it has given a few readings in a row."""
        while True:
            await asyncio.sleep(self._trial_wait_s)
            for index in range(below):
                if self._barred(index) is not None:
                    continue
                try:
                    async with asyncio.timeout(GOOD_READINGS * self._candidates[index].stream.stale_after_s):
                        await self._reads(index)
                except SourceError as error:
                    self._note(index, error)
                except TimeoutError:
                    continue
                else:
                    for worse in range(index, below):
                        self._failures.pop(worse, None)
                    return index

    async def _reads(self, index: int) -> None:
        """Returns once a source has given a few readings.

        Raises:
            SourceError: it fails.
        """
        moments: set[float] = set()
        async with aclosing(cast("Any", self._candidates[index].stream.observe())) as observations:
            async for observation in observations:
                if isinstance(observation, GpuDevice) and not observation.lost:
                    moments.add(observation.at)
                    if len(moments) >= GOOD_READINGS:
                        return
        raise SourceError("the source ended by itself")


async def _next(iterator: AsyncIterator[Observation]) -> Observation:
    try:
        return await anext(iterator)
    except StopAsyncIteration as error:
        raise SourceError("the source ended by itself") from error
