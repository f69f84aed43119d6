"""The draft: fills what is its own, never touches what is the operator's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from infdiag_tui.report.draft import Draft, built_in_template

TEMPLATE = "# {model}\n\n**Symptom**: {symptom}\n\nFixes:\n{now}\n{later}\n\nNotes\n"
VALUES = {"model": "m", "symptom": "slow", "now": "nothing yet", "later": "nothing yet"}

SPECIFIED = [
    "## Inference Diagnostic Report: ",
    "### Issue Summary",
    "### Root Cause Analysis",
    "### Findings",
    "### Root Cause\n",
    "### Solution",
    "### Prevention",
]


def draft() -> Draft:
    made = Draft(TEMPLATE)
    made.fill(VALUES)
    return made


def test_slots_are_filled_and_an_equal_refill_changes_nothing() -> None:
    made = draft()
    assert made.text == "# m\n\n**Symptom**: slow\n\nFixes:\nnothing yet\nnothing yet\n\nNotes\n"
    version = made.version
    assert not made.fill(VALUES)
    assert made.version == version
    assert made.fill({"symptom": "slower"})
    assert "**Symptom**: slower\n" in made.text


def test_slots_that_read_alike_are_told_apart() -> None:
    made = draft()
    made.fill({"later": "quantise"})
    assert "Fixes:\nnothing yet\nquantise\n" in made.text
    made.fill({"now": "restart"})
    assert "Fixes:\nrestart\nquantise\n" in made.text


def test_a_line_that_the_operator_changed_is_theirs() -> None:
    made = draft()
    made.edit(made.text.replace("slow", "slow since lunch"), made.version, 1)
    assert not made.fill({"symptom": "other"})
    assert "**Symptom**: slow since lunch\n" in made.text
    assert made.applied_edit == 1


def test_a_line_that_the_operator_deleted_stays_deleted() -> None:
    made = draft()
    made.edit(made.text.replace("**Symptom**: slow\n", ""), made.version, 1)
    made.fill({"symptom": "other"})
    assert "Symptom" not in made.text


def test_an_edit_made_on_an_older_version_keeps_both_the_words_and_the_refill() -> None:
    made = draft()
    base, text = made.version, made.text
    made.fill({"symptom": "very slow"})
    made.edit(text + "restarted pod 3\n", base, 7)
    assert "**Symptom**: very slow\n" in made.text
    assert made.text.endswith("Notes\nrestarted pod 3\n")


def test_an_edit_of_a_line_that_was_refilled_meanwhile_wins() -> None:
    made = draft()
    base, text = made.version, made.text
    made.fill({"symptom": "very slow"})
    made.edit(text.replace("slow", "a bit slow"), base, 1)
    assert "**Symptom**: a bit slow\n" in made.text
    assert "very slow" not in made.text


def test_an_edit_on_a_forgotten_version_is_taken_as_it_is() -> None:
    made = draft()
    made.edit("all mine\n", -5, 1)
    assert made.text == "all mine\n"


def test_an_edit_made_on_a_screen_that_was_paused_for_an_hour_keeps_the_slots_alive() -> None:
    made = draft()
    base, text = made.version, made.text
    for minute in range(2_000):
        made.fill({"symptom": f"slow for {minute} min"})
        made.edit(made.text, made.version, minute)
    made.edit(text + "restarted pod 3\n", base, 2_001)
    assert "**Symptom**: slow for 1999 min\n" in made.text
    assert made.text.endswith("Notes\nrestarted pod 3\n")
    made.fill({"symptom": "over"})
    assert "**Symptom**: over\n" in made.text


def test_a_value_over_several_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="spans several lines"):
        draft().fill({"symptom": "slow\n# Root cause: aliens"})


def test_the_built_in_template_has_the_specified_headings_in_order() -> None:
    text = built_in_template()
    places = [text.index(heading) for heading in SPECIFIED]
    assert places == sorted(places)


def test_every_line_of_the_built_in_template_has_at_most_one_slot() -> None:
    for line in built_in_template().splitlines():
        assert len(re.findall(r"\{[a-z0-9_]+\}", line)) <= 1, line


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)


class Editing(RuleBasedStateMachine):
    """An operator who appends lines of their own, on whatever version they last saw, while slots refill."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = draft()
        self.seen = (self.draft.version, self.draft.text)
        self.mine: list[str] = []
        self.number = 0

    @rule()
    def look(self) -> None:
        self.seen = (self.draft.version, self.draft.text)

    @rule(slot=st.sampled_from(sorted(VALUES)), value=words)
    def refill(self, slot: str, value: str) -> None:
        self.draft.fill({slot: value})

    @rule(note=words)
    def write(self, note: str) -> None:
        self.number += 1
        line = f"note {self.number} {note}"
        version, text = self.seen
        self.draft.edit(text + line + "\n", version, self.number)
        self.mine.append(line)
        self.seen = (self.draft.version, self.draft.text)

    @invariant()
    def every_note_stands_in_order(self) -> None:
        assert [line for line in self.draft.text.split("\n") if line.startswith("note ")] == self.mine

    @invariant()
    def the_fixed_lines_stand(self) -> None:
        lines = self.draft.text.split("\n")
        assert lines.index("Fixes:") < lines.index("Notes")


TestEditing = Editing.TestCase


@given(words, words)
def test_braces_in_a_value_are_no_slots(first: str, second: str) -> None:
    made = draft()
    made.fill({"model": "{symptom}" + first, "symptom": second})
    assert made.text.split("\n")[0] == "# {symptom}" + first
