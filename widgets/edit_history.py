"""Undo and redo of one author's own changes in a text that another author changes too; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

KEPT_STEPS = 200
"""Steps that can be undone; the oldest is forgotten first."""

SAME_STEP_S = 2.0
"""Keystrokes closer together than this are undone together."""


@dataclass(frozen=True, slots=True)
class Change:
    """At character `start`, `removed` gave way to `inserted`."""

    start: int
    removed: str
    inserted: str

    @property
    def growth(self) -> int:
        """Characters by which the text grew."""
        return len(self.inserted) - len(self.removed)

    @property
    def removed_end(self) -> int:
        """End of the changed span before the change."""
        return self.start + len(self.removed)

    @property
    def inserted_end(self) -> int:
        """End of the changed span after the change."""
        return self.start + len(self.inserted)

    def inverse(self) -> Change:
        """The change that takes this one back."""
        return Change(self.start, self.inserted, self.removed)

    def apply(self, text: str) -> str:
        """`text` after the change.

        Raises:
            ValueError: what is to be removed is not there.
        """
        if text[self.start : self.removed_end] != self.removed:
            raise ValueError(f"{self.removed!r} is not at {self.start}")
        return text[: self.start] + self.inserted + text[self.removed_end :]


def moved(position: int, change: Change, *, line_start: bool = True) -> int:
    """Where the character position `position` is after another author's `change`.

    At the very place of an insertion a position stays before it, except that whole lines put above a line push it down;
    `line_start` says that the change is made at the start of a line, not behind what stands in it.
    """
    if position < change.start:
        return position
    if position == change.start and not change.removed:
        return change.inserted_end if line_start and change.inserted.endswith("\n") else position
    if position >= change.removed_end:
        return position + change.growth
    return min(position, change.inserted_end)


def rebase(steps: Iterable[Change], other: Change) -> list[Change]:
    """`steps` as they read after `other` changed the text.

    Each step is a change that can be made to the text which all steps before it have been made to; `other` changes the
    text that the first step starts from. From the first step on that touches the same characters as `other` the steps
    mean nothing any more and are left out.
    """
    kept: list[Change] = []
    for step in steps:
        if other.removed_end <= step.start:
            kept.append(replace(step, start=step.start + other.growth))
        elif other.start >= step.removed_end:
            kept.append(step)
            other = replace(other, start=other.start + step.growth)
        else:
            break
    return kept


class EditHistory:
    """The steps that one author can undo and redo."""

    def __init__(self) -> None:
        self._undo: list[Change] = []
        """Inverse changes; the last one applies to the text as it is."""
        self._redo: list[Change] = []
        self._last_at: float | None = None

    def clear(self) -> None:
        """Forgets everything."""
        self._undo.clear()
        self._redo.clear()
        self._last_at = None

    def checkpoint(self) -> None:
        """What comes next is a step of its own."""
        self._last_at = None

    def record(self, change: Change, at: float) -> None:
        """Remembers a change that the author made at `at` (monotonic seconds)."""
        if not change.removed and not change.inserted:
            return
        self._redo.clear()
        inverse = change.inverse()
        if self._last_at is not None and at - self._last_at <= SAME_STEP_S and self._undo:
            joined = _joined(self._undo[-1], change)
            if joined is not None:
                self._undo[-1] = joined
                self._last_at = at
                return
        self._undo.append(inverse)
        del self._undo[:-KEPT_STEPS]
        self._last_at = None if "\n" in change.inserted + change.removed else at

    def undo(self) -> Change | None:
        """The change that takes the last step back, None when there is none; it counts as made."""
        return self._step(self._undo, self._redo)

    def redo(self) -> Change | None:
        """The change that makes the last undone step again, None when there is none; it counts as made."""
        return self._step(self._redo, self._undo)

    def _step(self, source: list[Change], target: list[Change]) -> Change | None:
        self._last_at = None
        if not source:
            return None
        change = source.pop()
        target.append(change.inverse())
        return change

    def other_changed(self, change: Change) -> None:
        """Takes note of another author's change to the text as it is."""
        for steps in (self._undo, self._redo):
            steps[:] = reversed(rebase(reversed(steps), change))


def _joined(inverse: Change, change: Change) -> Change | None:
    """One inverse for the step that `inverse` takes back followed by `change`: typing on, or deleting on."""
    if "\n" in change.inserted or "\n" in change.removed:
        return None
    typed_on = not change.removed and not inverse.inserted and change.start == inverse.removed_end
    if typed_on:
        return replace(inverse, removed=inverse.removed + change.inserted)
    deleting = not change.inserted and not inverse.removed
    if deleting and change.removed_end == inverse.start:
        return Change(change.start, "", change.removed + inverse.inserted)
    if deleting and change.start == inverse.start:
        return Change(change.start, "", inverse.inserted + change.removed)
    return None


def differences(old: str, new: str) -> list[Change]:
    """Changes that turn `old` into `new` when made in this order (last place first), line by line and no wider."""
    if old == new:
        return []
    from difflib import SequenceMatcher

    old_lines, new_lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
    starts = [0]
    for line in old_lines:
        starts.append(starts[-1] + len(line))
    changes = []
    matcher = SequenceMatcher(None, old_lines, new_lines, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in reversed(matcher.get_opcodes()):
        if tag == "equal":
            continue
        change = Change(starts[old_from], "".join(old_lines[old_from:old_to]), "".join(new_lines[new_from:new_to]))
        if old_to - old_from == new_to - new_from:
            changes += _line_by_line(change.start, old_lines[old_from:old_to], new_lines[new_from:new_to])
        else:
            changes.append(_trimmed(change))
    return changes


def _line_by_line(start: int, old_lines: list[str], new_lines: list[str]) -> list[Change]:
    changes = []
    for old, new in zip(old_lines, new_lines, strict=True):
        if old != new:
            changes.append(_trimmed(Change(start, old, new)))
        start += len(old)
    return changes[::-1]


def _trimmed(change: Change) -> Change:
    """The same change without what it removes and inserts alike at both ends."""
    if not change.removed or not change.inserted:
        return change
    shortest = min(len(change.removed), len(change.inserted))
    head = 0
    while head < shortest and change.removed[head] == change.inserted[head]:
        head += 1
    tail = 0
    while tail < shortest - head and change.removed[-1 - tail] == change.inserted[-1 - tail]:
        tail += 1
    end = -tail or None
    return Change(change.start + head, change.removed[head:end], change.inserted[head:end])
