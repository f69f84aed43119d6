"""Which log entries are shown: a substring or /regex/, its inverse, a least severity and a source; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from infdiag_tui.model import LogLine, Severity

_SEARCHED_CHARS = 4_000
"""A regular expression looks at this much of an entry: one over a line of megabytes would hold up the screen."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A filter over log entries.

    `text` is a substring (case does not matter), `/…/` a regular expression, and a leading `!` turns either around. An
    expression that cannot be compiled leaves `error` set and hides nothing.
    """

    text: str = ""
    least: Severity = Severity.UNKNOWN
    source: str = ""
    """Show only sources that contain this."""
    inverse: bool = field(init=False, default=False)
    pattern: re.Pattern[str] | None = field(init=False, default=None)
    error: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Compiles the text."""
        wanted = self.text.strip()
        inverse = wanted.startswith("!")
        wanted = wanted[1:].strip() if inverse else wanted
        if not wanted:
            return
        is_regex = len(wanted) > 2 and wanted.startswith("/") and wanted.endswith("/")
        try:
            pattern = re.compile(wanted[1:-1] if is_regex else re.escape(wanted), re.IGNORECASE)
        except re.error as problem:
            object.__setattr__(self, "error", f"no regular expression: {problem}")
            return
        object.__setattr__(self, "inverse", inverse)
        object.__setattr__(self, "pattern", pattern)

    @property
    def is_open(self) -> bool:
        """True when every entry is shown."""
        return self.pattern is None and self.least is Severity.UNKNOWN and not self.source

    def accepts(self, entry: LogLine) -> bool:
        """True when `entry` is to be shown."""
        if self.least is not Severity.UNKNOWN and entry.severity.rank < self.least.rank:
            return False
        if self.source and self.source not in entry.source:
            return False
        if self.pattern is None:
            return True
        found = self.pattern.search(entry.text, 0, _SEARCHED_CHARS) is not None
        return found is not self.inverse

    def describe(self) -> str:
        """The filter in words, empty when it is open."""
        parts = []
        if self.least is not Severity.UNKNOWN:
            parts.append(f"{self.least} and worse")
        if self.source:
            parts.append(f"from {self.source}")
        if self.pattern is not None:
            parts.append(f"{'without' if self.inverse else 'with'} {self.text.strip().removeprefix('!').strip()}")
        return ", ".join(parts)
