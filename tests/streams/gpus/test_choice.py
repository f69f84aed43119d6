"""The choice among GPU sources: the best that works is used and named, a worse one takes over, no flapping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import GpuDevice, Observation, SourceState, Status
from infdiag_tui.streams.base import SourceError, StreamContext
from infdiag_tui.streams.gpu import build
from infdiag_tui.streams.gpus.choice import Candidate, ChosenGpuStream
from tests.streams.gpus.helpers import Watched, watching

TRIAL_S = 0.05


class Scripted:
    """A source that a test switches on and off."""

    def __init__(self, name: str, *, stale_after_s: float = 5.0) -> None:
        self.name = name
        self.stale_after_s = stale_after_s
        self.failure: SourceError | None = None
        self.silent = asyncio.Event()
        self.trouble = ""
        self.runs = 0
        self.readings_before_failing = 0

    async def observe(self) -> AsyncIterator[Observation]:
        self.runs += 1
        given = 0
        while True:
            if self.failure is not None and given >= self.readings_before_failing:
                raise self.failure
            if self.silent.is_set():
                await asyncio.Event().wait()
            now = SystemClock().now()
            if self.trouble:
                yield Status(SourceState.DEGRADED, now, self.trouble, aspect="cards")
            yield GpuDevice(f"GPU-of-{self.name}", 0, "card", now, self.name)
            given += 1
            await asyncio.sleep(0.005)


def chosen(*sources: Scripted, trial_every_s: float = TRIAL_S) -> ChosenGpuStream:
    return ChosenGpuStream([Candidate(one, one.name) for one in sources], SystemClock(), trial_every_s=trial_every_s)


def newest(watched: Watched) -> str:
    return next((one.provider for one in reversed(watched.told) if isinstance(one, GpuDevice)), "")


async def test_the_best_is_used_and_named() -> None:
    best, worse = Scripted("best"), Scripted("worse")
    async with watching(chosen(best, worse)) as watched:
        await watched.until(lambda: watched.gpus)
        assert watched.health.state is SourceState.LIVE
        assert watched.health.reason == "from best"
    assert worse.runs == 0


async def test_a_worse_one_takes_over_with_the_reason_and_the_better_one_is_returned_to() -> None:
    best, worse = Scripted("best"), Scripted("worse")
    async with watching(chosen(best, worse)) as watched:
        await watched.until(lambda: newest(watched) == "best")
        best.failure = SourceError("the exporter is gone", remedy="start it")
        await watched.until(lambda: newest(watched) == "worse")
        assert watched.health.state is SourceState.DEGRADED
        assert watched.health.reason == "from worse, because best fails: the exporter is gone"
        assert watched.health.remedy == "start it"
        await watched.until(lambda: best.runs >= 3)  # it is tried, and does not work yet
        assert newest(watched) == "worse"
        best.failure = None
        await watched.until(lambda: newest(watched) == "best")
        await watched.until(lambda: watched.health.state is SourceState.LIVE)
        assert watched.health.reason == "from best"
        assert watched.health.restarts == 0


async def test_one_that_was_not_asked_for_is_passed_over_without_a_word() -> None:
    best, worse = Scripted("best"), Scripted("worse")
    best.failure = SourceError("no exporter here", state=SourceState.OFF)
    async with watching(chosen(best, worse)) as watched:
        await watched.until(lambda: newest(watched) == "worse")
        assert watched.health.state is SourceState.LIVE
        assert watched.health.reason == "from worse"


async def test_one_that_only_begins_well_is_not_returned_to() -> None:
    best, worse = Scripted("best"), Scripted("worse")
    best.failure, best.readings_before_failing = SourceError("falters"), 2
    async with watching(chosen(best, worse)) as watched:
        await watched.until(lambda: newest(watched) == "worse")
        await watched.until(lambda: best.runs >= 4)
        after = [one.provider for one in watched.told if isinstance(one, GpuDevice)]
        assert after.index("worse") == 2  # its first two readings; none of any trial
        assert "best" not in after[2:]


async def test_one_that_fails_again_and_again_is_tried_ever_less_often() -> None:
    best, worse = Scripted("best"), Scripted("worse")
    best.failure, best.readings_before_failing = SourceError("falters"), 6
    stream = chosen(best, worse)
    async with watching(stream) as watched:
        await watched.until(lambda: stream._trial_wait_s >= 8 * TRIAL_S)
        assert watched.health.state in (SourceState.LIVE, SourceState.DEGRADED)


async def test_silence_is_failure_as_well() -> None:
    best, worse = Scripted("best", stale_after_s=0.1), Scripted("worse")
    best.silent.set()
    async with watching(chosen(best, worse, trial_every_s=60)) as watched:
        await watched.until(lambda: newest(watched) == "worse")
        assert "best has told nothing" in watched.health.reason
        assert watched.stream.stale_after_s == worse.stale_after_s


async def test_without_any_the_reasons_of_all_are_told() -> None:
    first, second = Scripted("first"), Scripted("second")
    first.failure = SourceError("none found", state=SourceState.OFF, remedy="name it")
    second.failure = SourceError("no driver", state=SourceState.OFF)
    async with watching(chosen(first, second)) as watched:
        await watched.until(lambda: watched.health.state is SourceState.OFF)
        assert watched.health.reason == "first: none found; second: no driver"
        second.failure = SourceError("the driver hangs", remedy="drain the node")
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert watched.health.remedy == "drain the node"
        second.failure = None
        await watched.until(lambda: newest(watched) == "second")


async def test_one_that_asks_for_a_pause_is_not_tried_before_it_is_over() -> None:
    best, worse = Scripted("best"), Scripted("worse")
    best.failure = SourceError("no exporter here", state=SourceState.OFF, retry_after_s=60.0)
    stream = chosen(best, worse, trial_every_s=0.01)
    async with watching(stream) as watched:
        await watched.until(lambda: newest(watched) == "worse")
        worse.failure = SourceError("gone")  # the supervisor begins anew, again and again
        await watched.until(lambda: watched.health.restarts >= 3)
        worse.failure = None
        await watched.until(lambda: watched.health.reason == "from worse")
        assert worse.runs >= 4
        assert best.runs == 1


async def test_what_a_source_said_of_its_cards_ends_with_it() -> None:
    best, worse = Scripted("best"), Scripted("worse")
    best.trouble = "GPU 3 is lost"
    async with watching(chosen(best, worse)) as watched:
        await watched.until(lambda: "GPU 3 is lost" in watched.health.reason)
        best.failure = SourceError("gone")
        await watched.until(lambda: newest(watched) == "worse")
        await watched.until(lambda: "GPU 3" not in watched.health.reason)


def names(config: Mapping[str, object], context: StreamContext | None = None) -> Sequence[str]:
    streams = build(ModelConfig.model_validate(config), context or StreamContext())
    found: list[str] = []
    for stream in streams:
        inner = [one.label for one in stream._candidates] if isinstance(stream, ChosenGpuStream) else [stream.name]
        found += inner
    return found


def test_which_sources_a_config_gives() -> None:
    prometheus = {"prometheus": {"url": "http://prometheus:9090"}}
    assert names({}) == ["gpu"]
    assert names({"gpu": {"nvml": False}}) == []
    assert names({"gpu": {"dcgm_url": "http://node:9400/metrics"}}) == ["dcgm"]
    assert names(prometheus) == ["Prometheus", "this machine's driver (NVML)"]
    assert names({**prometheus, "gpu": {"nvml": True}}) == ["gpu", "gpu-prometheus"]
    assert names({**prometheus, "gpu": {"dcgm_url": "http://n:9400/metrics"}}) == ["dcgm-exporter", "Prometheus"]
    assert names({"gpu": {"nvidia_smi": True}}) == ["gpu"]  # without a way beside the model
