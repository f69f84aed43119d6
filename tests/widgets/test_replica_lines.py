"""The rows by replica in the latency panel."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.hub.replies_in_turn import RepliesInTurn
from infdiag_tui.model import ErrorKind, LatencyView
from tests.findings.scenes import NOW, failed, replies, scene
from widgets.glyphs import UNICODE
from widgets.ink import cells, plain
from widgets.latency_panel import render_latency
from widgets.replica_lines import replica_lines


def views(**p50: float | None) -> tuple[LatencyView, ...]:
    held = RepliesInTurn()
    for name, ms in p50.items():
        told = failed(20, ErrorKind.CONNECT) if ms is None else replies([ms] * 20)
        for one in told:
            held.add(dataclasses.replace(one, replica=f"ml/{name}", in_turn=True))
    return held.views(NOW)


def drawn(found: tuple[LatencyView, ...], width: int, height: int) -> list[str]:
    return [plain(one) for one in replica_lines(found, width, height, UNICODE)]


def test_the_slowest_and_the_silent_come_first() -> None:
    heading, *rows = drawn(views(fast=20.0, slow=80.0, dead=None), 100, 10)

    assert heading.split() == ["by", "replica,", "last", "5", "min", "p50", "p95", "p99", "errors", "n"]
    assert [row.split()[0] for row in rows] == ["dead", "slow", "fast"]
    assert "100" in rows[0]
    assert "80" in rows[1]


@pytest.mark.parametrize(("width", "height"), [(12, 2), (30, 3), (80, 4), (200, 40)])
def test_it_fits_and_says_how_many_are_left_out(width: int, height: int) -> None:
    lines = drawn(views(**{f"pod-{number:02}": 10.0 + number for number in range(20)}), width, height)

    assert len(lines) <= height
    assert all(cells(row) <= width for row in lines)
    if height < 21:
        assert lines[-1].startswith(f"and {20 - (height - 2)} "[: width - 1])


def test_the_panel_shows_them_only_where_there_is_room() -> None:
    found = scene(replies=replies([20.0] * 30), by_replica=views(a=20.0, b=30.0))

    roomy = "\n".join(plain(one) for one in render_latency(found, NOW, 100, 30, UNICODE))
    small = "\n".join(plain(one) for one in render_latency(found, NOW, 100, 12, UNICODE))

    assert "by replica" in roomy
    assert "by replica" not in small


def test_the_way_to_the_target_is_told() -> None:
    found = scene(replies=replies([20.0] * 30, through="SSH host jump"))

    assert "through SSH host jump" in plain(render_latency(found, NOW, 100, 20, UNICODE)[0])
