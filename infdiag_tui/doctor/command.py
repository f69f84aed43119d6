"""`infdiag doctor`: data on standard output, talk on standard error."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from infdiag_tui import __version__, exit_codes
from infdiag_tui.clock import SystemClock
from infdiag_tui.doctor.document import document
from infdiag_tui.doctor.examination import Examination, examine, grantee
from infdiag_tui.doctor.rights import all_rights
from infdiag_tui.doctor.role import everything
from infdiag_tui.doctor.rows import MISSING, OFF, OPTIONAL, WORKS, Table, tables, verdict
from infdiag_tui.doctor.trial import LIMIT_S, SETTLE_S
from infdiag_tui.targets import Target
from infdiag_tui.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {WORKS: "green", OFF: "dim", OPTIONAL: "yellow", MISSING: "bold red", "": ""}


def print_roles(target: Target) -> int:
    """Prints the Roles that infdiag needs."""
    grant = asyncio.run(grantee(target.model.kubernetes, SystemClock(), f"infdiag/{__version__}"))
    print(everything(all_rights(), grant), end="")
    return exit_codes.OK


def run(target: Target, *, as_json: bool, watch_s: float = 0.0) -> int:
    """Examines the target and prints what was found; returns the command's exit code.

    `watch_s` is for how long the sources are watched at least, to see how often the API server is asked.
    """
    settle_s = max(SETTLE_S, watch_s)
    found = asyncio.run(examine(target, SystemClock(), _say, limit_s=LIMIT_S + watch_s, settle_s=settle_s))
    if as_json:
        print(json.dumps(document(found), indent=2, allow_nan=False))
        _say(verdict(found))
    elif sys.stdout.isatty():
        _print_rich(found)
    else:
        print("\n".join(plain(found)))
    return found.exit_code


def plain(found: Examination) -> list[str]:
    """The tables as aligned lines, for a pipe: nothing is wrapped or cut."""
    lines: list[str] = []
    for table in tables(found):
        lines += [table.title, *_aligned(table), ""]
    lines += _role_lines(found)
    return [*lines, verdict(found)]


def _aligned(table: Table) -> list[str]:
    rows = [tuple(one_line(cell, 1000) for cell in row) for row in table.rows]
    # The last columns are sentences: only what stands before them is padded.
    padded = min(3, len(table.headings) - 1)
    widths = [max(len(row[at]) for row in rows) for at in range(padded)]
    made = []
    for row in rows:
        head = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False) if width)
        made.append(f"  {'  '.join(filter(None, (head, *row[padded:])))}".rstrip())
    return made


def _role_lines(found: Examination) -> list[str]:
    if not found.role:
        return ["All Roles that infdiag can use: infdiag doctor --rbac", ""] if found.rights else []
    return ["What is missing, as a Role to apply (all that infdiag can use: infdiag doctor --rbac):", "", found.role]


def _print_rich(found: Examination) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console: Console = Console()
    for table in tables(found):
        console.print(Text(table.title, style="bold"))
        made = RichTable(header_style="dim", expand=False)
        judged = any(row[0] for row in table.rows)
        for heading in table.headings if judged else table.headings[1:]:
            made.add_column(heading, overflow="fold")
        for row in table.rows:
            verdict_cell = [Text(row[0], style=_STYLES.get(row[0], "bold red"))] if judged else []
            made.add_row(*verdict_cell, *(Text(one_line(cell, 1000)) for cell in row[1:]))
        console.print(made)
    for line in _role_lines(found):
        console.print(Text(line))
    console.print(Text(verdict(found), style="bold"))


def _say(text: str) -> None:
    print(f"infdiag: {one_line(text, 600)}", file=sys.stderr)
