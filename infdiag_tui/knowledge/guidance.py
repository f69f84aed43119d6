"""Guidance pages: Markdown by cause and by symptom, read when one is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from infdiag_tui.knowledge.causes import Cause
from infdiag_tui.knowledge.symptoms import SYMPTOMS
from infdiag_tui.text import printable

DEBUGGING = "production-debugging-techniques"
MONITORING = "production-monitoring-and-alerting"
MAX_BYTES = 200_000
"""An own page larger than this is not read."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")


class Guidance:
    """The pages there are: ours, and those of an own folder, which go before ours of the same name.

    A cause's page ends with its fixes and prevention, a symptom's with the causes that explain it, both from the causes
    themselves, so that page, report and ranking never disagree. Reading a page blocks for one small file.

    Args:
        causes: the causes in force, by id.
        own_folder: a folder of `NAME.md`, where the operator has one.
    """

    def __init__(self, causes: Mapping[str, Cause], own_folder: Path | None = None) -> None:
        self._causes = causes
        self._own = own_folder

    def names(self) -> tuple[str, ...]:
        """Names of all pages: symptoms, then causes in their order, then the general ones."""
        own = sorted(one.stem for one in self._own.glob("*.md")) if self._own and self._own.is_dir() else ()
        ordered = dict.fromkeys((*SYMPTOMS, *self._causes, DEBUGGING, MONITORING))
        there = _built_in() | {name for name in own if _NAME.fullmatch(name)}
        return (*(name for name in ordered if name in there), *sorted(there - ordered.keys()))

    def for_cause(self, cause_id: str) -> str:
        """The name of a cause's page, empty when it has none."""
        cause = self._causes.get(cause_id)
        return cause.guidance if cause else ""

    def for_symptom(self, symptom_id: str) -> str:
        """The name of a symptom's page, empty for a word that is no symptom."""
        return symptom_id if symptom_id in SYMPTOMS else ""

    def title(self, name: str) -> str:
        """A page's title, its name if there is no such page."""
        heading = self._text(name).partition("\n")[0]
        return heading.removeprefix("# ").strip() if heading.startswith("# ") else name

    def page(self, name: str) -> str:
        """A page as Markdown, with what the causes say about it; empty if there is none of that name."""
        text = self._text(name)
        if not text:
            return ""
        added = "".join(_of_cause(one) for one in self._causes.values() if one.guidance == name)
        if name in SYMPTOMS:
            added += self._of_symptom(name)
        return f"{text.rstrip()}\n{added}"

    def _text(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            return ""
        own = self._own_text(name)
        return own if own is not None else _built_in_text(name)

    def _own_text(self, name: str) -> str | None:
        if self._own is None:
            return None
        path = self._own / f"{name}.md"
        try:
            if not path.is_file() or path.stat().st_size > MAX_BYTES:
                return None
            return printable(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return None

    def _of_symptom(self, symptom: str) -> str:
        by_weight = sorted(
            (one for one in self._causes.values() if one.symptoms.get(symptom, 0.0) > 0),
            key=lambda one: -one.symptoms[symptom],
        )
        lines = [
            f"- [{one.title}]({one.guidance}.md) ({one.component}): {_first_sentence(one.summary)}" for one in by_weight
        ]
        return "\n## Causes that show like this, the likeliest first\n\n" + "\n".join(lines) + "\n" if lines else ""


def _of_cause(cause: Cause) -> str:
    parts = []
    for heading, text in (("Immediate fix", cause.immediate_fix), ("Long-term fix", cause.long_term_fix)):
        if text:
            parts.append(f"\n## {heading}\n\n{text}\n")
    prevention = cause.prevention
    if prevention is not None:
        parts.append(
            f"\n## Prevention\n\n- Add monitoring for {prevention.metric}.\n"
            f"- Set alert threshold for {prevention.condition}.\n- Add test case for {prevention.test_case}.\n",
        )
        if prevention.alert is not None:
            alert = prevention.alert
            expression = alert.expr.replace("{threshold}", f"{alert.default:g}")
            parts.append(f"\n```promql\n# {alert.name}, for {alert.hold}\n{expression}\n```\n")
    return "".join(parts)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?:]) ", text, maxsplit=1)[0].rstrip(":") if text else ""


@cache
def _built_in() -> frozenset[str]:
    folder = files(__package__) / "guidance"
    return frozenset(one.name.removesuffix(".md") for one in folder.iterdir() if one.name.endswith(".md"))


@cache
def _built_in_text(name: str) -> str:
    if name not in _built_in():
        return ""
    return (files(__package__) / "guidance" / f"{name}.md").read_text(encoding="utf-8")
