from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.streams.kube.resume import ResumePoint, stamp_ns

NS = 1_000_000_000


@pytest.mark.parametrize(
    ("stamp", "wanted"),
    [
        ("2026-01-31T03:04:05Z", 1769828645 * NS),
        ("2026-01-31T03:04:05.1Z", 1769828645 * NS + 100_000_000),
        ("2026-01-31T03:04:05.123456789Z", 1769828645 * NS + 123_456_789),
        ("2026-01-31T11:04:05.5+08:00", 1769828645 * NS + 500_000_000),
        ("2026-01-31T03:04:05", None),
        ("2026-13-31T03:04:05Z", None),
        ("failed", None),
        ("", None),
    ],
)
def test_stamps_of_any_precision_and_zone_are_read_to_the_nanosecond(stamp: str, wanted: int | None) -> None:
    assert stamp_ns(stamp) == wanted


lines = st.lists(
    st.tuples(st.integers(0, 4 * 10), st.sampled_from([b"a", b"b", b"c"])),
    max_size=40,
).map(
    lambda found: [
        (1_700_000_000 * NS + sum(n for n, _ in found[: i + 1]) * NS // 10, t) for i, (_, t) in enumerate(found)
    ]
)


@given(log=lines, cuts=st.lists(st.integers(0, 40), max_size=6), swaps=st.lists(st.integers(0, 39), max_size=5))
def test_any_cuts_of_any_log_tell_each_line_once(
    log: list[tuple[int, bytes]], cuts: list[int], swaps: list[int]
) -> None:
    # Two output streams: neighbours may stand out of order by less than a second.
    for at in swaps:
        if at + 1 < len(log) and abs(log[at + 1][0] - log[at][0]) < NS:
            log[at], log[at + 1] = log[at + 1], log[at]
    point, told = ResumePoint(), []
    for end in [*sorted(cuts), len(log)]:
        replay = point.replay()
        since = 0 if point.since is None else (stamp_ns(point.since) or 0)
        for at_ns, text in (line for line in log[:end] if line[0] // NS * NS >= since):
            if replay.is_news(at_ns, text):
                told.append((at_ns, text))
    assert told == log


@given(log=lines, cut=st.integers(0, 40))
def test_a_server_that_ignores_since_repeats_nothing(log: list[tuple[int, bytes]], cut: int) -> None:
    point, told = ResumePoint(), []
    for end in (cut, len(log)):
        replay = point.replay()
        told += [line for line in log[:end] if replay.is_news(*line)]
    assert told == log


def test_memory_holds_two_seconds_only() -> None:
    point = ResumePoint()
    for second in range(1000):
        point.note(second * NS, b"x")
    assert len(point._seconds) == 2


def test_a_copy_goes_its_own_way() -> None:
    point = ResumePoint()
    point.note(NS, b"x")
    twin = point.copy()
    twin.note(9 * NS, b"y")
    assert point.newest_ns == NS
    assert twin.newest_ns == 9 * NS
