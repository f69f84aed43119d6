"""Raw text lines in, log entries out: severity, time, multi-line entries, and nothing unprintable or secret."""

from __future__ import annotations

from infdiag_tui.model import LogLine, Severity
from infdiag_tui.streams.log_formats import Parsed, parse_line
from infdiag_tui.streams.log_headers import find_header
from infdiag_tui.streams.log_runtime import unwrap
from infdiag_tui.streams.log_times import Stamp, Zone
from infdiag_tui.streams.log_tracebacks import TRACEBACK, Grouping
from infdiag_tui.text import clean, printable

MAX_LINE_CHARACTERS = 16_384
"""What is kept of one line; the rest is counted in `LogLine.cut_bytes`."""
MAX_ENTRY_LINES = 400
MAX_ENTRY_CHARACTERS = 65_536

# First characters that may continue a plain entry: indentation, closing brackets, "Caused by", "... 3 more".
_MAY_CONTINUE = frozenset(" \t}])C.S\x0b\x0c\xa0\u3000")


class _Entry:
    """The entry being put together."""

    __slots__ = ("at", "characters", "cut_bytes", "lines", "parsed", "received_at", "severity")

    def __init__(
        self, parsed: Parsed, severity: Severity, at: float | None, received_at: float, cut_bytes: int
    ) -> None:
        self.parsed = parsed
        self.lines = [parsed.text]
        self.characters = len(parsed.text)
        self.severity = severity
        self.at = at
        self.received_at = received_at
        self.cut_bytes = cut_bytes

    def add(self, text: str, cut_bytes: int) -> None:
        self.lines.append(text)
        self.characters += len(text) + 1
        self.cut_bytes += cut_bytes

    def is_full(self, more: int) -> bool:
        return len(self.lines) >= MAX_ENTRY_LINES or self.characters + more > MAX_ENTRY_CHARACTERS


class LineAssembler:
    """Puts one source's raw lines together to `LogLine` entries.

    The newest entry is held until the next line shows that it is complete; call `flush` when the source has been quiet
    for a moment (0.5 s, say). One assembler per container or file: it remembers where a traceback stands.

    Args:
        source: the file, or `namespace/pod/container`.
        previous: whether the lines are of the container's previous run.
        zone: turns times without a zone into Unix time; UTC is assumed without one.
    """

    def __init__(self, source: str, *, previous: bool = False, zone: Zone | None = None) -> None:
        self.source = source
        self.previous = previous
        self.zone = zone or Zone()
        self.last_stamp: Stamp | None = None
        """The newest time that a line stated by itself, for `Zone.calibrate`."""
        self._entry: _Entry | None = None
        self._grouping = Grouping()
        self._partial: list[str] = []
        self._partial_characters = 0

    @property
    def holds(self) -> bool:
        """True while an entry waits for its possible continuation."""
        return self._entry is not None or bool(self._partial)

    def feed(self, line: str, received_at: float, *, at: float | None = None, cut_bytes: int = 0) -> list[LogLine]:
        """The entries that `line` completes (usually the one before it).

        Args:
            line: one line as decoded, with or without its line end.
            received_at: Unix seconds when it was read.
            at: Unix seconds that the container runtime states; else the line's own time counts.
            cut_bytes: what the caller has already cut off its end.
        """
        line = line.rstrip("\r\n")
        if at is None and (inside := unwrap(line)) is not None:
            at = inside.at
            if inside.partial:
                return self._hold_part(inside.text, received_at, at, cut_bytes)
            line = inside.text
        if self._partial:
            line = self._joined(line)
        if len(line) > MAX_LINE_CHARACTERS:
            cut_bytes += _utf8_bytes(line[MAX_LINE_CHARACTERS:])
            line = line[:MAX_LINE_CHARACTERS]
        if not line.isprintable():
            line = _visible(line)
        if not line or line.isspace():
            self._grouping.blank()
            if cut_bytes and self._entry is not None:
                self._entry.cut_bytes += cut_bytes
            return []
        return self._place(line, received_at, at, cut_bytes)

    def flush(self) -> list[LogLine]:
        """The held entry, if any; a continuation that still comes becomes an entry of its own."""
        done: list[LogLine] = []
        if self._partial:
            done = self._place(self._joined(""), self._entry.received_at if self._entry else self._part_at, None, 0)
        if self._entry is not None:
            done.append(self._finished(self._entry))
            self._entry = None
        return done

    _part_at = 0.0

    def _hold_part(self, text: str, received_at: float, at: float | None, cut_bytes: int) -> list[LogLine]:
        """Keeps a piece of a line that the runtime has split; over-long ones are given out in pieces."""
        self._partial.append(text)
        self._partial_characters += len(text)
        self._part_at = received_at
        if self._partial_characters <= MAX_LINE_CHARACTERS:
            return []
        return self._place(_visible(self._joined("")), received_at, at, cut_bytes)

    def _joined(self, rest: str) -> str:
        whole = "".join(self._partial) + rest
        self._partial, self._partial_characters = [], 0
        return whole

    def _place(self, line: str, received_at: float, at: float | None, cut_bytes: int) -> list[LogLine]:
        """Appends a non-blank line to the held entry or begins a new one with it."""
        grouping, entry = self._grouping, self._entry
        if grouping.plain and line[0] in _MAY_CONTINUE and grouping.continues(line, headed=False):
            parsed = Parsed(line, Severity.ERROR if _is_group_traceback(line) else Severity.UNKNOWN)
            return self._continue(parsed, line, received_at, at, cut_bytes)
        parsed = parse_line(line, received_at)
        body = line[parsed.body :] if parsed.header else line
        if not body or body.isspace():
            grouping.blank()
            body = ""
        same_header = entry is None or parsed.header.strip() == entry.parsed.header.strip()
        if body.startswith(TRACEBACK) and entry is not None and same_header and self._explains(entry, parsed):
            grouping.start(body)
            return self._continue(parsed, body, received_at, at, cut_bytes)
        if not grouping.plain and same_header:
            headed = not parsed.header and (parsed.headed or parsed.severity is Severity.CRITICAL)
            if body and grouping.continues(body, headed=headed):
                return self._continue(parsed, body, received_at, at, cut_bytes)
            if not body and parsed.header:
                return []
        grouping.start(body)
        return self._begin(parsed, parsed.severity, received_at, at, cut_bytes)

    def _explains(self, entry: _Entry, parsed: Parsed) -> bool:
        """True when a traceback belongs to the message logged right before it."""
        logged = entry.parsed.headed and entry.severity is Severity.WARNING
        troubled = entry.severity.is_error or logged
        return (
            troubled and self._grouping.plain and not entry.parsed.access and (bool(parsed.header) or not parsed.headed)
        )

    def _continue(
        self, parsed: Parsed, text: str, received_at: float, at: float | None, cut_bytes: int
    ) -> list[LogLine]:
        failed = self._grouping.in_failure
        entry = self._entry
        if entry is None or entry.is_full(len(text)):
            severity = parsed.severity
            if failed or (entry is not None and severity is Severity.UNKNOWN):
                severity = entry.severity if entry is not None else Severity.ERROR
            return self._begin(parsed._replace(text=text), severity, received_at, at, cut_bytes)
        entry.add(text, cut_bytes)
        if (failed or parsed.severity is Severity.ERROR) and not entry.severity.is_error:
            entry.severity = Severity.ERROR
        return []

    def _begin(
        self, parsed: Parsed, severity: Severity, received_at: float, at: float | None, cut_bytes: int
    ) -> list[LogLine]:
        done = [] if self._entry is None else [self._finished(self._entry)]
        stamp = parsed.stamp
        if stamp is not None:
            self.last_stamp = stamp
            if at is None:
                at = self.zone.unix_s(stamp, received_at)
        self._entry = _Entry(parsed, severity, at, received_at, cut_bytes)
        return done

    def _finished(self, entry: _Entry) -> LogLine:
        text = clean(entry.lines[0] if len(entry.lines) == 1 else "\n".join(entry.lines))
        header_start, message_start = _header_span(text, entry)
        return LogLine(
            self.source,
            text,
            entry.severity,
            entry.received_at,
            entry.at,
            entry.cut_bytes,
            self.previous,
            header_start,
            message_start,
        )


def _header_span(text: str, entry: _Entry) -> tuple[int, int]:
    """Where in `text` (clean) the entry's own time and level stand; (0, 0) where the entry's fields do not hold them.

    It is looked for only now because cleaning moves what follows it.
    """
    if not entry.parsed.headed:
        return 0, 0
    first = text.partition("\n")[0]
    header = find_header(first)
    untold = (header.timed and entry.at is None) or (header.levelled and entry.severity is Severity.UNKNOWN)
    if untold or not first[header.end :].strip():
        return 0, 0
    return header.start, header.end


def _visible(line: str) -> str:
    """`line` printable, but with its tabs, which some formats separate their fields by."""
    if "\t" not in line:
        return printable(line)
    return printable(line.replace("\t", "\n")).replace("\n", "\t")


def _is_group_traceback(line: str) -> bool:
    return "Exception Group Traceback" in line and line.lstrip(" +|").startswith("Exception Group Traceback")


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
