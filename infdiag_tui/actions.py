"""The one table of what an operator can do: key bindings, footer, help and command palette are made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """Where an action's keys work. `EDITOR` are keys inside the report's text; plain letters are text there.

    `CHECKS` are keys of the screen of checks, where those of the panels do not work.
    """

    EVERYWHERE = "everywhere"
    BOARD = "panels"
    LOGS = "logs"
    CHECKS = "checks"
    EDITOR = "report editor"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator can do.

    `target` is the Textual action behind it, or empty where the focused widget handles the key by itself. `label` is
    its word in the footer; without one it is not in the footer. `footer_rank`: the lowest stay when space is short.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    scope: Scope = Scope.BOARD
    target: str = ""
    label: str = ""
    footer_rank: int = 50
    in_palette: bool = True


@dataclass(frozen=True, slots=True)
class PanelSlot:
    """A panel's place: its id, the number key that shows it, and its short name."""

    id: str
    number: int
    name: str


PANELS = (
    PanelSlot("gpu", 1, "GPU"),
    PanelSlot("pods", 2, "Pods"),
    PanelSlot("logs", 3, "Logs"),
    PanelSlot("latency", 4, "Latency"),
    PanelSlot("findings", 5, "Findings"),
    PanelSlot("report", 6, "Report"),
)
"""The panels in the order of their number keys."""


def _panel_actions() -> tuple[Action, ...]:
    return tuple(
        Action(
            f"panel.{panel.id}",
            (str(panel.number),),
            f"Show {panel.name}",
            f"Goes to the {panel.name} panel.",
            target=f"screen.show_panel('{panel.id}')",
        )
        for panel in PANELS
    )


ACTIONS: tuple[Action, ...] = (
    Action(
        "help",
        ("question_mark", "f1"),
        "Help",
        "Explains the focused panel and lists every key.",
        target="screen.help",
        label="help",
        footer_rank=1,
    ),
    Action(
        "palette",
        ("ctrl+p",),
        "Commands",
        "Searches everything that can be done by name.",
        Scope.EVERYWHERE,
        target="app.command_palette",
        label="commands",
        footer_rank=30,
        in_palette=False,
    ),
    *_panel_actions(),
    Action(
        "focus.next",
        ("tab",),
        "Next panel",
        "Moves the focus on; also leaves the report editor.",
        Scope.EVERYWHERE,
        target="screen.focus_panel(1)",
        in_palette=False,
    ),
    Action(
        "focus.previous",
        ("shift+tab",),
        "Previous panel",
        "Moves the focus back.",
        Scope.EVERYWHERE,
        target="screen.focus_panel(-1)",
        in_palette=False,
    ),
    Action(
        "zoom",
        ("z",),
        "Zoom the panel",
        "Gives the focused panel the whole screen, and back.",
        target="screen.zoom",
        label="zoom",
        footer_rank=20,
    ),
    Action(
        "pause",
        ("space",),
        "Pause or resume the view",
        "Freezes what you see; collecting, probing and saving go on, and what arrives meanwhile is counted.",
        target="screen.pause",
        label="pause",
        footer_rank=10,
    ),
    Action(
        "checks",
        ("c",),
        "Checks",
        "Opens the checks of the protocol, those of the symptom first: Enter runs one, several can run at a time.",
        target="screen.checks",
        label="checks",
        footer_rank=3,
    ),
    Action(
        "guidance",
        ("i",),
        "Guidance",
        "Opens the page on the root cause, the likeliest hypothesis or the symptom, with the tools that serve it here.",
        target="screen.guidance",
        label="guidance",
        footer_rank=22,
    ),
    Action(
        "pin",
        ("p",),
        "Pin to the report",
        "Adds what the focused panel shows (the selected pod or log line, the figures) to the report, with its time.",
        target="screen.pin",
        label="pin",
        footer_rank=23,
    ),
    Action(
        "note",
        ("t",),
        "Timeline note",
        "Asks for a line and adds it to the report's timeline with the present time.",
        target="screen.note",
        label="note",
        footer_rank=24,
    ),
    Action(
        "report.footnotes",
        ("ctrl+t",),
        "Show or hide the report's footnotes",
        "Footnotes say from which source, over which window and how many samples a figure comes.",
        Scope.EVERYWHERE,
        target="screen.footnotes",
    ),
    Action(
        "report.export",
        ("x",),
        "Export the report",
        "Writes report.html, report.json, alert rules and a regression test beside the draft; quitting does so too.",
        target="screen.export",
    ),
    Action(
        "logs.filter",
        ("slash",),
        "Filter the logs",
        "Shows only lines with a word, or with /a regular expression/; a leading ! leaves them out. Esc clears it.",
        target="screen.log_filter",
        label="filter logs",
        footer_rank=21,
    ),
    Action(
        "logs.severity",
        ("s",),
        "Filter the logs by severity",
        "Cycles through all lines, info and worse, warnings and worse, errors.",
        target="screen.log_severity",
        label="severity",
        footer_rank=40,
    ),
    Action(
        "logs.follow",
        ("f",),
        "Follow the newest log lines",
        "Jumps to the newest line and stays there.",
        target="screen.log_follow",
        label="follow",
        footer_rank=41,
    ),
    Action(
        "logs.next-error",
        ("e",),
        "Next error in the logs",
        "Goes to the next error line.",
        target="screen.log_error(1)",
        label="next error",
        footer_rank=22,
    ),
    Action(
        "logs.previous-error",
        ("E",),
        "Previous error in the logs",
        "Goes to the previous error line.",
        target="screen.log_error(-1)",
    ),
    Action(
        "editor.leave",
        ("escape",),
        "Leave the editor or the zoom",
        "In the report: the keys work as commands again. What you wrote is saved by itself.",
        Scope.EVERYWHERE,
        target="screen.back",
        in_palette=False,
    ),
    Action(
        "editor.undo",
        ("ctrl+z",),
        "Undo in the report",
        "Takes back your own last change; what infdiag fills in stays.",
        Scope.EDITOR,
        in_palette=False,
    ),
    Action(
        "editor.redo",
        ("ctrl+y",),
        "Redo in the report",
        "Brings back what undo took.",
        Scope.EDITOR,
        in_palette=False,
    ),
    Action(
        "editor.give-back",
        ("ctrl+r",),
        "Give the line back",
        "Lets infdiag fill the line under the cursor again, in place of what you wrote there.",
        Scope.EDITOR,
        target="screen.give_back",
        in_palette=False,
    ),
    Action(
        "checks.open",
        ("enter",),
        "Open the form or the details",
        "On a check: its form, where Enter starts it. On a run: what it found, or the question it asks.",
        Scope.CHECKS,
        in_palette=False,
    ),
    Action(
        "checks.stop",
        ("escape",),
        "Stop the run, or go back",
        "Stops the run under the cursor at once and removes what it had written; elsewhere it leads back.",
        Scope.CHECKS,
        in_palette=False,
    ),
    Action(
        "checks.next",
        ("tab",),
        "Next part",
        "Goes on from the checks to the runs and to the details.",
        Scope.CHECKS,
        in_palette=False,
    ),
    Action(
        "quit",
        ("q", "ctrl+q"),
        "Quit",
        "Saves the report draft and ends infdiag. While you type in the report only ctrl+q quits.",
        target="app.quit",
        label="quit",
        footer_rank=2,
    ),
)
"""Every action, in the order in which help lists them."""

_KEY_NAMES = {"question_mark": "?", "slash": "/", "escape": "esc"}


def key_name(key: str) -> str:
    """A key as the operator reads it on the keyboard: `?`, `esc`, `ctrl+q`."""
    return _KEY_NAMES.get(key, key)


def key_names(action: Action) -> str:
    """All keys of an action: `q, ctrl+q`."""
    return ", ".join(key_name(key) for key in action.keys)


def bound() -> Iterator[Action]:
    """Actions that the screen binds keys for."""
    return (action for action in ACTIONS if action.target)


def in_footer() -> list[Action]:
    """Actions with a word in the footer, the most needed first."""
    return sorted((action for action in ACTIONS if action.label), key=lambda action: action.footer_rank)


def in_palette() -> Iterator[Action]:
    """Actions that the command palette offers."""
    return (action for action in ACTIONS if action.in_palette and action.target)
