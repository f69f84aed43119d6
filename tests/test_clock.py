"""Ages come from a clock that is never set: a wall clock that steps hides no silence and invents none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infdiag_tui.clock import SteadyClock, SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.model import Heartbeat, Observation, Sample, SeriesKey, SourceState
from infdiag_tui.session import ENGINE, Session
from infdiag_tui.targets import Target
from tests.support import eventually
from widgets.source_state import combine, words
from widgets.vitals import vitals_lines

START = 1_700_000_000.0
HOUR = 3_600.0
KEY = SeriesKey("x.y")


class Machine:
    """A machine whose time passes, and whose wall clock is set, only when told."""

    def __init__(self) -> None:
        self.passed = 50.0
        self.set_by = 0.0
        self.clock = SteadyClock(lambda: START + self.passed + self.set_by, lambda: self.passed)


class Ticking:
    """A source that dates a sample whenever it is told to."""

    name = "ticking"
    stale_after_s = 5.0

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.tick = asyncio.Event()

    async def observe(self) -> AsyncIterator[Observation]:
        while True:
            await self.tick.wait()
            self.tick.clear()
            now = self._machine.clock.now()
            yield Sample(KEY, 1.0, now)
            yield Heartbeat(now)


def test_a_clock_goes_on_steadily_while_the_wall_is_set() -> None:
    machine = Machine()
    first = machine.clock.now()
    machine.passed += 10
    machine.set_by = -HOUR
    assert machine.clock.now() - first == 10
    assert machine.clock.wall() - first == 10 - HOUR
    machine.set_by = HOUR
    machine.passed += 5
    assert machine.clock.now() - first == 15
    assert machine.clock.monotonic() == 65


def test_the_machines_clock_is_of_one_origin_however_often_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    first = SystemClock()
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() - HOUR)
    second = SystemClock()
    before = first.now()
    assert second.now() >= before
    assert second.now() - before < 60
    assert second.wall() < before - HOUR + 60


@pytest.mark.parametrize("set_by", [-HOUR, HOUR])
async def test_a_wall_clock_that_is_set_neither_hides_silence_nor_invents_it(tmp_path: Path, set_by: float) -> None:
    machine = Machine()
    source = Ticking(machine)
    session = Session(Target("m", "", ModelConfig(), Config()), (source,), tmp_path, machine.clock)
    running = asyncio.create_task(session.run())
    try:
        source.tick.set()
        await eventually(lambda: session.snapshot().source("ticking").state is SourceState.LIVE)

        machine.set_by = set_by
        machine.passed += 4.0
        health = session.snapshot().source("ticking")
        assert health.state is SourceState.LIVE
        assert health.age_s(machine.clock.now()) == pytest.approx(4.0)

        machine.passed += 2.0
        health = session.snapshot().source("ticking")
        assert health.state is SourceState.STALE
        assert health.age_s(machine.clock.now()) == pytest.approx(6.0)
        assert words(combine((health,), machine.clock.now())) == "stale 6 s"

        source.tick.set()
        await eventually(lambda: session.snapshot().source("ticking").state is SourceState.LIVE)
        times = session.snapshot().series[KEY].times
        assert times[1] - times[0] == pytest.approx(6.0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(("set_by", "way", "shown"), [(-HOUR, "back", "21:14:10Z"), (HOUR, "forward", "23:14:10Z")])
async def test_a_clock_that_was_set_is_told_and_the_time_of_day_is_the_machines(
    tmp_path: Path, set_by: float, way: str, shown: str
) -> None:
    machine = Machine()
    session = Session(Target("m", "", ModelConfig(), Config()), (), tmp_path, machine.clock)
    session.conclude()
    assert session.snapshot().source(ENGINE).state is SourceState.LIVE

    machine.set_by = set_by
    snapshot = session.snapshot()

    health = snapshot.source(ENGINE)
    assert health.state is SourceState.DEGRADED
    assert f"this machine's clock was set {way} by 3,600 s" in health.reason
    drawn = "".join(span.text for row in vitals_lines(snapshot, snapshot.at, 80) for span in row)
    assert shown in drawn
    assert snapshot.wall(snapshot.at) - snapshot.at == pytest.approx(set_by)


async def test_a_clock_that_is_nudged_is_no_news(tmp_path: Path) -> None:
    machine = Machine()
    session = Session(Target("m", "", ModelConfig(), Config()), (), tmp_path, machine.clock)
    session.conclude()
    machine.set_by = 0.5
    assert session.snapshot().source(ENGINE).state is SourceState.LIVE
    assert session.snapshot().clock_set_s == 0.0
