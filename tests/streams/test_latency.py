"""The latency stream on real servers: what it sends, how it paces, what it yields, what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from aiohttp import web

from infdiag_tui.config import Endpoint, ModelConfig
from infdiag_tui.model import ErrorKind, Reply, SourceState
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.latency import build
from tests.streams.latency_servers import (
    DEADLINE_S,
    first_status,
    http_server,
    json_reply,
    observe_until,
    probe,
    raw_server,
    read_request,
    replies_in,
    replies_of,
    statuses_in,
)


async def answer(request: web.Request) -> web.Response:
    del request
    return web.json_response({"y": [1.5], "model_version": "fraud-7"})


def on_schedule(replies: list[Reply], interval_s: float, count: int) -> bool:
    """True once the first `count` slots all have their reply, none missing and none put off.

    Replies come in the order of their completion, so a slot may be outstanding when later ones are done.
    """
    slots = np.sort([reply.scheduled_at for reply in replies])[:count]
    return len(slots) == count and bool(np.all(np.abs(np.diff(slots) - interval_s) < interval_s / 3))


async def test_a_reply_carries_timing_version_and_size() -> None:
    async with http_server(answer) as url:
        fresh, reused = (await replies_of(probe(f"{url}/predict"), 2))[:2]

    assert fresh.ok
    assert (fresh.target, fresh.status, fresh.model_version) == (f"{url}/predict", 200, "fraud-7")
    assert fresh.reply_bytes == len(json.dumps({"y": [1.5], "model_version": "fraud-7"}))
    assert fresh.reused is False
    assert fresh.phases.connect_ms is not None
    assert reused.reused is True
    assert (reused.phases.dns_ms, reused.phases.connect_ms, reused.phases.tls_ms) == (None, None, None)
    for reply in (fresh, reused):
        parts = [reply.phases.send_ms, reply.phases.wait_ms, reply.phases.receive_ms]
        assert all(part is not None and part >= 0 for part in parts)
        assert sum(part for part in parts if part is not None) <= reply.total_ms
        assert reply.at - reply.scheduled_at == pytest.approx(reply.total_ms / 1e3, abs=1e-4)
        assert abs(reply.at - time.time()) < DEADLINE_S


async def test_it_sends_the_configured_input_as_an_ordinary_client_would() -> None:
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return web.json_response({})

    async with http_server(note) as url:
        stream = probe(f"{url}/v1/predict?a=b", body={"x": [1, 2.5]}, headers={"X-Tenant": "t1"})
        await replies_of(stream, 1)

    method, path, headers, body = seen[0]
    assert (method, path, json.loads(body)) == ("POST", "/v1/predict?a=b", {"x": [1, 2.5]})
    assert headers["Host"] == url.removeprefix("http://")
    assert headers["User-Agent"] == "infdiag-test"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Tenant"] == "t1"


async def test_without_a_body_it_sends_get() -> None:
    methods: list[str] = []

    async def note(request: web.Request) -> web.Response:
        methods.append(request.method)
        return web.json_response({})

    async with http_server(note) as url:
        await replies_of(probe(url, body=None), 1)

    assert methods[0] == "GET"


async def test_a_body_file_is_sent_byte_for_byte(tmp_path: Path) -> None:
    text = b'{ "x":  [1.0, 2.50] }\n'
    (tmp_path / "input.json").write_bytes(text)
    bodies: list[bytes] = []

    async def note(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.json_response({})

    async with http_server(note) as url:
        await replies_of(probe(url, body=None, body_file=tmp_path / "input.json"), 1)

    assert bodies[0] == text


async def test_a_name_is_looked_up_only_for_a_fresh_connection() -> None:
    async with http_server(answer) as url:
        fresh, reused = (await replies_of(probe(url.replace("127.0.0.1", "localhost")), 2))[:2]

    assert fresh.phases.dns_ms is not None
    assert fresh.phases.connect_ms is not None
    assert reused.phases.dns_ms is None


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_an_ipv6_address_is_connected_to_as_it_is() -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(json_reply())

    try:
        async with raw_server(talk, host="::1") as port:
            (reply,) = await replies_of(probe(f"http://[::1]:{port}/"), 1)
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")

    assert reply.ok
    assert reply.phases.dns_ms is None
    assert f"Host: [::1]:{port}".encode() in heads[0]


async def test_sends_stay_on_schedule_while_the_server_stalls_and_the_wait_is_counted() -> None:
    rate, stall_s = 40.0, 1.0
    arrivals = 0
    stall: list[float] = []

    async def stalling(request: web.Request) -> web.Response:
        nonlocal arrivals
        del request
        arrivals += 1
        if arrivals == 20:
            stall.extend((time.time(), time.time() + stall_s))
        while stall and (left_s := stall[1] - time.time()) > 0:
            await asyncio.sleep(left_s)
        return web.json_response({})

    async with http_server(stalling) as url:
        stream = probe(url, rate_per_s=rate, max_in_flight=256, timeout_s=DEADLINE_S)
        replies = replies_in(await observe_until(stream, lambda seen: on_schedule(replies_in(seen), 1 / rate, 70)))

    assert all(reply.ok for reply in replies)
    assert max(reply.scheduled_at for reply in replies) > stall[1]
    # Every slot of the stalled second was answered after it, and its latency says so.
    stalled = [reply for reply in replies if stall[0] < reply.scheduled_at < stall[1]]
    assert len(stalled) >= 35
    assert all(reply.total_ms >= (stall[1] - reply.scheduled_at) * 1e3 - 5 for reply in stalled)


async def test_beyond_the_allowed_number_outstanding_a_slot_is_recorded_as_overrun() -> None:
    release = asyncio.Event()
    arrived = 0

    async def hold(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        await release.wait()
        return web.json_response({})

    async with http_server(hold) as url:
        stream = probe(url, max_in_flight=3, timeout_s=10)
        seen = await observe_until(stream, lambda seen: len(seen) == 8)
        release.set()

    assert arrived == 3
    assert [reply.error for reply in replies_in(seen)] == [ErrorKind.OVERRUN] * 8
    assert "max_in_flight" in replies_in(seen)[0].error_text
    assert all(reply.reused is None and reply.status is None for reply in replies_in(seen))


async def test_slots_missed_by_a_stall_of_our_own_are_sent_late_and_say_so() -> None:
    async with http_server(answer) as url:
        stream = probe(url, rate_per_s=50, timeout_s=5, max_in_flight=256)
        replies: list[Reply] = []
        async with asyncio.timeout(DEADLINE_S), aclosing(cast("Any", stream.observe())) as observations:
            async for observation in observations:
                if isinstance(observation, Reply):
                    replies.append(observation)
                    if len(replies) == 3:
                        time.sleep(0.5)  # what must never happen in the program: the whole loop held up
                if on_schedule(replies, 0.02, 40):
                    break

    assert all(reply.ok for reply in replies)
    late = sorted((reply.lateness_ms for reply in replies), reverse=True)
    assert late[0] >= 400
    assert len([one for one in late if one > 100]) >= 15
    assert all(reply.total_ms >= reply.lateness_ms for reply in replies)


async def test_slots_missed_for_longer_than_the_timeout_are_recorded_but_not_sent_in_a_burst() -> None:
    async with http_server(answer) as url:
        stream = probe(url, rate_per_s=50, timeout_s=0.5, max_in_flight=256)
        replies: list[Reply] = []
        async with asyncio.timeout(DEADLINE_S), aclosing(cast("Any", stream.observe())) as observations:
            async for observation in observations:
                if isinstance(observation, Reply):
                    replies.append(observation)
                    if len(replies) == 3:
                        time.sleep(1.5)
                if on_schedule(replies, 0.02, 100):
                    break

    unsent = [reply for reply in replies if reply.error is ErrorKind.OVERRUN]
    assert len(unsent) >= 40
    assert all("infdiag itself was held up" in reply.error_text for reply in unsent)
    assert all(reply.lateness_ms >= 500 for reply in unsent)


async def test_a_server_stopped_and_started_again_is_told_each_time() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    states: list[tuple[SourceState, str, str]] = []
    stream = probe(f"http://127.0.0.1:{port}/", rate_per_s=20)

    async with asyncio.timeout(DEADLINE_S), aclosing(cast("Any", stream.observe())) as observations:

        async def until(state: SourceState) -> None:
            async for observation in observations:
                if hasattr(observation, "state"):
                    states.append((observation.state, observation.reason, observation.remedy))
                    if observation.state is state:
                        return
            raise AssertionError("the stream ended")

        async with http_server(answer, port=port):
            await until(SourceState.LIVE)
        await until(SourceState.UNAVAILABLE)
        async with http_server(answer, port=port):
            await until(SourceState.LIVE)

    assert [state for state, _, _ in states] == [SourceState.LIVE, SourceState.UNAVAILABLE, SourceState.LIVE]
    assert states[1][1] == f"connection refused by 127.0.0.1:{port}"
    assert "is the model server running" in states[1][2]


async def test_a_server_that_answers_only_errors_is_degraded_until_it_answers_well() -> None:
    bad = True

    async def flaky(request: web.Request) -> web.Response:
        del request
        return web.Response(status=500, text="CUDA out of memory") if bad else web.json_response({})

    async with http_server(flaky) as url:
        stream = probe(url)
        states = []
        async with asyncio.timeout(DEADLINE_S), aclosing(cast("Any", stream.observe())) as observations:
            async for observation in observations:
                if hasattr(observation, "state"):
                    states.append(observation)
                    bad = False
                    if observation.state is SourceState.LIVE:
                        break

    assert [status.state for status in states] == [SourceState.DEGRADED, SourceState.LIVE]
    assert states[0].reason == "HTTP 500 Internal Server Error: CUDA out of memory"


async def test_a_single_failure_among_answers_changes_no_state() -> None:
    count = 0

    async def flaky(request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        return web.Response(status=500) if count % 3 == 0 else web.json_response({})

    async with http_server(flaky) as url:
        seen = await observe_until(probe(url), lambda seen: len(replies_in(seen)) == 30)

    assert [status.state for status in statuses_in(seen)] == [SourceState.LIVE]
    assert sum(not reply.ok for reply in replies_in(seen)) == 10


async def test_cancelling_leaves_no_task_connection_or_thread() -> None:
    opened = closed = 0

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, closed
        await read_request(reader)
        opened += 1
        assert await reader.read() == b""  # nothing more comes until the client closes
        closed += 1

    async def read() -> None:
        async with aclosing(cast("Any", probe(f"http://127.0.0.1:{port}/", timeout_s=60).observe())) as observations:
            async for _ in observations:
                pass

    before = asyncio.all_tasks()
    threads = set(threading.enumerate())
    async with raw_server(hold) as port, asyncio.timeout(DEADLINE_S):
        reading = asyncio.create_task(read())
        while opened < 5:
            await asyncio.sleep(0.01)
        assert closed == 0
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        left = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks() - before}
        while closed < opened or set(threading.enumerate()) - threads:
            await asyncio.sleep(0.01)

    assert left <= {"raw_server.<locals>.serve"}


async def test_it_can_be_observed_again_after_it_was_closed() -> None:
    async with http_server(answer) as url:
        stream = probe(url)
        first = await replies_of(stream, 2)
        again = await replies_of(stream, 2)

    assert again[0].scheduled_at > first[-1].scheduled_at
    assert again[0].reused is False


async def test_the_first_reply_decides_the_first_state() -> None:
    async with http_server(answer) as url:
        reply, status = await first_status(probe(url))

    assert reply.ok
    assert status.state is SourceState.LIVE


def test_no_endpoint_no_stream() -> None:
    assert build(ModelConfig(), StreamContext()) == []


def test_a_target_that_hangs_is_not_stale_before_its_first_timeout() -> None:
    (stream,) = build(ModelConfig(endpoint=Endpoint(url="http://x/", timeout_s=30, rate_per_s=0.5)), StreamContext())

    assert stream.name == "latency"
    assert stream.stale_after_s > 32


def test_importing_the_stream_imports_no_http_client() -> None:
    code = "import sys, infdiag_tui.streams.latency; sys.exit('httpx' in sys.modules or 'anyio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
