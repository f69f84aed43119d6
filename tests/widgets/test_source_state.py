from __future__ import annotations

from dataclasses import replace

import pytest

from infdiag_tui.model import SourceHealth, SourceState
from tests.widgets.samples import NOW, broken, live, quiet
from widgets.source_state import combine, explanation, matching, retry_words, words


def said(*sources: SourceHealth) -> str:
    return words(combine(sources, NOW))


def test_live_tells_a_calm_age() -> None:
    assert said(live("a", 0.4)) == "live <2 s"
    assert said(live("a", 7.2)) == "live 7 s"


def test_a_source_that_calls_itself_live_is_stale_once_its_data_is_old() -> None:
    assert said(live("a", 23)) == "stale 23 s"


def test_the_worst_of_several_dead_sources_is_shown() -> None:
    state = combine((broken("a", SourceState.STALE), broken("b", SourceState.FORBIDDEN, "no right")), NOW)
    assert state.state is SourceState.FORBIDDEN
    assert [health.name for health in state.problems] == ["b", "a"]
    assert not state.trusted


def test_one_dead_source_beside_a_live_one_degrades_the_panel_and_keeps_its_data_trusted() -> None:
    state = combine((live("a"), broken("b", SourceState.UNAVAILABLE, "refused")), NOW)
    assert state.state is SourceState.DEGRADED
    assert state.trusted
    assert state.problems[0].reason == "refused"


def test_sources_that_nobody_asked_for_do_not_count_beside_others() -> None:
    off = SourceHealth("b", SourceState.OFF, NOW, reason="not configured")
    assert said(live("a"), off) == "live <2 s"
    assert said(off) == "off: not configured"
    assert said() == "off: not configured"


def test_a_source_without_any_data_says_so_instead_of_an_age() -> None:
    assert said(broken("a", SourceState.UNAVAILABLE, "refused", age_s=None)) == "unavailable · no data yet"


@pytest.mark.parametrize(("in_s", "text"), [(2.0, "retry in 2 s"), (0.2, "retrying"), (-5.0, "retrying")])
def test_the_next_attempt_is_told(in_s: float, text: str) -> None:
    source = replace(broken("a", SourceState.UNAVAILABLE), retry_at=NOW + in_s)
    assert retry_words(combine((source,), NOW)) == text


def test_an_explanation_names_source_reason_and_remedy() -> None:
    source = broken("latency", SourceState.UNAVAILABLE, "connection refused.", "start the server.")
    assert explanation(source, NOW) == "latency unavailable: connection refused. Try: start the server."


def test_a_star_stands_for_however_many_sources_there_are() -> None:
    snapshot = replace(quiet(), sources={name: live(name) for name in ("logs.a", "logs.b", "host")})
    assert [health.name for health in matching(snapshot, ("logs*",))] == ["logs.a", "logs.b"]
    assert matching(snapshot, ("gone",))[0].state is SourceState.OFF
