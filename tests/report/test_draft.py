"""The draft: fills what is its own, never touches what is the operator's."""

from __future__ import annotations

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


def test_a_copy_that_the_operator_put_under_another_heading_is_theirs() -> None:
    made = Draft("# Report\nSummary\n\nFindings\n- p99: {p99}\n- pods: {pods}\n")
    made.fill({"p99": "210 ms", "pods": "3"})
    made.edit(made.text.replace("Summary\n", "Summary\n- p99: 210 ms\n"), made.version, 1)
    made.fill({"p99": "900 ms"})
    assert made.text == "# Report\nSummary\n- p99: 210 ms\n\nFindings\n- p99: 900 ms\n- pods: 3\n"


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


def test_the_built_in_template_has_no_other_headings_than_specified() -> None:
    headings = [line for line in built_in_template().splitlines() if line.startswith("#")]
    assert [one.rstrip() for one in headings] == [
        "## Inference Diagnostic Report: {model}",
        "### Issue Summary",
        "### Root Cause Analysis",
        "### Findings",
        "### Root Cause",
        "### Solution",
        "### Prevention",
    ]


TABLE = "| a |\n|---|\n{row_1}\n{row_2}\n{row_3}\n\nEnd\n\n{note_1}\n{note_2}\n\nNotes\n"
ROWS = {"row_1": "| one |", "row_2": None, "row_3": None, "note_1": None, "note_2": None}


def table(**values: str | None) -> Draft:
    made = Draft(TABLE)
    made.fill({**ROWS, **values})
    return made


def test_a_line_with_nothing_to_say_is_not_there_and_comes_back_in_its_place() -> None:
    made = table()
    assert made.text.startswith("| a |\n|---|\n| one |\n\nEnd\n")
    made.fill({"row_3": "| three |"})
    assert "| one |\n| three |\n\nEnd" in made.text
    made.fill({"row_2": "| two |"})
    assert "| one |\n| two |\n| three |\n\nEnd" in made.text
    made.fill({"row_1": None, "note_2": "[^2]: b"})
    assert "|---|\n| two |\n| three |\n\nEnd" in made.text
    made.fill({"note_1": "[^1]: a"})
    assert "End\n\n[^1]: a\n[^2]: b\n\nNotes\n" in made.text


def test_a_row_comes_behind_one_that_the_operator_made_theirs_or_before_it_but_never_into_it() -> None:
    made = table(row_2="| two |")
    made.edit(made.text.replace("| one |", "| one, says Ana |"), made.version, 1)
    made.fill({"row_3": "| three |", "row_1": "| uno |"})
    assert "| one, says Ana |\n| two |\n| three |\n" in made.text
    assert "uno" not in made.text


def test_nothing_comes_back_where_the_operator_removed_the_table() -> None:
    made = table()
    made.edit(made.text.replace("| a |\n|---|\n| one |\n", ""), made.version, 1)
    made.fill({"row_1": "| uno |", "row_2": "| two |"})
    assert "|" not in made.text


def test_an_edit_on_an_older_version_gets_the_lines_that_came_since() -> None:
    made = table()
    base, text = made.version, made.text
    made.fill({"row_2": "| two |", "row_1": None})
    made.edit(text + "mine\n", base, 1)
    assert made.text == "| a |\n|---|\n| two |\n\nEnd\n\n\nNotes\nmine\n"


def test_a_line_that_is_given_back_fills_itself_again() -> None:
    made = draft()
    made.edit(made.text.replace("**Symptom**: slow", "**Symptom**: dead slow"), made.version, 1)
    assert made.is_operators(2)
    assert made.give_back(2)
    assert not made.is_operators(2)
    made.fill({"symptom": "slower"})
    assert "**Symptom**: slower\n" in made.text


def test_what_is_no_line_of_the_program_cannot_be_given_back() -> None:
    made = draft()
    made.edit(made.text + "my own words\n", made.version, 1)
    before = made.text
    for number in range(-1, 12):
        assert not made.give_back(number)
    assert made.text == before


def test_a_line_without_fixed_words_is_known_by_its_place() -> None:
    made = draft()
    made.fill({"now": "restart", "later": "quantise"})
    made.edit(made.text.replace("quantise", "buy GPUs"), made.version, 1)
    assert made.give_back(6)
    assert made.text.split("\n")[5:7] == ["restart", "quantise"]


def test_a_note_is_added_at_the_end_and_is_the_operators() -> None:
    made = draft()
    made.append("- 02:13 restarted")
    made.append("- 02:15 again")
    assert made.text.endswith("Notes\n\n- 02:13 restarted\n- 02:15 again\n")
    with pytest.raises(ValueError, match="several lines"):
        made.append("- a\n# b")


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)


class Editing(RuleBasedStateMachine):
    """An operator who appends lines of their own, on whatever version they last saw, while slots refill."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = draft()
        self.seen = (self.draft.version, self.draft.text)
        self.mine: list[str] = []
        self.pinned: list[str] = []
        self.number = 0

    @rule()
    def look(self) -> None:
        self.seen = (self.draft.version, self.draft.text)

    @rule(slot=st.sampled_from(sorted(VALUES)), value=words)
    def refill(self, slot: str, value: str) -> None:
        self.draft.fill({slot: value})

    @rule(slot=st.sampled_from(["symptom", "now", "later"]))
    def silence(self, slot: str) -> None:
        self.draft.fill({slot: None})

    @rule(note=words)
    def pin(self, note: str) -> None:
        self.number += 1
        line = f"pin {self.number} {note}"
        self.draft.append(line)
        self.pinned.append(line)

    @rule(number=st.integers(0, 12))
    def give_back(self, number: int) -> None:
        lines = self.draft.text.split("\n")
        if number < len(lines) and not lines[number].startswith(("note ", "pin ")):
            self.draft.give_back(number)
            self.seen = (self.draft.version, self.draft.text)

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
    def no_pin_is_lost(self) -> None:
        assert sorted(line for line in self.draft.text.split("\n") if line.startswith("pin ")) == sorted(self.pinned)

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
