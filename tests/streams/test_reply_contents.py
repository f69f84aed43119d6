"""What a probe's reply says besides its time: numbers that are missing, and who answered."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import ErrorKind
from infdiag_tui.streams.probe.finite import MAX_NODES, NumberWatch
from infdiag_tui.streams.probe.protocols import replica_of
from tests.streams.latency_servers import http_server, probe, replies_of

GOOD = {"predictions": [{"score": 0.25, "label": "ok"}, {"score": 0.5, "label": "fraud"}], "took": None}


@pytest.mark.parametrize("bad", [None, "NaN", "Infinity", "-Infinity"])
def test_what_stands_for_a_missing_number_is_found(bad: Any) -> None:
    watch = NumberWatch()
    assert watch.has_nan(GOOD) is False
    assert watch.has_nan({**GOOD, "predictions": [{"score": bad, "label": "ok"}]}) is True
    assert watch.has_nan(GOOD) is False


def test_a_null_that_always_stood_there_is_none_and_neither_is_one_where_no_number_was() -> None:
    watch = NumberWatch()
    assert watch.has_nan({"values": [1.5, None, 2.0]}) is False
    assert watch.has_nan({"values": [None, None, 2.0]}) is False
    assert watch.has_nan({"values": [1.0], "explanation": None}) is False


def test_a_reply_without_numbers_tells_nothing() -> None:
    assert NumberWatch().has_nan({"text": "hello", "ok": True}) is None
    assert NumberWatch().has_nan(None) is None


def test_a_null_at_the_first_sight_is_not_taken_for_a_missing_number() -> None:
    watch = NumberWatch()
    assert watch.has_nan({"score": None}) is None
    assert watch.has_nan({"score": 0.5}) is False
    assert watch.has_nan({"score": None}) is None


def test_only_the_first_values_of_a_huge_reply_are_looked_at() -> None:
    watch = NumberWatch()
    assert watch.has_nan([0.5] * (10 * MAX_NODES)) is False
    assert watch.has_nan([0.5] * (10 * MAX_NODES) + [None]) is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=80, deadline=None)
@given(JSON, st.integers(1, 4))
def test_the_same_reply_again_lacks_nothing_that_it_had(document: Any, times: int) -> None:
    watch = NumberWatch()
    first = watch.has_nan(document)
    for _ in range(times):
        assert watch.has_nan(document) == first


async def test_the_probe_tells_of_nan_in_every_dress() -> None:
    bodies = itertools.chain(
        ['{"score": 0.5}', '{"score": null}', '{"score": "NaN"}', '{"score": NaN}', '{"score": 0.7}'],
        itertools.repeat('{"score": 0.7}'),
    )

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=next(bodies), content_type="application/json")

    async with http_server(answer) as url:
        replies = (await replies_of(probe(f"{url}/predict"), 5))[:5]
    assert [reply.has_nan for reply in replies] == [False, True, True, True, False]
    assert [reply.error for reply in replies] == [None, None, None, ErrorKind.BAD_REPLY, None]


async def test_the_probe_tells_who_answered() -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"y": 1}, headers={"X-Pod-Name": "scorer-7"})

    async with http_server(answer) as url:
        reply = (await replies_of(probe(f"{url}/predict"), 1))[0]
    assert reply.replica == "scorer-7"


@pytest.mark.parametrize(
    ("headers", "document", "name"),
    [
        ({"x-served-by": "a"}, None, "a"),
        ({}, {"pod": "b"}, "b"),
        ({}, {"hostname": 5}, ""),
        ({}, ["pod"], ""),
        ({"x-pod-name": "a\x1b[31m"}, None, "a"),
        ({"x-pod": "x" * 500}, None, "x" * 99 + "…"),
    ],
)
def test_who_answered_by_customary_headers_and_fields(headers: dict[str, str], document: Any, name: str) -> None:
    assert replica_of(headers, document) == name
