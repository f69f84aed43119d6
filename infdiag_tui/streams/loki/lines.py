"""Loki's entries as log lines: one assembler for each stream, named as the pods' own logs are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from infdiag_tui.model import LogLine
from infdiag_tui.streams.log_assembler import LineAssembler
from infdiag_tui.streams.log_runtime import unwrap
from infdiag_tui.streams.loki.client import Entry, Labels
from infdiag_tui.text import clean, one_line

MOST_SOURCES = 300
"""Streams told apart; a selector that meets more is too wide, and the rest share one name."""
_NAMES = (("namespace", "k8s_namespace_name"), ("pod", "k8s_pod_name"), ("container", "k8s_container_name"))
_OTHERS = ("service_name", "app", "job", "filename", "host", "instance")
_NS = 1_000_000_000


def source_of(labels: Labels) -> str:
    """`namespace/pod/container` where the labels tell, else what they do tell, printable."""
    known = dict(labels)
    parts = [next((known[name] for name in names if known.get(name)), "") for names in _NAMES]
    if parts[1]:
        return _named("/".join(part for part in parts if part))
    named = [known[name] for name in _OTHERS if known.get(name)]
    return _named(" ".join(named[:2]) or ", ".join(f"{name}={text}" for name, text in labels[:3]) or "loki")


def _named(text: str) -> str:
    return one_line(clean(text), 200)


class Lines:
    """Puts entries together to log lines (tracebacks come line by line), for each stream on its own."""

    def __init__(self) -> None:
        self._assemblers: dict[str, LineAssembler] = {}
        self._fed: set[str] = set()

    def feed(self, entries: Iterable[Entry], received_at: float) -> Iterator[LogLine]:
        """The log lines that these entries complete; the newest of each stream is held back for what may follow."""
        for entry in entries:
            source = source_of(entry.labels)
            if source not in self._assemblers and len(self._assemblers) >= MOST_SOURCES:
                source = "loki (further streams)"
            assembler = self._assemblers.setdefault(source, LineAssembler(source))
            self._fed.add(source)
            for line in entry.line.split("\n"):
                # A line that still bears the container runtime's wrapping states its time more truly than Loki.
                at = None if unwrap(line) is not None else entry.at_ns / _NS
                yield from assembler.feed(line, received_at, at=at)

    def settle(self) -> Iterator[LogLine]:
        """The held lines of streams that were quiet since the last call."""
        for source, assembler in self._assemblers.items():
            if source not in self._fed and assembler.holds:
                yield from assembler.flush()
        self._fed.clear()
