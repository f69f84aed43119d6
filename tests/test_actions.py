"""The table of actions is whole: keys, names, targets."""

from __future__ import annotations

from collections import Counter

from infdiag_tui.actions import ACTIONS, PANELS, Scope, bound, in_footer, in_palette, key_names
from infdiag_tui.app import InfdiagApp
from infdiag_tui.screens.bar import footer_items
from infdiag_tui.screens.triage import TriageScreen
from widgets.ink import plain


def test_no_key_has_two_meanings_in_the_same_place() -> None:
    apart = (Scope.EDITOR, Scope.CHECKS)
    keys = Counter((key, action.scope if action.scope in apart else None) for action in ACTIONS for key in action.keys)
    assert [key for key, count in keys.items() if count > 1] == []
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)


def test_every_target_is_an_action_of_the_screen_or_the_app() -> None:
    for action in bound():
        owner, _, call = action.target.partition(".")
        name = call.partition("(")[0]
        holder = {"screen": TriageScreen, "app": InfdiagApp}[owner]
        assert hasattr(holder, f"action_{name}"), action.id


def test_every_action_says_in_words_what_it_does() -> None:
    for action in ACTIONS:
        assert action.title
        assert action.help.endswith(".")
        assert key_names(action)


def test_each_panel_has_its_number() -> None:
    assert [slot.number for slot in PANELS] == [1, 2, 3, 4, 5, 6]
    assert {f"panel.{slot.id}" for slot in PANELS} <= {action.id for action in in_palette()}


def test_80_columns_hold_help_quit_checks_pause_zoom_and_the_log_filter() -> None:
    used = 0
    shown = ""
    for item in footer_items(editing=False, paused=False, zoomed=False):
        text = plain(item.face)
        if used + len(text) > 79:
            break
        used += len(text)
        shown += text
    for word in ("? help", "1-6 panel", "q quit", "space pause", "z zoom", "/ filter logs", "c checks"):
        assert word in shown
    assert in_footer()[0].id == "help"


def test_while_typing_the_footer_offers_no_key_that_would_be_text() -> None:
    for item in footer_items(editing=True, paused=False, zoomed=False):
        key = plain(item.face).split()[0]
        assert key == "esc" or key.startswith("ctrl+")
