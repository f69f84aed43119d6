"""The team's own report template: checked before it is used, and refused with file, line and remedy."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from infdiag_tui.regular_file import NoRegularFileError, read_regular
from infdiag_tui.report.draft import built_in_template
from infdiag_tui.report.template import SLOT
from infdiag_tui.text import clean, one_line

MAX_BYTES = 256_000
_REFUSED = "The built-in template is used."


@dataclass(frozen=True, slots=True)
class ReportTemplate:
    """The template in force, and a sentence on why the own one was refused; empty when there is none to tell."""

    text: str
    problem: str = ""


def load_template(path: Path | None) -> ReportTemplate:
    """The own template, else the built-in one. Blocking; raises nothing for what it reads.

    An own one may order, word and add as it likes: it keeps every heading of the built-in one, and its slots are known.
    """
    built_in = built_in_template()
    if path is None:
        return ReportTemplate(built_in)
    try:
        text = read_regular(path, MAX_BYTES).decode("utf-8").replace("\r\n", "\n")
    except NoRegularFileError as error:
        return _refused(built_in, path, f"{error}. Name a Markdown file in report_template")
    except UnicodeDecodeError as error:
        return _refused(built_in, path, f"byte {error.start} is no UTF-8. Save it as UTF-8")
    except OSError as error:
        words = f"cannot be read: {error.strerror}. Correct report_template, or leave it out"
        return _refused(built_in, path, words)
    problem = _problem(text, built_in)
    return _refused(built_in, path, problem) if problem else ReportTemplate(text)


def _refused(built_in: str, path: Path, problem: str) -> ReportTemplate:
    return ReportTemplate(
        built_in, one_line(clean(f"{path}: {problem}{'' if problem.endswith('?') else '.'} {_REFUSED}"), 600)
    )


def _problem(text: str, built_in: str) -> str:
    """What is wrong with a template, with its line and the remedy; empty when nothing is."""
    known = set(SLOT.findall(built_in))
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        for slot in SLOT.findall(line):
            if slot not in known:
                near = difflib.get_close_matches(slot, known, n=1)
                unheard = "See infdiag_tui/report/template.md for those there are"
                hint = f"Did you mean {{{near[0]}}}?" if near else unheard
                return f"line {number}: there is no slot {{{slot}}}. {hint}"
            if slot in seen:
                return f"line {number}: slot {{{slot}}} is in line {seen[slot]} already. Keep one of them"
            seen[slot] = number
    there = _headings(text)
    for heading in _headings(built_in):
        if heading not in there:
            return f"the heading {heading!r} is missing. Add it"
    return ""


def _headings(text: str) -> list[str]:
    """As a reader of the Markdown sees them: a `#` within a code block is none."""
    from markdown_it import MarkdownIt  # only an own template needs it so early

    tokens = MarkdownIt().parse(text)
    return [f"{'#' * int(one.tag[1])} {words.content}" for one, words in pairwise(tokens) if one.type == "heading_open"]
