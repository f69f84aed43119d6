"""The report as one HTML page: the draft's text and the charts as inline SVG, without script and without network."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from infdiag_tui.report.svg import chart_svg, legend
from infdiag_tui.text import printable

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(document: Mapping[str, Any], markdown: str) -> str:
    """A self-contained page.

    Args:
        document: the incident, with its `charts`.
        markdown: the draft. Its HTML is shown as text, pictures are left out, links are plain words: a page that is
            opened must not fetch what somebody wrote into a log line.
    """
    title = escape(f"{document['model']}: inference diagnostic report")
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{_text(markdown)}{_charts(document)}{_origin(document)}"
        "</main></body></html>\n"
    )


def _text(markdown: str) -> str:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").use(footnote_plugin)
    parser.use(tasklists_plugin)
    parser.disable(["image", "link", "autolink"])
    rendered: str = parser.render(printable(markdown))
    return rendered


def _charts(document: Mapping[str, Any]) -> str:
    shown = []
    for chart in document.get("charts", ()):
        drawing = chart_svg(chart)
        if drawing:
            head = f"<h4>{escape(str(chart['title']))} ({escape(str(chart['unit']))})</h4>"
            shown.append(f"<figure>{head}{drawing}{legend(chart)}{_events(chart)}</figure>")
    return f"<section class=charts>{''.join(shown)}</section>" if shown else ""


def _events(chart: Mapping[str, Any]) -> str:
    names = dict.fromkeys(str(event["name"]) for event in chart["events"])
    return f"<p class=dim>marks: {escape('; '.join(list(names)[:8]))}</p>" if names else ""


def _origin(document: Mapping[str, Any]) -> str:
    words = f"infdiag {document['infdiag']}; watched {document['duration_s']:.0f} s from {document['started']}"
    return f"<footer class=dim>{escape(words)}</footer>"
