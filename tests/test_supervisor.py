"""The supervisor: restarts, health in words, stale told from live, clean cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.model import Heartbeat, Observation, SourceHealth, SourceState, Status
from infdiag_tui.streams.base import SourceError, Stream
from infdiag_tui.supervisor import Backoff, Supervisor
from tests.support import FakeClock, eventually

QUICK = Backoff(first_s=0.001, most_s=0.002)


class Scripted:
    """A stream whose runs are given as functions; the last one is repeated."""

    def __init__(self, *runs: Callable[[], AsyncIterator[Observation]], stale_after_s: float = 10.0) -> None:
        self.name = "scripted"
        self.stale_after_s = stale_after_s
        self.runs = list(runs)
        self.started = 0
        self.closed = 0

    async def observe(self) -> AsyncIterator[Observation]:
        run = self.runs[min(self.started, len(self.runs) - 1)]
        self.started += 1
        try:
            async for observation in run():
                yield observation
        finally:
            self.closed += 1


async def forever() -> AsyncIterator[Observation]:
    yield Heartbeat(0.0)
    await asyncio.Event().wait()


async def silent() -> AsyncIterator[Observation]:
    await asyncio.Event().wait()
    yield Heartbeat(0.0)


async def refused() -> AsyncIterator[Observation]:
    nothing: tuple[Observation, ...] = ()
    for beat in nothing:
        yield beat
    raise SourceError("connection refused", remedy="start the server")


async def broken() -> AsyncIterator[Observation]:
    yield Heartbeat(0.0)
    raise KeyError("surprise")


def says(*statuses: Status) -> Callable[[], AsyncIterator[Observation]]:
    async def run() -> AsyncIterator[Observation]:
        for status in statuses:
            yield status
        yield Heartbeat(0.0)
        await asyncio.Event().wait()

    return run


class Running:
    """A supervisor running one stream, ended by the `async with`."""

    def __init__(self, stream: Stream, clock: FakeClock | None = None, backoff: Backoff = QUICK) -> None:
        self.clock = clock or FakeClock()
        self.seen: list[Observation] = []
        self.supervisor = Supervisor([stream], self.seen.append, self.clock, backoff=backoff, seed=1)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.supervisor.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task

    @property
    def health(self) -> SourceHealth:
        return self.supervisor.health(self.clock.now())["scripted"]


async def test_a_stream_is_starting_until_its_first_observation_and_live_after() -> None:
    release = asyncio.Event()

    async def late() -> AsyncIterator[Observation]:
        await release.wait()
        async for one in forever():
            yield one

    async with Running(Scripted(late)) as running:
        await asyncio.sleep(0)
        assert running.health.state is SourceState.STARTING
        release.set()
        await eventually(lambda: running.health.state is SourceState.LIVE)


async def test_a_failed_stream_shows_why_and_when_it_is_tried_again_and_comes_back() -> None:
    stream = Scripted(refused, forever)
    async with Running(stream, backoff=Backoff(first_s=0.05, most_s=0.05)) as running:
        await eventually(lambda: running.health.state is SourceState.UNAVAILABLE)
        health = running.health
        assert health.reason == "connection refused"
        assert health.remedy == "start the server"
        assert health.retry_at is not None
        await eventually(lambda: running.health.state is SourceState.LIVE)
        assert running.health.reason == ""
        assert running.health.restarts == 1


async def test_a_stream_with_nothing_to_watch_is_off_with_its_reason_until_there_is_something() -> None:
    arrived = asyncio.Event()

    async def absent() -> AsyncIterator[Observation]:
        nothing: tuple[Observation, ...] = ()
        for beat in nothing:
            yield beat
        raise SourceError("no driver on this machine", state=SourceState.OFF)

    async def later() -> AsyncIterator[Observation]:
        await arrived.wait()
        async for beat in forever():
            yield beat

    async with Running(Scripted(absent, absent, later)) as running:
        await eventually(lambda: running.health.restarts == 2)
        assert running.health.state is SourceState.OFF
        assert running.health.reason == "no driver on this machine"
        arrived.set()
        await eventually(lambda: running.health.state is SourceState.LIVE)


async def test_a_defect_of_one_stream_is_named_and_restarted(caplog: pytest.LogCaptureFixture) -> None:
    stream = Scripted(broken)
    async with Running(stream) as running:
        await eventually(lambda: stream.started > 3)
        assert "KeyError" in running.health.reason or running.health.state is SourceState.LIVE
    assert "surprise" in caplog.text
    assert stream.closed == stream.started


async def test_a_stream_that_ends_is_started_again() -> None:
    async def short() -> AsyncIterator[Observation]:
        yield Heartbeat(0.0)

    stream = Scripted(short)
    async with Running(stream):
        await eventually(lambda: stream.started >= 3)


async def test_data_that_grows_old_is_stale_and_says_for_how_long() -> None:
    clock = FakeClock()
    async with Running(Scripted(forever, stale_after_s=5.0), clock) as running:
        await eventually(lambda: running.health.state is SourceState.LIVE)
        clock.advance(5.5)
        health = running.health
        assert health.state is SourceState.STALE
        assert health.age_s(clock.now()) == pytest.approx(5.5)
        assert "nothing new for" in health.reason


async def test_a_source_that_never_gave_anything_does_not_stay_starting_for_ever() -> None:
    clock = FakeClock()
    async with Running(Scripted(silent, stale_after_s=5.0), clock) as running:
        await asyncio.sleep(0)
        clock.advance(6.0)
        assert running.health.state is SourceState.STALE
        assert "no data yet after 6 s" in running.health.reason


async def test_a_declared_state_holds_while_data_goes_on_until_it_is_taken_back() -> None:
    down = Status(SourceState.UNAVAILABLE, 0.0, "connection refused", "start the server")
    async with Running(Scripted(says(down))) as running:
        await eventually(lambda: running.health.last_data_at is not None)
        assert running.health.state is SourceState.UNAVAILABLE
    async with Running(Scripted(says(down, Status(SourceState.LIVE, 0.0)))) as running:
        await eventually(lambda: running.health.last_data_at is not None)
        assert running.health.state is SourceState.LIVE


async def test_one_missing_aspect_degrades_the_rest_and_is_named() -> None:
    usage = Status(SourceState.DEGRADED, 0.0, "metrics-server is not installed", "install it", aspect="usage")
    async with Running(Scripted(says(usage))) as running:
        await eventually(lambda: running.health.last_data_at is not None)
        assert running.health.state is SourceState.DEGRADED
        assert running.health.reason == "metrics-server is not installed"
    back = Status(SourceState.LIVE, 0.0, aspect="usage")
    async with Running(Scripted(says(usage, back))) as running:
        await eventually(lambda: running.health.last_data_at is not None)
        assert running.health.state is SourceState.LIVE
        assert running.health.reason == ""


async def test_cancelling_closes_every_stream_and_leaves_no_task() -> None:
    stream = Scripted(forever)
    before = asyncio.all_tasks()
    async with Running(stream) as running:
        await eventually(lambda: running.health.state is SourceState.LIVE)
    assert stream.closed == 1
    assert asyncio.all_tasks() == before


async def test_a_flooding_stream_lets_others_have_their_turn() -> None:
    async def flood() -> AsyncIterator[Observation]:
        while True:
            yield Heartbeat(0.0)

    async with Running(Scripted(flood)) as running:
        await asyncio.wait_for(asyncio.sleep(0.01), 2)
        assert len(running.seen) > 200


def test_two_streams_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two streams are named 'scripted'"):
        Supervisor([Scripted(forever), Scripted(forever)], lambda _one: None, FakeClock())


@given(st.integers(1, 200), st.integers(0, 1000))
def test_backoff_is_jittered_bounded_and_rises(failures: int, seed: int) -> None:
    backoff = Backoff(first_s=0.25, most_s=2.5)
    delay = backoff.delay_s(failures, random.Random(seed))
    full = min(2.5, 0.25 * 2 ** min(failures - 1, 16))
    assert full / 2 <= delay <= full


@pytest.mark.parametrize("ends", [False, True])
async def test_a_stream_that_swallows_its_cancellation_ends_all_the_same(ends: bool) -> None:
    async def deaf() -> AsyncIterator[Observation]:
        yield Heartbeat(0.0)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        while not ends:
            yield Heartbeat(0.0)
            await asyncio.sleep(0)

    stream = Scripted(deaf)
    async with asyncio.timeout(10), Running(stream) as running:
        await eventually(lambda: running.seen)
    assert stream.closed == stream.started == 1
