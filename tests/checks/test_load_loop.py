"""The load generator's event loop: fine timers, and since when what it hands out may have been there."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from checks.load_gen.fine_loop import FineLoop


def running(loop: FineLoop) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=lambda: loop)


async def told(loop: FineLoop, reader: socket.socket) -> float:
    """What the loop says when the socket becomes readable."""
    said: asyncio.Future[float] = loop.create_future()

    def readable() -> None:
        loop.remove_reader(reader)
        said.set_result(loop.ready_since)

    loop.add_reader(reader, readable)
    return await said


def test_what_came_while_the_loop_was_busy_may_have_been_there_since_its_last_look() -> None:
    loop = FineLoop()
    reader, writer = socket.socketpair()

    async def busy() -> tuple[float, float]:
        said = asyncio.ensure_future(told(loop, reader))
        await asyncio.sleep(0)
        began = time.perf_counter()
        time.sleep(0.02)  # the loop is kept from looking, as by the judging of many replies
        writer.send(b"x")
        return began, await said

    with reader, writer, running(loop) as runner:
        began, since = runner.run(busy())
    assert since <= began


def test_what_wakes_an_idle_loop_has_just_come() -> None:
    loop = FineLoop()
    reader, writer = socket.socketpair()

    async def idle() -> tuple[float, float]:
        before = loop.core_wait()
        await asyncio.sleep(0.001)
        began = time.perf_counter()
        sender = threading.Timer(0.1, writer.send, (b"x",))
        sender.start()
        since = await told(loop, reader)
        after = loop.core_wait()
        await asyncio.to_thread(sender.join)
        waited_s = after.waited_s - before.waited_s if before is not None and after is not None else 0.0
        return since, began + 0.1 - waited_s

    with reader, writer, running(loop) as runner:
        since, earliest = runner.run(idle())
    assert since >= earliest


@pytest.mark.parametrize("wait_s", [0.0003, 0.0015, 0.0047])
def test_a_timer_is_never_early_and_can_be_on_time(wait_s: float) -> None:
    async def late_s() -> float:
        began = time.perf_counter()
        await asyncio.sleep(wait_s)
        return time.perf_counter() - began - wait_s

    with asyncio.Runner(loop_factory=FineLoop) as runner:
        late = [runner.run(late_s()) for _ in range(200)]
    assert min(late) > -1e-5
    assert min(late) < 5e-4  # epoll_wait alone rounds up to the next whole millisecond
