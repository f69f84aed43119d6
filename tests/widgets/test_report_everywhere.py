"""The operator writes anywhere in the report, in lines that fill themselves too; what they wrote on stays as it is.

INFDIAG_EDIT_RUNS=40 tries so many more interleavings than the few of an ordinary run.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from textual.widgets.text_area import Selection

from infdiag_tui.report.draft import Draft, built_in_template
from infdiag_tui.report.template import SLOT
from tests.widgets.test_report_editor import EditorApp, Engine, editing, settle

RUNS = int(os.environ.get("INFDIAG_EDIT_RUNS", "12"))
OWN = range(0xE000, 0xF8FF)
"""Characters of the private use area: each is written once, so that one which is lost or moved is known."""
SLOTS = sorted(set(SLOT.findall(built_in_template())))

places = st.floats(0, 1, exclude_max=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), places, st.integers(1, 3)),
        st.tuples(st.just("split"), places, st.none()),
        st.tuples(st.just("cut"), places, st.integers(1, 60)),
        st.tuples(st.just("fill"), st.sampled_from(SLOTS), st.sampled_from([None, "", "210 ms", "2.10 s", "a | b"])),
        st.tuples(st.just("fill all"), st.none(), st.sampled_from([None, "n/a", "12 %", "Yes"])),
        st.tuples(st.just("give back"), places, st.none()),
        st.tuples(st.sampled_from(["undo", "redo", "note"]), st.none(), st.none()),
        st.tuples(st.sampled_from(["flush", "apply"]), st.none(), st.none()),
        st.tuples(st.sampled_from(["sync", "sync", "sync", "settle"]), st.none(), st.none()),
    ),
    min_size=20,
    max_size=60,
)


def is_own(character: str) -> bool:
    return ord(character) in OWN


def own_lines(text: str) -> list[str]:
    """The lines on which the operator has written, in their order."""
    return [line for line in text.split("\n") if any(map(is_own, line))]


class Desk:
    """The editor on a draft whose engine is a step behind, as it is between two threads."""

    def __init__(self, app: EditorApp) -> None:
        self.app = app
        self.editor = app.editor
        self.draft = app.engine.draft
        self._characters: Iterator[int] = itertools.count(OWN.start)
        self._notes = itertools.count(1)

    def write(self, place: float, value: int) -> None:
        self.editor.move_cursor(self._at(place))
        self.editor.insert("".join(chr(next(self._characters)) for _ in range(value)))

    def split(self, place: float) -> None:
        self.editor.move_cursor(self._at(place))
        self.editor.insert("\n")

    def cut(self, place: float, length: int) -> None:
        start = int(place * len(self.editor.text))
        end = min(start + length, len(self.editor.text))
        self.editor.selection = Selection(self._location(start), self._location(end))
        self.editor.action_delete_left()

    async def engine(self, kind: str, slot: object, value: object) -> None:
        """A step that is not the operator's: their lines and their place must outlive it."""
        before, cursor = own_lines(self.editor.text), self._cursor()
        if kind == "fill":
            self.draft.fill({str(slot): None if value is None else str(value)})
        elif kind == "fill all":
            self.draft.fill({name: None if value is None else f"{value} of {name}" for name in SLOTS})
        elif kind == "note":
            self.draft.append(f"- note {next(self._notes)}")
        elif kind == "flush":
            self.editor.flush()
        elif kind == "apply":
            self.app.engine.apply()
        elif kind == "sync":
            self.app.sync()
        elif kind == "settle":
            await settle(self.app)
        assert own_lines(self.editor.text) == before
        if any(map(is_own, cursor[0])):
            assert self._cursor() == cursor

    async def give_back(self, place: float) -> None:
        """Takes a line of the draft that everybody has seen; of the operator's lines it may replace that one."""
        await settle(self.app)
        row = self._at(place)[0]
        before = own_lines(self.editor.text)
        line = self.editor.text.split("\n")[row]
        self.draft.give_back(row)
        self.app.sync()
        kept = [one for one in before if one != line]
        assert own_lines(self.editor.text) in (before, kept)

    def _at(self, place: float) -> tuple[int, int]:
        return self._location(int(place * (len(self.editor.text) + 1)))

    def _location(self, index: int) -> tuple[int, int]:
        return self.editor._location(index)

    def _cursor(self) -> tuple[str, int]:
        row, column = self.editor.cursor_location
        return self.editor.text.split("\n")[row], column


@settings(max_examples=RUNS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(steps=[("note", None, None), ("write", 0.99999, 1), ("settle", None, None)])
@given(steps=STEPS)
async def test_lines_that_the_operator_wrote_on_stay_as_they_are(steps: list[tuple[str, object, object]]) -> None:
    engine = Engine()
    engine.draft = Draft(built_in_template())
    async with editing(engine, (80, 20)) as (app, _):
        desk = Desk(app)
        for kind, first, second in steps:
            if kind == "write":
                desk.write(first, second)  # type: ignore[arg-type]
            elif kind == "split":
                desk.split(first)  # type: ignore[arg-type]
            elif kind == "cut":
                desk.cut(first, second)  # type: ignore[arg-type]
            elif kind == "give back":
                await desk.give_back(first)  # type: ignore[arg-type]
            elif kind == "undo":
                app.editor.undo()
            elif kind == "redo":
                app.editor.redo()
            else:
                await desk.engine(kind, first, second)
        await settle(app)
        await settle(app)
        assert app.editor.text == engine.draft.text
