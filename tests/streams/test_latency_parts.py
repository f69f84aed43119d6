"""The probe's parts on their own: name lookups, certificates, address races, the schedule, states."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import socket
import threading
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import ErrorKind, Reply, SourceState
from infdiag_tui.streams.probe.certificate import validity
from infdiag_tui.streams.probe.open_loop import OpenLoop
from infdiag_tui.streams.probe.reachability import Reachability
from infdiag_tui.streams.probe.resolver import Resolver, literal_address
from infdiag_tui.streams.probe.sockets import SocketStream
from infdiag_tui.streams.probe.wire import race
from tests.streams.latency_servers import DEADLINE_S, raw_server

AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)


def entry(address: str) -> tuple[Any, ...]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, 80))


async def test_families_take_turns_and_repeats_are_dropped() -> None:
    found = [entry(one) for one in ("2001:db8::1", "2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.1")]

    addresses = await Resolver(lambda *_, **__: found).resolve("model", 80)

    assert addresses == ["2001:db8::1", "192.0.2.1", "2001:db8::2"]


async def test_a_hung_lookup_is_shared_and_holds_no_one_up() -> None:
    release = threading.Event()
    calls: list[str] = []

    def hang(host: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        calls.append(host)
        if host == "slow":
            release.wait(DEADLINE_S)
        return [entry("192.0.2.1")]

    resolver = Resolver(hang)
    async with asyncio.timeout(DEADLINE_S):
        impatient = [asyncio.create_task(resolver.resolve("slow", 80)) for _ in range(20)]
        assert await resolver.resolve("quick", 80) == ["192.0.2.1"]
        impatient[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient[0]
        release.set()
        results = await asyncio.gather(*impatient[1:])

    assert results == [["192.0.2.1"]] * 19
    assert calls.count("slow") == 1


async def test_a_failed_lookup_fails_every_caller_and_the_next_one_tries_again() -> None:
    answers: list[Any] = [socket.gaierror(socket.EAI_NONAME, "Name or service not known"), [entry("192.0.2.1")]]

    def lookup(*_: Any, **__: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    resolver = Resolver(lookup)
    with pytest.raises(socket.gaierror, match="not known"):
        await resolver.resolve("model", 80)
    assert await resolver.resolve("model", 80) == ["192.0.2.1"]


async def test_a_name_without_an_address_is_a_failed_lookup() -> None:
    with pytest.raises(socket.gaierror, match="no IP address"):
        await Resolver(lambda *_, **__: []).resolve("model", 80)


def test_literal_addresses_are_told_from_names() -> None:
    assert literal_address("::1") == "::1"
    assert literal_address("127.0.0.1") == "127.0.0.1"
    assert literal_address("localhost") is None
    assert literal_address("1.2.3") is None


async def test_the_race_goes_on_to_the_next_address_at_once_when_one_refuses() -> None:
    async def hang_around(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with socket.socket() as closed:
        closed.bind(("127.0.0.2", 0))
        async with raw_server(hang_around) as port, asyncio.timeout(DEADLINE_S):
            tried: list[str] = []

            async def connect(address: str) -> SocketStream:
                tried.append(address)
                return await SocketStream.open(address, port)

            stream = await race(["127.0.0.2", "127.0.0.1"], connect)
            await stream.aclose()
            assert tried == ["127.0.0.2", "127.0.0.1"]
            with pytest.raises(ConnectionRefusedError):
                await race(["127.0.0.2", "127.0.0.3"], connect)


async def test_the_race_does_not_wait_for_an_address_that_hangs_and_closes_what_lost() -> None:
    ended = asyncio.Event()

    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()

    async with raw_server(until_closed) as port, asyncio.timeout(DEADLINE_S):
        cancelled: list[str] = []

        async def connect(address: str) -> SocketStream:
            if address == "192.0.2.1":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled.append(address)
                    raise
            return await SocketStream.open(address, port)

        stream = await race(["192.0.2.1", "127.0.0.1"], connect)
        assert cancelled == ["192.0.2.1"]
        await stream.aclose()
        await ended.wait()


@settings(deadline=None)  # a loaded machine is no failure
@given(
    st.integers(-300_000_000, 3_800_000_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.integers(1, 20_000),
)
def test_validity_is_what_the_certificate_says(begin: datetime, days: int) -> None:
    leaf = AUTHORITY.issue_cert("model.example", not_before=begin, not_after=begin + timedelta(days=days))
    parsed = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())

    found = validity(parsed.public_bytes(serialization.Encoding.DER))

    assert found == (parsed.not_valid_before_utc, parsed.not_valid_after_utc)


@settings(deadline=None)  # a loaded machine is no failure
@given(st.binary(max_size=80))
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which of the reasons doesn't matter
        validity(data)


async def test_the_loop_makes_one_outcome_of_each_slot_in_turn() -> None:
    async def send(due: float) -> float:
        await asyncio.sleep(0)
        return due

    loop = OpenLoop(
        send,
        lambda due, _held_up: due,
        interval_s=0.002,
        max_in_flight=4,
        give_up_after_s=1,
        monotonic=time.monotonic,
    )
    dues: list[float] = []
    async with asyncio.timeout(DEADLINE_S), aclosing(loop.outcomes()) as outcomes:
        async for due in outcomes:
            dues.append(due)
            if len(dues) == 50:
                break

    steps = [later - earlier for earlier, later in itertools.pairwise(dues)]
    assert steps == pytest.approx([0.002] * 49, abs=1e-6)


async def test_a_defect_of_the_sender_is_raised_to_the_reader() -> None:
    async def send(due: float) -> float:
        raise ZeroDivisionError(str(due))

    loop = OpenLoop(
        send,
        lambda due, _held_up: due,
        interval_s=0.01,
        max_in_flight=4,
        give_up_after_s=1,
        monotonic=time.monotonic,
    )
    before = asyncio.all_tasks()

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(anext(loop.outcomes()), DEADLINE_S)

    assert asyncio.all_tasks() == before


GOOD = Reply(target="t", scheduled_at=0.0, at=0.0, total_ms=1.0)
REFUSED = dataclasses.replace(GOOD, error=ErrorKind.CONNECT, error_text="connection refused by t")
FAILING = dataclasses.replace(GOOD, error=ErrorKind.HTTP_STATUS, error_text="HTTP 500")
UNSENT = dataclasses.replace(GOOD, error=ErrorKind.OVERRUN)


def told(*steps: tuple[float, Reply]) -> list[tuple[float, SourceState]]:
    """The states told at which times."""
    reachability = Reachability()
    said = [(at, reachability.note(reply, "", at)) for at, reply in steps]
    return [(at, status.state) for at, status in said if status is not None]


def test_the_first_reply_decides_at_once() -> None:
    assert told((0, GOOD)) == [(0, SourceState.LIVE)]
    assert told((0, REFUSED)) == [(0, SourceState.UNAVAILABLE)]
    assert told((0, FAILING)) == [(0, SourceState.DEGRADED)]
    assert told((0, UNSENT)) == []


def test_a_target_that_stops_answering_is_told_within_three_seconds_at_one_a_second() -> None:
    states = told((0, GOOD), (1, REFUSED), (2, REFUSED), (3, REFUSED), (4, GOOD))

    assert states == [(0, SourceState.LIVE), (2, SourceState.UNAVAILABLE), (4, SourceState.LIVE)]


def test_scattered_failures_at_a_high_rate_change_nothing() -> None:
    steps = [(n / 50, REFUSED if n % 10 in (3, 4, 5) else GOOD) for n in range(200)]

    assert told(*steps) == [(0, SourceState.LIVE)]


def test_a_change_of_the_reason_is_news() -> None:
    states = told((0, REFUSED), (1, FAILING), (2, FAILING), (3, UNSENT), (4, REFUSED))

    assert [state for _, state in states] == [
        SourceState.UNAVAILABLE,
        SourceState.DEGRADED,
        SourceState.UNAVAILABLE,
    ]
