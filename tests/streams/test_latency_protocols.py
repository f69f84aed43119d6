"""What each protocol sends and accepts, as text and over a real connection."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.config import Protocol
from infdiag_tui.config.request import request_body
from infdiag_tui.model import ErrorKind
from infdiag_tui.streams.probe.protocols import Answer, BadReplyError, EventReader, reader_for
from infdiag_tui.text import printable
from tests.streams.latency_servers import http_server, probe, replies_of

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


def read(protocol: Protocol, body: bytes, content_type: str = JSON) -> Answer:
    reader = reader_for(protocol, content_type)
    reader.feed(body, 1.0)
    return reader.finish()


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def chat(**delta: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": delta}])


DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b'{"model_version": "v7"}', "v7"),
        (b'{"model_version": 3}', "3"),
        (b'{"model_version": null}', ""),
        (b'{"model_version": true}', ""),
        (b'{"model_version": "\\u001b[31mred\\n"}', "red"),
        (b'{"outer": {"model_version": "x"}}', ""),
        (b"[1, 2]", ""),
        (b" 1.5 ", ""),
    ],
)
def test_any_json_is_an_answer_and_its_stated_version_is_read(body: bytes, version: str) -> None:
    assert read(Protocol.JSON, body).model_version == version


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the reply is empty"),
        (b"<html>hi</html>", "the reply is not JSON: <html>hi</html>"),
        (b'{"y": NaN}', "the reply holds NaN, which is not JSON"),
        (b'{"y": [-Infinity]}', "the reply holds -Infinity, which is not JSON"),
        (b"\xff\xfe\x00", "the reply is not JSON"),
        (b"[" * 100_000, "the reply is not JSON"),
    ],
)
def test_what_is_not_json_is_a_bad_reply(body: bytes, text: str) -> None:
    with pytest.raises(BadReplyError) as refusal:
        read(Protocol.JSON, body)

    assert str(refusal.value).startswith(text)
    assert len(str(refusal.value)) < 250


def test_a_v2_reply_must_hold_outputs() -> None:
    good = {"model_name": "m", "model_version": "v3", "outputs": [{"name": "y"}]}

    assert read(Protocol.V2, json.dumps(good).encode()) == Answer("v3")
    with pytest.raises(BadReplyError, match='no "outputs"'):
        read(Protocol.V2, b'{"predictions": [1]}')
    with pytest.raises(BadReplyError, match="the server reports an error: model m is not ready"):
        read(Protocol.V2, b'{"error": "model m is not ready"}')


def test_an_openai_reply_that_is_not_streamed_must_hold_choices() -> None:
    assert read(Protocol.OPENAI, b'{"choices": [{"text": "hi"}]}').first_token_at is None
    with pytest.raises(BadReplyError, match='no "choices"'):
        read(Protocol.OPENAI, b'{"outputs": []}')


def test_an_openai_request_asks_for_a_stream_of_the_configured_model_unless_it_says_otherwise() -> None:
    assert request_body(Protocol.OPENAI, {"prompt": "a"}, "m") == {"model": "m", "stream": True, "prompt": "a"}
    own = {"prompt": "a", "model": "own", "stream": False}
    assert request_body(Protocol.OPENAI, own, "m") == own
    assert request_body(Protocol.V2, {"inputs": []}, "m") == {"inputs": []}
    assert request_body(Protocol.JSON, [1], "m") == [1]


@pytest.mark.parametrize(
    "first",
    [
        chat(content="H"),
        chat(reasoning_content="hm"),
        chat(tool_calls=[{"index": 0}]),
        event(choices=[{"index": 0, "text": "H"}]),
    ],
)
def test_the_first_token_is_the_first_that_is_not_empty(first: bytes) -> None:
    reader = EventReader()
    for at, part in enumerate([b": ping\n\n", chat(role="assistant", content=""), first, chat(content="i"), DONE]):
        reader.feed(part, float(at))

    assert reader.finish().first_token_at == 2.0
    assert reader.done_at == 4.0


@settings(deadline=None)  # a loaded machine is no failure
@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.sampled_from([b"\n", b"\r\n"]))
def test_events_may_be_cut_anywhere(cuts: list[int], newline: bytes) -> None:
    stream = (chat(role="assistant") + chat(content="größe") + chat(content=" x") + DONE).replace(b"\n", newline)
    reader, at = EventReader(), 0
    for number, cut in enumerate(cuts):
        reader.feed(stream[at : at + cut], float(number))
        at += cut
    reader.feed(stream[at:], 1_000.0)

    assert reader.finish().first_token_at is not None
    assert reader.done_at is not None


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (chat(content="H"), "ended before"),
        (DONE, "no choices"),
        (b"", "no choices"),
        (chat(content="H") + event(error={"message": "KV cache is full"}), "reports an error: KV cache is full"),
        (b"data: {broken\n\n", "not JSON"),
        (b"data: [1]\n\n", "no JSON object"),
        (event(choices=5), "no choices"),
        (event(choices=[None, {"delta": 3}]), "ended before"),
    ],
)
def test_a_stream_that_broke_off_or_reports_an_error_is_a_bad_reply(parts: bytes, text: str) -> None:
    with pytest.raises(BadReplyError, match=text):
        read(Protocol.OPENAI, parts, EVENTS)


def test_a_stream_without_end_mark_is_whole_when_the_model_said_why_it_stopped() -> None:
    end = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])

    assert read(Protocol.OPENAI, chat(content="H") + end, EVENTS).first_token_at == 1.0


@settings(deadline=None)  # a loaded machine is no failure
@given(st.binary(max_size=300), st.sampled_from(list(Protocol)), st.sampled_from([JSON, EVENTS, ""]))
def test_no_reply_whatever_breaks_the_reader(body: bytes, protocol: Protocol, content_type: str) -> None:
    told = ""
    try:
        assert isinstance(read(protocol, body, content_type), Answer)
    except BadReplyError as refusal:
        told = str(refusal)
    assert printable(told) == told
    assert "\n" not in told


async def test_the_time_to_the_first_token_and_to_the_end_mark_are_told_apart() -> None:
    requests: list[Any] = []
    pause_s = 0.15

    async def complete(request: web.Request) -> web.StreamResponse:
        requests.append(await request.json())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chat(role="assistant", content=""))
        await asyncio.sleep(pause_s)
        await response.write(chat(content="Hello"))
        await asyncio.sleep(pause_s)
        await response.write(DONE)
        return response

    async with http_server(complete) as url:
        stream = probe(
            f"{url}/v1/chat/completions",
            protocol=Protocol.OPENAI,
            model="llama",
            body={"messages": [{"role": "user", "content": "hi"}]},
            rate_per_s=2,
        )
        replies = await replies_of(stream, 2)

    assert requests[0]["model"] == "llama"
    assert requests[0]["stream"] is True
    assert all(reply.ok for reply in replies)
    assert replies[1].reused is True
    for reply in replies:
        assert reply.first_token_ms is not None
        assert reply.first_token_ms >= pause_s * 1e3 * 0.99
        assert reply.total_ms - reply.first_token_ms >= pause_s * 1e3 * 0.9


async def test_a_stream_left_open_after_its_end_mark_is_a_whole_answer() -> None:
    async def lingering(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chat(content="Hello") + DONE)
        await asyncio.Event().wait()
        return response

    async with http_server(lingering) as url:
        stream = probe(url, protocol=Protocol.OPENAI, body={"prompt": "a"}, timeout_s=5, rate_per_s=2)
        (reply,) = await replies_of(stream, 1)

    assert reply.ok
    assert reply.total_ms < 5_000


async def test_a_v2_reply_over_the_wire() -> None:
    async def infer(request: web.Request) -> web.Response:
        asked = await request.json()
        outputs = [{"name": "y", "datatype": "FP32", "shape": [1], "data": [0.5]}] if asked["inputs"] else None
        return web.json_response({"model_name": "m", "model_version": "3", "outputs": outputs})

    async with http_server(infer) as url:
        (good,) = await replies_of(probe(url, protocol=Protocol.V2, body={"inputs": [1]}), 1)
        (bad,) = await replies_of(probe(url, protocol=Protocol.V2, body={"inputs": []}), 1)

    assert (good.ok, good.model_version) == (True, "3")
    assert bad.error is ErrorKind.BAD_REPLY
