"""The sender that checks are given, against real servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from checks.base import Poster, Sender
from infdiag_tui.check_ports import EndpointSender, open_sender
from infdiag_tui.check_readers import joined_events
from infdiag_tui.config import Endpoint, Protocol
from tests.streams.latency_servers import http_server, raw_server, read_request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Echo:
    """Answers with what it was sent, and remembers it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, request.path_qs, dict(request.headers), body))
        if "missing" in request.path:
            return web.json_response({"error": "nothing here"}, status=404)
        if request.path == "/metrics":
            raise web.HTTPTemporaryRedirect("/metrics/")
        if request.path == "/metrics/":
            return web.Response(text="a_metric 1\n")
        if request.path == "/away":
            raise web.HTTPFound("http://127.0.0.1:9/elsewhere")
        if request.path == "/loop":
            raise web.HTTPFound("/loop?again")
        return web.json_response(
            {"echo": body, "model_version": "7"}, headers={"Server-Timing": "inference;dur=3.5", "X-Odd": "a\tb"}
        )


async def test_an_input_is_posted_with_the_endpoint_s_headers_and_the_reply_comes_back_parsed() -> None:
    echo = Echo()
    async with http_server(echo.answer) as base:
        endpoint = Endpoint(url=f"{base}/predict?x=1", headers={"X-Token": "t"}, body={"known": "good"})
        async with open_sender(endpoint, "infdiag-test") as sender:
            port: Sender = sender
            answer = await port.predict({"a": [1, 2.5]})

    method, path, headers, body = echo.seen[0]
    assert (method, path, body) == ("POST", "/predict?x=1", {"a": [1, 2.5]})
    assert (headers["X-Token"], headers["User-Agent"]) == ("t", "infdiag-test")
    assert headers["Content-Type"] == "application/json"
    assert answer.ok
    assert answer.error == ""
    assert answer.status == 200
    assert answer.body == {"echo": {"a": [1, 2.5]}, "model_version": "7"}
    assert json.loads(answer.text) == answer.body
    assert answer.model_version == "7"
    assert answer.headers["server-timing"] == "inference;dur=3.5"
    assert answer.headers["x-odd"] == "a    b"
    assert answer.total_ms > 0


async def test_a_replica_gets_the_same_path_credentials_and_headers_at_its_own_address() -> None:
    service, replica = Echo(), Echo()
    async with http_server(service.answer) as first, http_server(replica.answer) as second:
        host = first.removeprefix("http://")
        endpoint = Endpoint(url=f"http://u:p@{host}/v1/predict?x=1", headers={"X-Token": "t"})
        async with open_sender(endpoint) as sender:
            answer = await sender.predict({"a": 1}, base_url=f"{second}/proxy/")
            await sender.get(f"{second}/health")

    assert answer.ok
    assert service.seen == []
    assert [path for _, path, _, _ in replica.seen] == ["/proxy/v1/predict?x=1", "/health"]
    for _, _, headers, _ in replica.seen:
        assert headers["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
        assert headers["X-Token"] == "t"


async def test_a_post_goes_to_any_url_with_or_without_a_body() -> None:
    echo = Echo()
    async with http_server(echo.answer) as base, open_sender(Endpoint(url=f"{base}/predict")) as sender:
        poster: Poster = sender
        with_body = await poster.post(f"{base}/start_profile", body={"steps": 3})
        without = await poster.post(f"{base}/stop_profile")
        missing = await poster.post(f"{base}/missing")
        unsendable = await poster.post(base, body=object())

    assert isinstance(sender, Poster)
    seen = [(method, path, body) for method, path, _, body in echo.seen]
    assert seen[:2] == [("POST", "/start_profile", {"steps": 3}), ("POST", "/stop_profile", None)]
    assert (with_body.ok, without.ok, missing.ok, missing.status) == (True, True, False, 404)
    assert (unsendable.ok, len(seen)) == (False, 3)


async def test_no_body_is_a_get_and_the_configured_method_wins() -> None:
    echo = Echo()
    async with http_server(echo.answer) as base:
        async with open_sender(Endpoint(url=base)) as sender:
            await sender.predict(None)
        async with open_sender(Endpoint(url=base, method="put")) as sender:
            await sender.predict({})

    assert [(method, "Content-Type" in headers) for method, _, headers, _ in echo.seen] == [
        ("GET", False),
        ("PUT", True),
    ]


async def test_a_get_follows_redirects_within_the_server_only() -> None:
    echo = Echo()
    async with http_server(echo.answer) as base, open_sender(Endpoint(url=f"{base}/predict")) as sender:
        metrics = await sender.get(f"{base}/metrics")
        away = await sender.get(f"{base}/away")
        loop = await sender.get(f"{base}/loop")

    assert (metrics.ok, metrics.text, metrics.body) == (True, "a_metric 1\n", None)
    assert (away.ok, away.status) == (False, 302)
    assert "redirects to http://127.0.0.1:9/elsewhere" in away.error
    assert (loop.ok, loop.status) == (False, 302)
    assert all("Content-Type" not in headers for _, _, headers, _ in echo.seen)


async def test_a_get_s_text_is_cut_off_at_its_limit() -> None:
    async def long(_request: web.Request) -> web.Response:
        return web.Response(body=b"[" + b"1," * 500_000 + b"1]")

    async with http_server(long) as base, open_sender(Endpoint(url=base)) as sender:
        cut = await sender.get(base, limit_bytes=1_000)
        whole = await sender.get(base)

    assert (cut.ok, len(cut.text), cut.body) == (True, 1_000, None)
    assert (len(whole.text), len(whole.body)) == (1_000_003, 500_001)


async def test_failures_are_answers_with_a_sentence() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.close()

    async def not_json(_request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    never = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    echo = Echo()
    async with http_server(echo.answer) as base, http_server(not_json) as page, raw_server(hang_up) as port:
        async with open_sender(Endpoint(url=f"{base}/missing")) as sender:
            missing = await sender.predict({})
            page_reply = await sender.predict({}, base_url=page)
            gone = await sender.predict({}, base_url=f"http://127.0.0.1:{port}")
            refused = await sender.predict({}, base_url="http://127.0.0.1:1")
            got_missing = await sender.get(f"{base}/missing")
        async with http_server(hang) as slow, open_sender(Endpoint(url=slow)) as sender:
            late = await sender.predict({}, timeout_s=0.2)
            never.set()

    assert (missing.ok, missing.status) == (False, 404)
    assert missing.error.startswith('HTTP 404 Not Found: {"error": "nothing here"}; ')
    assert (page_reply.ok, page_reply.status, page_reply.text) == (False, 200, "<html>")
    assert "the reply is not JSON" in page_reply.error
    assert (gone.ok, gone.status) == (False, None)
    assert "closed the connection" in gone.error
    assert "connection refused by 127.0.0.1:1" in refused.error
    assert got_missing.error == 'HTTP 404 Not Found: {"error": "nothing here"}'
    assert "within 0.2 s" in late.error
    assert late.total_ms >= 200


@pytest.mark.parametrize(
    ("endpoint", "body", "words"),
    [
        (Endpoint(url="https://127.0.0.1:1/", ca_file=Path("/nonexistent.pem")), {}, "endpoint.ca_file"),
        (Endpoint(url="http://127.0.0.1:1/", protocol=Protocol.V2), [1], "needs a JSON object"),
        (Endpoint(url="http://127.0.0.1:1/"), {"a": object()}, "the input cannot be sent"),
    ],
)
async def test_what_cannot_be_sent_is_an_answer_too(endpoint: Endpoint, body: Any, words: str) -> None:
    async with open_sender(endpoint) as sender:
        answer = await sender.predict(body)

    assert (answer.ok, answer.status) == (False, None)
    assert words in answer.error


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999", "http://", "http://[::1", "http://a b/"])
async def test_an_address_that_is_none_is_an_answer_too(address: str) -> None:
    async with open_sender(Endpoint(url="http://127.0.0.1:1/predict")) as sender:
        moved = await sender.predict({}, base_url=address, timeout_s=2)
        got = await sender.get(address, timeout_s=2)

    assert not moved.ok
    assert not got.ok
    assert moved.error
    assert got.error


async def test_a_server_that_closed_the_idle_connection_is_asked_again_on_a_new_one() -> None:
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with raw_server(once) as port, open_sender(Endpoint(url=f"http://127.0.0.1:{port}/")) as sender:
        answers = [await sender.predict({}) for _ in range(3)]

    assert all(answer.ok for answer in answers)
    assert connections == 3


async def test_tls_is_checked_with_the_configured_authority(tmp_path: Path) -> None:
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with http_server(Echo().answer, tls=context) as base:
        async with open_sender(Endpoint(url=base, ca_file=ca_file)) as sender:
            trusted = await sender.predict({"a": 1})
        async with open_sender(Endpoint(url=base)) as sender:
            untrusted = await sender.predict({"a": 1})

    assert trusted.ok
    assert "certificate" in untrusted.error
    assert not untrusted.ok


async def test_an_openai_reply_is_asked_for_in_one_piece() -> None:
    seen: list[Any] = []

    async def complete(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response({"choices": [{"index": 0, "message": {"content": "hi"}}]})

    async with http_server(complete) as base:
        endpoint = Endpoint(url=base, protocol=Protocol.OPENAI, model="m")
        async with open_sender(endpoint) as sender:
            answer = await sender.predict({"messages": [], "stream": True, "stream_options": {"include_usage": True}})

    assert seen == [{"model": "m", "messages": [], "stream": False}]
    assert answer.body["choices"][0]["message"]["content"] == "hi"


async def test_a_stream_that_comes_all_the_same_is_put_together() -> None:
    events = (
        b'data: {"id": "a", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}\n\n'
        b'data: {"choices": [{"index": 0, "delta": {"content": "he"}}, {"index": 1, "delta": {"content": "x"}}]}\r\n'
        b": comment\n"
        b'data: {"choices": [{"index": 0, "delta": {"content": "llo"}, "finish_reason": "stop"}]}\n\n'
        b"data: [DONE]\n\n"
    )

    async def stream(_request: web.Request) -> web.Response:
        return web.Response(body=events, content_type="text/event-stream")

    async with http_server(stream) as base, open_sender(Endpoint(url=base, protocol=Protocol.OPENAI)) as sender:
        answer = await sender.predict({"messages": []})

    assert answer.ok
    assert answer.body == {
        "id": "a",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": "x"}, "finish_reason": None},
        ],
    }


@pytest.mark.parametrize(
    ("data", "document"),
    [
        (b"", None),
        (b"data: {]\n\ndata: 3\n\ndata: [DONE]\n", None),
        (b'data: {"choices": [3, {"index": "x"}]}\n', None),
        (
            b'data: {"choices": [{"text": "a"}]}\ndata: {"choices": [{"text": "b", "finish_reason": "length"}]}',
            {"choices": [{"index": 0, "text": "ab", "finish_reason": "length"}]},
        ),
    ],
)
def test_odd_event_streams_are_joined_without_a_defect(data: bytes, document: Any) -> None:
    assert joined_events(data) == document


async def test_closing_leaves_no_connection_open() -> None:
    open_connections: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        try:
            while True:
                await read_request(reader)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        finally:
            open_connections.discard(writer)

    async with raw_server(talk) as port:
        sender = EndpointSender(Endpoint(url=f"http://127.0.0.1:{port}/"))
        assert (await sender.predict({})).ok
        assert len(open_connections) == 1
        await sender.aclose()
        async with asyncio.timeout(5):
            while open_connections:
                await asyncio.sleep(0.005)
