"""The vitals line: what stays when there is no room, and what is never claimed."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.model import SourceState
from tests.screens.scripted import NOW, evidence, health, incident_snapshot
from widgets.glyphs import ASCII
from widgets.ink import line_cells, plain
from widgets.vitals import WIDE, Pause, replies, vitals_lines


def drawn(width: int, pause: Pause | None = None) -> list[str]:
    return [plain(row) for row in vitals_lines(incident_snapshot(), NOW, width, pause=pause)]


@pytest.mark.parametrize("width", [44, 60, 80, 100, 120, 149, 150, 200, 300])
@pytest.mark.parametrize("pause", [None, Pause(NOW - 12, 1234, 60)])
def test_every_width_keeps_severity_clock_and_the_source_that_is_down(width: int, pause: Pause | None) -> None:
    rows = vitals_lines(incident_snapshot(), NOW, width, pause=pause)
    text = "\n".join(plain(row) for row in rows)
    assert all(line_cells(row) <= width for row in rows)
    assert len(rows) == (1 if width >= WIDE else 2)
    assert "HIGH" in text
    assert "03:04:05Z" in text
    assert "✗" in rows[-1][-1].text or "dcgm" in text


def test_80_columns_show_model_symptom_elapsed_time_and_every_lamp() -> None:
    top, lamps = drawn(80)
    for word in ("fraud-scorer", "slow-inference", "HIGH", "12m 34s elapsed"):
        assert word in top
    for word in ("lat <2s", "logs", "pods", "gpu", "✗dcgm 45s", "○proc", "host"):
        assert word in lamps


def test_wide_lamps_name_the_state_in_words() -> None:
    (row,) = drawn(200)
    assert "✗ dcgm unavailable 45s" in row
    assert "○ process starting" in row


def test_a_pause_says_how_much_arrived_meanwhile() -> None:
    top, _ = drawn(80, Pause(NOW - 12, 1234, 60))
    assert "PAUSED 12 s: +1,234 lines, +60 replies" in top


def test_a_live_source_whose_data_grew_old_is_drawn_stale() -> None:
    snapshot = dataclasses.replace(incident_snapshot(), sources={"pods": health("pods", age_s=31.0)})
    assert "◐ pods stale 31s" in plain(vitals_lines(snapshot, NOW, 100)[1])


def test_many_sources_of_a_kind_are_one_lamp_with_a_count() -> None:
    sources = {f"logs:{n}": health(f"logs:{n}") for n in range(3)}
    sources["logs:x"] = health("logs:x", SourceState.FORBIDDEN, 5.0)
    snapshot = dataclasses.replace(incident_snapshot(), sources=sources)
    assert "logs 3/4 degraded" in plain(vitals_lines(snapshot, NOW, 100)[1])


def test_what_has_no_room_is_counted() -> None:
    sources = {f"source{n}": health(f"source{n}") for n in range(12)}
    sources["broken"] = health("broken", SourceState.UNAVAILABLE, 5.0)
    row = plain(vitals_lines(dataclasses.replace(incident_snapshot(), sources=sources), NOW, 60)[1])
    assert "broken" in row
    assert row.endswith("+10…")


def test_nothing_is_called_fine_that_is_not_watched() -> None:
    snapshot = dataclasses.replace(incident_snapshot(), severity="", evidence=evidence()[-2:])
    assert "no findings, but blind spots" in plain(vitals_lines(snapshot, NOW, 100)[0])
    seen = dataclasses.replace(snapshot, sources={"latency": health("latency")})
    assert "✓ no findings" in plain(vitals_lines(seen, NOW, 100)[0])
    unmeasured = dataclasses.replace(seen, evidence=())
    assert "no findings" not in plain(vitals_lines(unmeasured, NOW, 100)[0])
    assert "measuring" in plain(vitals_lines(unmeasured, NOW, 100)[0])


@pytest.mark.parametrize("width", [44, 80, 200])
def test_a_draft_that_cannot_be_saved_is_said_whatever_panel_is_open(width: int) -> None:
    snapshot = incident_snapshot()
    unsaved = dataclasses.replace(snapshot, draft=dataclasses.replace(snapshot.draft, save_error="No space left"))
    assert "DRAFT NOT SAVED" in plain(vitals_lines(unsaved, NOW, width)[0])
    assert "DRAFT NOT SAVED" not in plain(vitals_lines(snapshot, NOW, width)[0])


def test_ascii_terminals_get_ascii_only() -> None:
    rows = vitals_lines(incident_snapshot(), NOW, 80, ASCII, Pause(NOW - 5, 1, 2))
    assert all(plain(row).isascii() for row in rows)


def test_replies_are_counted_since_the_start_once_per_target() -> None:
    assert replies(incident_snapshot()) == 754
