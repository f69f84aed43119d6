"""The lab's smaller parts, each for itself: history, selectors, times, SPDY, the certificate, container logs."""

from __future__ import annotations

import asyncio
import ssl
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.lab.api import spdy
from infdiag_tui.lab.api.selectors import field_selector, label_selector
from infdiag_tui.lab.api.store import GoneError, Store
from infdiag_tui.lab.certificate import self_signed
from infdiag_tui.lab.containerlog import ContainerLog, LogQuery
from infdiag_tui.lab.times import nanoseconds_of, timestamp_ns


def _item(number: int) -> dict[str, Any]:
    return {"metadata": {"namespace": "n", "name": f"p{number:03d}"}}


@given(st.integers(0, 30), st.integers(1, 10))
def test_pages_put_together_are_the_whole_list(count: int, limit: int) -> None:
    store = Store()
    for number in range(count):
        store.put("pods", _item(number))
    page = store.page("pods", lambda _: True, limit)
    items = list(page.items)
    while page.token:
        store.put("pods", _item(999))  # what changes meanwhile does not show
        page = store.next_page(page.token, limit)
        items += page.items
    assert [item["metadata"]["name"] for item in items] == [f"p{number:03d}" for number in range(count)]


@given(st.lists(st.tuples(st.sampled_from("pd"), st.integers(0, 4)), max_size=60), st.integers(0, 60))
def test_history_replayed_from_any_version_gives_the_present(steps: list[tuple[str, int]], start: int) -> None:
    store = Store()
    seen: dict[str, Any] = {}
    version = store.version
    for number, (action, which) in enumerate(steps):
        if number == start:
            version, seen = store.version, {item["metadata"]["name"]: item for item in store.all("pods")}
        if action == "p":
            store.put("pods", _item(which))
        elif store.get("pods", "n", f"p{which:03d}") is not None:
            store.delete("pods", "n", f"p{which:03d}")
    for change in store.changes_since(version):
        name = change.after["metadata"]["name"]
        assert (name in seen) == (change.type != "ADDED")
        if change.type == "DELETED":
            del seen[name]
        else:
            seen[name] = change.after
    assert seen == {item["metadata"]["name"]: item for item in store.all("pods")}


def test_history_is_bounded_and_says_what_it_forgot() -> None:
    store = Store(history=10)
    first = store.version
    for number in range(50):
        store.put("pods", _item(number))
    with pytest.raises(GoneError, match="too old resource version"):
        store.changes_since(first)
    version = store.version
    store.compact()
    assert list(store.changes_since(version)) == []


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("", True),
        ("app=a", True),
        ("app==a,tier!=x", True),
        ("app in (b, a)", True),
        ("tier notin (x)", True),
        ("!tier", True),
        ("tier", False),
        ("app=b", False),
    ],
)
def test_label_selectors_choose(selector: str, chosen: bool) -> None:
    assert label_selector(selector)({"app": "a"}) is chosen


@pytest.mark.parametrize("selector", ["app=(", "app in a", "=x", "a=b,,c"])
def test_broken_label_selectors_are_refused(selector: str) -> None:
    with pytest.raises(ValueError, match="unable to parse"):
        label_selector(selector)


def test_field_selectors_reach_into_objects() -> None:
    item = {"metadata": {"name": "a"}, "status": {"phase": "Running"}}
    assert field_selector("metadata.name=a,status.phase!=Failed")(item)
    assert not field_selector("status.phase.deeper=x")(item)


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_times_survive_their_text(at_ns: int) -> None:
    assert nanoseconds_of(timestamp_ns(at_ns)) == at_ns


@given(st.dictionaries(st.text("abcdefgh-", min_size=1), st.text("abc XYZ/1", max_size=20), max_size=6))
def test_spdy_headers_are_read_through_the_shared_dictionary(headers: dict[str, str]) -> None:
    assert len(spdy.DICTIONARY) == 1423
    packed = struct.pack(">I", len(headers))
    for text in (text for pair in headers.items() for text in pair):
        packed += struct.pack(">I", len(text)) + text.encode()
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    block = deflate.compress(packed) + deflate.flush(zlib.Z_SYNC_FLUSH)
    assert spdy.Headers().read(block) == headers


@given(st.binary(min_size=1, max_size=60))
def test_broken_spdy_headers_are_a_protocol_error(block: bytes) -> None:
    with pytest.raises(spdy.SpdyError):
        spdy.Headers().read(block)


async def test_the_certificate_stands_up_to_strict_verification(tmp_path: Path) -> None:
    made = self_signed("127.0.0.1")
    path = tmp_path / "both.pem"
    path.write_text(made.key + made.certificate)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(path)
    trusting = ssl.create_default_context(cadata=made.certificate)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()
        other = ssl.create_default_context(cadata=self_signed("127.0.0.1").certificate)
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=other)


async def test_a_followed_container_log_gives_every_line_once_and_ends_with_the_run(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log")
    for number in range(3):
        log.write(b"before %d" % number)
    read: list[bytes] = []
    started = asyncio.Event()

    async def follow() -> None:
        async for entries in log.read(LogQuery(follow=True, tail_lines=2)):
            read.extend(entry.text for entry in entries)
            started.set()

    following = asyncio.create_task(follow())
    await asyncio.wait_for(started.wait(), 5)
    for number in range(100):
        log.write(b"after %d" % number)
        if number % 10 == 0:
            await asyncio.sleep(0)
    log.close()
    await asyncio.wait_for(following, 5)
    assert read == [b"before 1", b"before 2", *(b"after %d" % number for number in range(100))]
