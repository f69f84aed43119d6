"""The dedicated thread: results, hanging calls, cancellation and its end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from infdiag_tui.streams.threads import SoleThread, StuckCallError


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # the end of a foreign thread raises no event to await
            await asyncio.sleep(0.005)


async def test_calls_run_on_one_thread_of_that_name() -> None:
    sole = SoleThread("sole-one")
    names = [await sole.call(lambda: threading.current_thread().name, timeout_s=5) for _ in range(3)]
    idents = {await sole.call(threading.get_ident, timeout_s=5) for _ in range(3)}
    assert names == ["sole-one"] * 3
    assert len(idents) == 1
    sole.close()
    await eventually(lambda: not threads_named("sole-one"))


async def test_an_error_of_the_call_reaches_the_caller_and_the_thread_goes_on() -> None:
    sole = SoleThread("sole-error")
    with pytest.raises(ZeroDivisionError):
        await sole.call(lambda: 1 // 0, timeout_s=5)
    assert await sole.call(lambda: 7, timeout_s=5) == 7
    sole.close()


async def test_a_hanging_call_is_reported_at_once_from_then_on_and_never_starts_a_second_thread() -> None:
    sole, release = SoleThread("sole-hang"), threading.Event()
    with pytest.raises(StuckCallError):
        await sole.call(release.wait, timeout_s=0.05)
    ran = []
    for _ in range(20):
        with pytest.raises(StuckCallError) as stuck:
            await sole.call(lambda: ran.append(1), timeout_s=60)  # would hang the test if it waited
        assert stuck.value.waited_s >= 0.05
    assert sole.stuck_for_s is not None
    assert len(threads_named("sole-hang")) == 1
    assert ran == []

    release.set()
    await eventually(lambda: sole.stuck_for_s is None)
    assert await sole.call(lambda: 5, timeout_s=5) == 5
    assert ran == []
    sole.close()


async def test_closing_while_a_call_hangs_adds_no_thread_and_runs_the_last_job_before_anything_new() -> None:
    sole, release, order = SoleThread("sole-close"), threading.Event(), list[str]()
    with pytest.raises(StuckCallError):
        await sole.call(release.wait, timeout_s=0.05)
    sole.close(last=lambda: order.append("last"))
    with pytest.raises(StuckCallError):
        await sole.call(lambda: order.append("early"), timeout_s=60)
    assert len(threads_named("sole-close")) == 1

    release.set()
    await eventually(lambda: sole.stuck_for_s is None)
    await sole.call(lambda: order.append("new"), timeout_s=5)
    assert order == ["last", "new"]
    sole.close()
    await eventually(lambda: not threads_named("sole-close"))


async def test_a_cancelled_wait_leaves_the_call_to_end_and_the_next_call_waits_for_it() -> None:
    sole, release, started, order = SoleThread("sole-cancel"), threading.Event(), threading.Event(), list[str]()

    def slow() -> None:
        started.set()
        release.wait()
        order.append("first")

    waiting = asyncio.create_task(sole.call(slow, timeout_s=60))
    await eventually(started.is_set)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    following = asyncio.create_task(sole.call(lambda: order.append("second"), timeout_s=60))
    await asyncio.sleep(0)
    release.set()
    await following
    assert order == ["first", "second"]
    sole.close()


async def test_two_callers_are_served_one_after_the_other() -> None:
    sole, busy, most = SoleThread("sole-two"), list[int](), list[int]()

    def work() -> None:
        busy.append(1)
        most.append(len(busy))
        busy.pop()

    await asyncio.gather(*(sole.call(work, timeout_s=10) for _ in range(8)))
    assert most == [1] * 8
    assert len(threads_named("sole-two")) == 1
    sole.close()


def test_a_call_that_returns_after_its_loop_was_closed_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    sole, release = SoleThread("sole-late"), threading.Event()

    async def hang() -> None:
        with pytest.raises(StuckCallError):
            await sole.call(release.wait, timeout_s=0.05)
        sole.close()

    asyncio.run(hang())
    (thread,) = threads_named("sole-late")
    with caplog.at_level(logging.DEBUG, logger="concurrent.futures"):
        release.set()
        thread.join(10)
    assert not thread.is_alive()
    assert caplog.records == []


async def test_a_last_job_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    sole = SoleThread("sole-fail")
    await sole.call(lambda: None, timeout_s=5)
    sole.close(last=lambda: 1 // 0)
    await eventually(lambda: not threads_named("sole-fail"))
    assert "closing a thread failed" in caplog.text


async def test_closing_an_unused_thread_does_nothing() -> None:
    before = threading.active_count()
    SoleThread("sole-unused").close(last=lambda: None)
    assert threading.active_count() == before


async def test_a_cancellation_that_comes_just_as_the_call_returns_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    sole, release = SoleThread("sole-race"), threading.Event()

    def tell_and_cancel(loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
        def tell() -> None:
            done.set()
            calling.cancel()

        loop.call_soon_threadsafe(tell)

    monkeypatch.setattr("infdiag_tui.streams.threads._tell", tell_and_cancel)
    calling = asyncio.create_task(sole.call(release.wait, timeout_s=60))
    await eventually(lambda: bool(threads_named("sole-race")))
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await calling
    sole.close()
