"""What the load generator puts on the wire and takes from it, against servers that speak in bytes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from checks.base import CheckError
from checks.load_gen.child import Generator
from checks.load_gen.job import Phase, Setup, Summary

OK = b'{"prediction": 0.5}'
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OK), OK)


@asynccontextmanager
async def speaking(*replies: bytes, hang_up: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers every request with these bytes, one write each; gives the port and the requests as they came."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")]
                seen.append(head + await reader.readexactly(int(lengths[0]) if lengths else 0))
                for reply in replies:
                    writer.write(reply)
                    await writer.drain()
                if hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], seen


async def shots(setup: Setup, requests: int = 3) -> Summary:
    async with Generator(setup) as generator:
        return await generator.phase(Phase("load", requests, 1, 20.0), lambda *_: None)


def setup(port: int, **more: object) -> Setup:
    values: dict[str, object] = {
        "url": f"http://127.0.0.1:{port}/predict?v=2#part",
        "method": "POST",
        "headers": {"Accept": "*/*", "X-Tenant": "ä"},
        "body": "eyJ4IjogMX0=",
        "protocol": "json",
        "timeout_s": 5.0,
        **more,
    }
    make: Callable[..., Setup] = Setup
    return make(**values)


async def test_a_request_is_one_piece_with_the_headers_of_the_setup_and_connections_are_kept() -> None:
    async with speaking(PLAIN) as (port, seen):
        found = await shots(setup(port))
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /predict?v=2 HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}".encode() in lines
    assert {b"Accept: */*", b"Content-Length: 8", "X-Tenant: ä".encode()} <= set(lines)
    assert body == b'{"x": 1}'
    assert seen == [seen[0]] * 3
    assert (found.failed, found.connections) == (0, 1)


async def test_without_a_body_there_is_no_length_and_without_keep_alive_it_says_so() -> None:
    async with speaking(PLAIN) as (port, seen):
        found = await shots(setup(port, method="GET", body=None, keep_alive=False))
    assert b"Content-Length" not in seen[0]
    assert b"\r\nConnection: close\r\n" in seen[0]
    assert (found.failed, found.connections) == (0, 3)


@pytest.mark.parametrize(
    ("replies", "hang_up"),
    [
        ((b"HTTP/1.1 100 Continue\r\n\r\n", PLAIN), False),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n" + OK[:9], OK[9:] + b"\r\n0\r\n\r\n"), False),
        ((b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", OK), True),
        (
            (
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(OK)),
                gzip.compress(OK),
            ),
            False,
        ),
    ],
    ids=["interim reply", "chunks", "no length", "gzip"],
)
async def test_every_way_to_send_a_reply_is_read_to_its_end(replies: tuple[bytes, ...], hang_up: bool) -> None:
    async with speaking(*replies, hang_up=hang_up) as (port, _):
        found = await shots(setup(port))
    assert found.errors == {}
    assert found.connections == (3 if hang_up else 1)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + OK, "disconnect"),
        (b"", "disconnect"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "bad-reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain", "bad-reply"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "bad-reply"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "http-302"),
    ],
    ids=["cut short", "nothing", "not HTTP", "not gzip", "empty", "redirect"],
)
async def test_what_is_no_answer_is_named(reply: bytes, kind: str) -> None:
    async with speaking(reply, hang_up=kind == "disconnect") as (port, _):
        found = await shots(setup(port))
    assert found.errors == {kind: 3}


async def test_a_reply_without_end_is_given_up_and_its_connection_not_used_again() -> None:
    piece = b"x" * 1_000_000
    async with speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 99000000\r\n\r\n", *[piece] * 12) as (port, _):
        found = await shots(setup(port))
    assert found.errors == {"bad-reply": 3}
    assert "larger than" in found.examples["bad-reply"]
    assert found.connections == 3


async def test_to_a_proxy_goes_the_whole_url_and_what_it_wants_to_know() -> None:
    async with speaking(PLAIN) as (port, seen):
        found = await shots(setup(1, url="http://model.invalid:8000/predict", proxy=f"http://me:pw@127.0.0.1:{port}"))
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"POST http://model.invalid:8000/predict HTTP/1.1"
    assert b"Host: model.invalid:8000" in lines
    assert b"Proxy-Authorization: Basic bWU6cHc=" in lines
    assert seen == [seen[0]] * 3
    assert (found.failed, found.connections) == (0, 1)


async def test_a_request_that_cannot_be_made_is_refused_in_a_sentence() -> None:
    with pytest.raises(CheckError, match="no request can be made for this endpoint"):
        await shots(setup(1, method="GE T\x01"))


async def test_what_the_generator_adds_is_measured() -> None:
    # Every reply takes the generator milliseconds to judge, and the next is there meanwhile: eight at a time, at once.
    reply = b"[" + b"1," * 1_000_000 + b"1]"
    at_once = asyncio.Barrier(8)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            await at_once.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Generator(setup(port)) as generator:
            found = await generator.phase(Phase("load", 80, 8, 60.0), lambda *_: None)
    assert found.failed == 0
    assert found.own_ms is not None
    assert found.latency_ms is not None
    assert found.turnaround_ms is not None
    assert all(0 <= found.own_ms[name] <= figure.value for name, figure in found.latency_ms.items())
    assert found.own_mean_ms
    assert found.own_mean_ms > 0.5
    assert 0 < found.own_share < 1
