"""Logs from Loki: what was there, what comes, each line once whatever the order it arrives in; faults named."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.config import Kubernetes, Loki, ModelConfig
from infdiag_tui.model import LogLine, Severity, SourceState
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.loki.client import Entry
from infdiag_tui.streams.loki.lines import MOST_SOURCES, Lines, source_of
from infdiag_tui.streams.loki.position import OVERLAP_NS, Position
from infdiag_tui.streams.loki_logs import LokiLogsStream, build
from infdiag_tui.streams.registry import build_streams
from tests.streams.gpus.helpers import Watched, watching
from tests.streams.loki.fake_loki import FakeLoki, fake_loki

NS = 1_000_000_000
SELECTOR = '{namespace="ml", pod=~"scorer-.*"}'


@pytest.fixture
async def loki() -> AsyncIterator[FakeLoki]:
    async with fake_loki() as one:
        yield one


def stream(loki: FakeLoki, *, lines: int = 1_000, page: int = 1_000, **given: Any) -> LokiLogsStream:
    values = Loki.model_validate({"url": loki.url, "selector": SELECTOR, **given})
    hurried = values.model_copy(update={"interval_s": 0.03})
    return LokiLogsStream(hurried, StreamContext(user_agent="infdiag-test"), backlog_lines=lines, page_entries=page)


def texts(watched: Watched) -> list[str]:
    return [one.text for one in watched.told if isinstance(one, LogLine)]


def now_ns() -> int:
    return int(time.time() * NS)


async def test_what_was_there_comes_first_and_then_each_line_as_it_arrives(loki: FakeLoki) -> None:
    begin = now_ns() - 60 * NS
    for number in range(5):
        loki.push(begin + number, f"INFO old {number}")
    loki.push(begin, "of another model", namespace="ml", pod="ranker-0", container="server")
    async with watching(stream(loki)) as watched:
        await watched.until(lambda: len(texts(watched)) == 5)
        loki.push(now_ns(), "ERROR CUDA out of memory")
        await watched.until(lambda: "ERROR CUDA out of memory" in texts(watched))
        assert texts(watched) == [*(f"INFO old {number}" for number in range(5)), "ERROR CUDA out of memory"]
        last = [one for one in watched.told if isinstance(one, LogLine)][-1]
        assert last.severity is Severity.ERROR
        assert last.source == "ml/scorer-0/server"
        assert last.at is not None
        assert abs(last.at - time.time()) < 10
        assert watched.health.state is SourceState.LIVE


async def test_the_backlog_is_the_newest_lines_over_several_pages(loki: FakeLoki) -> None:
    begin = now_ns() - 60 * NS
    for number in range(50):
        loki.push(begin + number // 4, f"line {number}")  # four to each nanosecond
    loki.push(begin - 7200 * NS, "from before the backlog")
    async with watching(stream(loki, lines=30, page=8)) as watched:
        await watched.until(lambda: len(texts(watched)) == 30)
        assert sorted(texts(watched)) == sorted(f"line {number}" for number in range(20, 50))
        await watched.until(lambda: sum(asked["direction"] == "forward" for asked in loki.asked) > 12)
        assert len(texts(watched)) == 30
    async with watching(stream(loki, lines=0)) as watched:
        await watched.until(lambda: watched.health.last_data_at)
        loki.push(now_ns(), "news")
        await watched.until(lambda: texts(watched) == ["news"])


async def test_late_and_equally_timed_lines_come_once_each(loki: FakeLoki) -> None:
    async with watching(stream(loki)) as watched:
        await watched.until(lambda: watched.health.last_data_at)
        at = now_ns()
        loki.push(at, "first")
        await watched.until(lambda: texts(watched) == ["first"])
        loki.push(at, "of the same nanosecond")
        loki.push(at, "first")  # a second shipper sends the same line: Loki keeps one
        loki.push(at, "first", namespace="ml", pod="scorer-1", container="server")  # another pod's is another line
        loki.push(at - 3 * NS, "late")
        await watched.until(lambda: len(texts(watched)) == 4)
        before = len(loki.asked)
        await watched.until(lambda: len(loki.asked) > before + 5)
        assert Counter(texts(watched)) == {"first": 2, "of the same nanosecond": 1, "late": 1}


async def test_a_flood_is_read_page_by_page_without_loss(loki: FakeLoki) -> None:
    async with watching(stream(loki, page=100)) as watched:
        await watched.until(lambda: watched.health.last_data_at)
        at = now_ns()
        for number in range(1_550):
            loki.push(at + number // 7, f"line {number}")
        await watched.until(lambda: len(texts(watched)) == 1_550)
        assert set(texts(watched)) == {f"line {number}" for number in range(1_550)}


async def test_more_lines_of_one_moment_than_a_page_holds_are_told_as_lost(loki: FakeLoki) -> None:
    async with watching(stream(loki, page=10)) as watched:
        await watched.until(lambda: watched.health.last_data_at)
        at = now_ns()
        for number in range(25):
            loki.push(at, f"line {number}")
        loki.push(at + 1, "after it")
        await watched.until(lambda: "after it" in texts(watched))
        assert watched.health.state is SourceState.DEGRADED
        assert "bear one and the same time" in watched.health.reason


async def test_an_outage_loses_and_repeats_nothing(loki: FakeLoki) -> None:
    async with watching(stream(loki)) as watched:
        await watched.until(lambda: watched.health.last_data_at)
        loki.push(now_ns(), "before")
        await watched.until(lambda: texts(watched) == ["before"])
        loki.status, loki.said = 503, "empty ring"
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert "Loki at http" in watched.health.reason
        assert "empty ring" in watched.health.reason
        loki.push(now_ns(), "meanwhile")
        loki.status = 200
        await watched.until(lambda: "meanwhile" in texts(watched))
        await watched.until(lambda: watched.health.state is SourceState.LIVE)
        assert texts(watched) == ["before", "meanwhile"]


async def test_a_traceback_is_one_entry_and_secrets_are_hidden(loki: FakeLoki) -> None:
    at = now_ns() - NS
    parts = ("Traceback (most recent call last):", '  File "a.py", line 1, in f', "ValueError: password=hunter2abcdef")
    for number, part in enumerate(parts):
        loki.push(at + number, part)
    loki.push(at + 9, "2026-01-02T03:04:05.000000006Z stderr F WARNING \x1b[31mwrapped\x1b[0m")
    async with watching(stream(loki)) as watched:
        await watched.until(lambda: len(texts(watched)) == 2)
        first, second = (one for one in watched.told if isinstance(one, LogLine))
        assert first.text.startswith("Traceback")
        assert "ValueError" in first.text
        assert "hunter2" not in first.text
        assert (second.text, second.severity) == ("WARNING wrapped", Severity.WARNING)
        assert second.at == pytest.approx(1767323045, abs=1)  # the runtime's own time


@pytest.mark.parametrize(
    ("selector", "words", "remedy"),
    [
        ("fraud", "parse error", "correct what loki names"),
        ('{pod=~".*"}', "at least one", "correct what loki names"),
        ('rate({pod="a"}[1m])', "computes a metric", "name streams"),
    ],
)
async def test_selectors_that_loki_does_not_take(loki: FakeLoki, selector: str, words: str, remedy: str) -> None:
    async with watching(stream(loki, selector=selector)) as watched:
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert words in watched.health.reason
        assert remedy in watched.health.remedy


async def test_a_tenant_is_named_and_its_lack_is_explained(loki: FakeLoki) -> None:
    loki.status, loki.said = 401, "no org id"
    async with watching(stream(loki, headers={"X-Scope-OrgID": "ml"})) as watched:
        await watched.until(lambda: watched.health.state is SourceState.FORBIDDEN)
        assert "no org id" in watched.health.reason
        assert "loki.headers" in watched.health.remedy
    assert loki.headers[0]["x-scope-orgid"] == "ml"


def test_with_loki_the_pods_own_logs_are_followed_only_if_asked_for_in_words() -> None:
    def names(**kubernetes: Any) -> set[str]:
        section = Kubernetes.model_validate({"selector": "app=a", **kubernetes})
        loki = Loki(url="http://loki:3100", selector='{app="a"}')
        return {one.name for one in build_streams(ModelConfig(kubernetes=section, loki=loki), StreamContext())}

    assert "logs:loki" in names()
    assert "pod-logs" not in names()
    assert "pod-logs" in names(logs=True)
    assert not build(ModelConfig(), StreamContext())


def test_what_a_stream_is_called() -> None:
    assert source_of((("container", "c"), ("namespace", "n"), ("pod", "p"))) == "n/p/c"
    assert source_of((("k8s_namespace_name", "n"), ("k8s_pod_name", "p"))) == "n/p"
    assert source_of((("filename", "/var/log/a"), ("host", "h"))) == "/var/log/a h"
    assert source_of((("odd", "\x1b[2J"),)).isprintable()
    assert source_of(()) == "loki"


def test_streams_without_number_are_bounded() -> None:
    lines = Lines()
    entries = [Entry(n, (("pod", f"p-{n}"),), "x") for n in range(MOST_SOURCES + 50)]
    told = [*lines.feed(entries, 1.0), *lines.settle(), *lines.settle()]
    assert len(told) == MOST_SOURCES + 50
    assert len({line.source for line in told}) == MOST_SOURCES + 1


class Store:
    """Loki's answers without its sockets."""

    def __init__(self) -> None:
        self.entries: set[Entry] = set()

    async def page(self, *, start_ns: int, end_ns: int, limit: int, direction: str) -> list[Entry]:
        assert direction == "forward"
        within = [entry for entry in self.entries if start_ns <= entry.at_ns < end_ns]
        return sorted(within, key=lambda entry: entry.at_ns)[:limit]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2 * OVERLAP_NS), st.sampled_from("ab"), st.sampled_from("xyz")), max_size=8),
        max_size=6,
    ),
    st.integers(7, 12),
)
def test_in_any_order_of_arrival_within_the_overlap_each_line_is_told_once(
    rounds: list[list[tuple[int, str, str]]], page: int
) -> None:
    """A page here holds more lines than can bear one time (six), as it does in practice."""
    store, position, told = Store(), Position(0), list[Entry]()
    reader = LokiLogsStream(Loki(url="http://l", selector="{}"), StreamContext(), backlog_lines=0, page_entries=page)
    expected: set[Entry] = set()

    async def read() -> None:
        async for news in reader._arrived(store, position):  # type: ignore[arg-type]
            told.extend(news)

    for arrivals in rounds:
        for at_ns, pod, line in arrivals:
            entry = Entry(at_ns, (("pod", pod),), line)
            store.entries.add(entry)
            if at_ns >= position.begin_ns:
                expected.add(entry)
        asyncio.run(read())
    assert len(told) == len(set(told))
    assert expected <= set(told)
