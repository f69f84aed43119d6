"""Whatever was observed and concluded, the report is valid Markdown with every heading, and nothing is invented."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from infdiag_tui.diagnosis import diagnose
from infdiag_tui.knowledge.causes import causes, evidence_kinds
from infdiag_tui.model import Evidence, Snapshot, Verdict
from infdiag_tui.report import slot_values
from infdiag_tui.report.draft import Draft, built_in_template
from tests.screens.scripted import NOW, incident_snapshot

HEADINGS = ["Issue Summary", "Root Cause Analysis", "Findings", "Root Cause", "Solution", "Prevention"]


def snapshot_with(evidence: tuple[Evidence, ...]) -> Snapshot:
    return dataclasses.replace(incident_snapshot(), evidence=evidence, diagnosis=diagnose(evidence, causes()))


hostile = st.sampled_from(["# heading", "| a | b |", "[x](y)", "`", "<b>", "[^latency]: x", "a\nb", "- [ ] do"])
pieces = st.builds(
    Evidence,
    id=st.sampled_from(sorted(evidence_kinds())),
    statement=hostile | st.text(max_size=30),
    verdict=st.sampled_from(list(Verdict)),
    source=hostile,
    at=st.just(NOW),
    subject=st.text(max_size=5),
    since=st.none() | st.floats(NOW - 9e5, NOW),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(pieces, max_size=8), max_size=4), st.booleans())
def test_the_report_stays_valid_markdown_with_every_heading(pictures: list[list[Evidence]], footnotes: bool) -> None:
    draft = Draft(built_in_template())
    for evidence in [[], *pictures]:
        draft.fill(slot_values(snapshot_with(tuple(evidence)), footnotes=footnotes))
        tokens = MarkdownIt("commonmark").enable("table").parse(draft.text)
        found = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
        assert found[0].startswith("Inference Diagnostic Report: ")
        assert found[1:] == HEADINGS
        assert sum(token.type == "table_open" for token in tokens) == 1
        rows = sum(token.type == "tr_open" for token in tokens)
        assert 2 <= rows <= 7
        assert "{note_" not in draft.text
        assert "{hypothesis_" not in draft.text


def test_measured_lines_bear_a_footnote_that_can_be_hidden() -> None:
    draft = Draft(built_in_template())
    snapshot = snapshot_with(())
    draft.fill(slot_values(snapshot))
    assert "[^latency]\n" in draft.text
    assert "\n[^latency]: latency probe" in draft.text
    before = draft.text
    draft.fill(slot_values(snapshot, footnotes=False))
    assert "[^" not in draft.text
    draft.fill(slot_values(snapshot))
    assert draft.text == before


def test_the_checklist_ticks_itself_with_the_evidence_beside_each_tick() -> None:
    found = (
        Evidence("drift.features", "2 of 9 features drifted", Verdict.FAIL, "drift", NOW),
        Evidence("pipeline.golden", "the golden vector is reproduced", Verdict.OK, "pipeline", NOW),
        Evidence("version.mismatch", "not known", Verdict.UNKNOWN, "version", NOW),
    )
    draft = Draft(built_in_template())
    draft.fill(slot_values(snapshot_with(found)))
    assert "1. [x] Compare input distribution to training data: 2 of 9 features drifted\n" in draft.text
    assert "2. [x] Check preprocessing pipeline unchanged: the golden vector is reproduced\n" in draft.text
    assert "3. [ ] Verify model version is correct\n" in draft.text
    assert "5. [ ] Compare with shadow model if available\n" in draft.text


def test_a_confirmed_cause_fills_root_cause_and_table() -> None:
    found = (
        Evidence("pods.oom_killed", "a was OOMKilled", Verdict.FAIL, "pods", NOW, subject="ml/a"),
        Evidence("pods.memory_slope", "a grows by 12 MiB/min", Verdict.FAIL, "pods", NOW, subject="ml/a"),
    )
    draft = Draft(built_in_template())
    draft.fill(slot_values(snapshot_with(found)))
    assert "**Component**: Infrastructure\n" in draft.text
    assert "**Cause**: Memory leak: memory grows steadily until the kernel kills the container" in draft.text
    assert "| Memory leak (Infrastructure) | a grows by 12 MiB/min" in draft.text
    assert "| No (likely), an effect of memory-leak |" in draft.text


def test_nothing_is_claimed_before_something_is_known() -> None:
    draft = Draft(built_in_template())
    draft.fill(slot_values(snapshot_with(())))
    assert "**Cause**: not determined yet\n" in draft.text
    assert "| none examined yet | – | No |" in draft.text
    assert "[x]" not in draft.text
