"""Undo that survives another author, and the smallest changes between two texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from widgets.edit_history import Change, EditHistory, differences, moved

TEXTS = st.text(alphabet="ab\n", max_size=40)


def apply_all(text: str, changes: list[Change]) -> str:
    for change in changes:
        text = change.apply(text)
    return text


@given(old=TEXTS, new=TEXTS)
def test_differences_turn_the_old_text_into_the_new_one(old: str, new: str) -> None:
    assert apply_all(old, differences(old, new)) == new


def test_a_line_that_another_changed_is_replaced_from_its_first_to_its_last_difference() -> None:
    old = "a\np99: 210 ms (n=5)\nmine\n"
    new = "a\np99: 350 ms (n=5)\nmine\n"
    assert differences(old, new) == [Change(7, "21", "35")]


@st.composite
def edits(draw: st.DrawFn, text: str) -> Change:
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 5)))
    return Change(start, text[start:end], draw(st.text(alphabet="xy\n", max_size=4)))


@given(st.data())
def test_undoing_everything_leaves_only_what_the_other_author_wrote(data: st.DataObject) -> None:
    """Both change disjoint halves of a text, in any order; undo must give the other's half untouched."""
    separator = "\n=====\n"
    mine, theirs = data.draw(TEXTS, "mine"), data.draw(TEXTS, "theirs")
    start = mine
    first = data.draw(st.booleans(), "mine comes first")
    history = EditHistory()
    for at in range(data.draw(st.integers(1, 8), "steps")):
        offset = 0 if first else len(theirs + separator)
        if data.draw(st.booleans()):
            change = data.draw(edits(mine))
            mine = change.apply(mine)
            history.record(Change(change.start + offset, change.removed, change.inserted), float(at) * 10)
        else:
            change = data.draw(edits(theirs))
            theirs = change.apply(theirs)
            shift = len(mine + separator) if first else 0
            history.other_changed(Change(change.start + shift, change.removed, change.inserted))
    text = mine + separator + theirs if first else theirs + separator + mine
    written = text
    redone = 0
    while (step := history.undo()) is not None:
        text = step.apply(text)
        redone += 1
    assert text == (start + separator + theirs if first else theirs + separator + start)
    for _ in range(redone):
        step = history.redo()
        assert step is not None
        text = step.apply(text)
    assert text == written


@given(st.data())
def test_undo_never_fails_however_the_changes_overlap(data: st.DataObject) -> None:
    text = data.draw(TEXTS)
    history = EditHistory()
    for at in range(data.draw(st.integers(1, 10))):
        kind = data.draw(st.sampled_from(["mine", "theirs", "undo", "redo"]))
        change: Change | None
        if kind in ("mine", "theirs"):
            change = data.draw(edits(text))
            if kind == "mine":
                history.record(change, float(at))
            else:
                history.other_changed(change)
        else:
            change = history.undo() if kind == "undo" else history.redo()
        if change is not None:
            text = change.apply(text)  # raises where the history no longer fits the text


def test_keystrokes_in_a_row_are_one_step_and_a_pause_begins_another() -> None:
    history = EditHistory()
    for index, char in enumerate("abc"):
        history.record(Change(index, "", char), 1.0 + index * 0.1)
    history.record(Change(3, "", "d"), 9.0)
    assert history.undo() == Change(3, "d", "")
    assert history.undo() == Change(0, "abc", "")
    assert history.undo() is None


def test_backspaces_in_a_row_are_one_step() -> None:
    history = EditHistory()
    history.record(Change(2, "c", ""), 1.0)
    history.record(Change(1, "b", ""), 1.1)
    assert history.undo() == Change(1, "", "bc")


def test_positions_move_with_what_they_stand_on() -> None:
    assert moved(5, Change(2, "", "abc")) == 8
    assert moved(2, Change(2, "", "abc")) == 2
    assert moved(2, Change(2, "", "line\n")) == 7
    assert moved(1, Change(2, "", "abc")) == 1
    assert moved(6, Change(2, "abcd", "")) == 2
    assert moved(4, Change(2, "abcd", "x")) == 3
