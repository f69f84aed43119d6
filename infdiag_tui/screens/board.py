"""The six panels and their arrangement: a grid, or one at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from textual.containers import Container
from textual.widget import Widget

from infdiag_tui.actions import PANELS
from infdiag_tui.model import Snapshot
from infdiag_tui.screens.layout import PLACES, Arrangement

if TYPE_CHECKING:
    from widgets.panel import Panel

log = logging.getLogger(__name__)


class Board(Container):
    """Holds the panels, knows which is active, and shows all of them or the active one alone.

    It is empty until `populate`: what the panels need is imported after the first frame.

    Args:
        on_defect: told of a panel that could not be drawn.
    """

    def __init__(self, on_defect: Callable[[str], None]) -> None:
        super().__init__(id="board")
        self.panels: dict[str, Panel] = {}
        self.active = "findings"
        self._on_defect = on_defect
        self._single = False
        self._order: tuple[str, ...] = ()
        self._defective: set[str] = set()

    async def populate(self, panels: dict[str, Panel]) -> None:
        """Takes in the panels by id, one for each of `actions.PANELS`."""
        self.panels = panels
        self._order = tuple(panels)
        await self.mount(*panels.values())

    @property
    def active_panel(self) -> Panel:
        """The panel that has, or last had, the focus."""
        return self.panels[self.active]

    def draw(self, snapshot: Snapshot, *, now: float, paused: bool) -> None:
        """Draws every panel; one that cannot be drawn says so and leaves the others alone."""
        for panel in self.panels.values():
            try:
                panel.draw(snapshot, now=now, paused=paused)
            except Exception as error:
                # A defect in one panel must not take the console, and the report, from the operator.
                if panel.id not in self._defective:
                    self._defective.add(str(panel.id))
                    log.exception("panel %s cannot be drawn", panel.id)
                    text = f"{type(error).__name__}: {error}"
                    self._on_defect(f"The {panel.panel_title} panel cannot be drawn ({text}); it shows old data.")
                panel.border_title = f"{panel.panel_title}: cannot be drawn, shows old data".replace("[", "(")

    def take_up(self, arrangement: Arrangement, *, single: bool) -> None:
        """Takes up an arrangement; `single` shows the active panel alone."""
        self._single = single
        order = PLACES.get(arrangement, self._order)
        if self.panels and order != self._order:
            self._order = order
            self.sort_children(key=lambda panel: order.index(str(panel.id)))
        for name, panel in self.panels.items():
            panel.display = not single or name == self.active

    def activate(self, name: str) -> None:
        """Makes a panel the active one and, where only one is shown, shows it."""
        self.active = name
        if self._single:
            for other, panel in self.panels.items():
                panel.display = other == name

    def entry(self, name: str) -> Widget:
        """The part of a panel that takes the focus without taking letters as text."""
        from textual.widgets import Input, TextArea

        panel = self.panels[name]
        if panel.focusable:
            return panel
        inside = (
            widget for widget in panel.query("*") if widget.focusable and not isinstance(widget, TextArea | Input)
        )
        return next(inside, panel)

    def neighbour(self, step: int) -> str:
        """The panel `step` places after the active one, by number, round and round."""
        names = [slot.id for slot in PANELS]
        return names[(names.index(self.active) + step) % len(names)]

    def __iter__(self) -> Iterator[Panel]:
        return iter(self.panels.values())
