"""What is handed on with a report: the incident as JSON, a page, alert rules and a regression test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infdiag_tui import __version__
from infdiag_tui.model import Snapshot
from infdiag_tui.report.charts import charts
from infdiag_tui.report.document import document
from infdiag_tui.report.page import page
from infdiag_tui.report.writer import write_atomically

JSON_NAME = "report.json"
PAGE_NAME = "report.html"
DRAFT_NAME = "report.md"


def incident_document(snapshot: Snapshot) -> dict[str, Any]:
    """The incident's document with its charts and the version that made it (see `document.schema.json`)."""
    return {**document(snapshot), "infdiag": __version__, "charts": charts(snapshot)}


def write_bundle(snapshot: Snapshot, folder: Path, extra: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Writes the files beside the draft and returns them (blocking; files are 0600).

    Args:
        snapshot: the incident.
        folder: its folder, which exists.
        extra: texts of further files by name.

    Raises:
        OSError: a file could not be written; those before it are whole.
    """
    whole = incident_document(snapshot)
    texts = {
        JSON_NAME: json.dumps(whole, indent=1, allow_nan=False) + "\n",
        PAGE_NAME: page(whole, snapshot.draft.text),
        **(extra or {}),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return tuple(folder / name for name in texts)


class SavedReportError(Exception):
    """An incident's folder holds no report that can be shown; the message says which file and what to do."""


def saved_report(folder: Path, kind: str) -> str:
    """The saved report of an incident as `md`, `json` or `html`, the page with the draft as it is on disk now.

    Raises:
        SavedReportError: there is none, or it cannot be read.
    """
    markdown = _read(folder / DRAFT_NAME, folder)
    if kind == "md":
        return markdown
    text = _read(folder / JSON_NAME, folder)
    if kind == "json":
        return text
    try:
        return page(json.loads(text), markdown)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SavedReportError(
            f"{folder / JSON_NAME}: is no incident of infdiag ({type(error).__name__}: {error}). "
            "Use --format md, which needs only report.md."
        ) from error


def _read(path: Path, folder: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        what = "no such folder" if not folder.is_dir() else f"it holds no {path.name}"
        raise SavedReportError(f"{folder}: {what}. Name the folder of an incident.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SavedReportError(f"{path}: cannot be read ({error}).") from error
