"""What log lines begin with: the headers of known formats, and where in a line its own time and level stand."""

from __future__ import annotations

import re
from typing import NamedTuple

from infdiag_tui.streams.log_levels import BARE
from infdiag_tui.streams.log_times import parse_any, parse_iso

STAMP = re.compile(
    r"\[?(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d\b| UTC\b)?)"
    r"(?: [TDP]P\d{1,4}){0,3}",
)
NEXT_LEVEL = re.compile(
    rf"[\s\]|,:;-]{{0,8}}+(?:[\[<(]\s?(?P<boxed>[A-Za-z]{{3,11}})\s{{0,5}}[\]>)]"
    rf"|(?P<bare>{BARE})(?=[\s:|,\]-]|$)"
    r"|(?P<lower>[A-Za-z]{3,9})(?=:\s|\t|\s{0,4}\|))",
)
LETTER = re.compile(
    r"[\]:]{0,2}\s(?:(?P<tf>[IWEF])\s{1,4}(?:\d{1,8}\s)?(?P<place>[\w./+-]{1,200}:\d{1,7}[\]:])"
    r"|\[(?P<ort>[VIWEF]):onnxruntime)",
)
START = re.compile(
    rf"(?:[\[<(]\s?(?P<boxed>[A-Za-z]{{3,11}})\s{{0,5}}[\]>)]|(?P<bare>{BARE})(?=[\s:|\]-]|$)|(?P<lower>[A-Za-z]{{3,9}}):\s)",
)
KLOG = re.compile(
    r"(?P<letter>[IWEF])(?P<year>\d{4})?(?P<month>\d\d)(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d(?:\.\d{1,9})?)"
    r"\s+\d{1,10}\s+(?P<place>[^\s:\]]{1,200}:\d{1,7}\]) ?",
)
VLLM = re.compile(
    r"(?P<level>[A-Z]{4,8}) (?P<month>\d\d)-(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d)(?:\.\d{1,9})? "
    r"(?P<place>\[[^\]\s]{1,120}\]) ?",
)
PREFIX = re.compile(r"(?:\[(?:rank|default)\d{1,6}\]:|\([\w./=:@ -]{1,80}\)) ?")
SYSLOG = re.compile(
    r"(?:<(?P<pri>\d{1,3})>)?(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<clock>\d\d:\d\d:\d\d) "
    r"[^\s]{1,80} [\w./@-]{1,80}(?:\[\d{1,10}\])?: ",
)
COMMON = re.compile(
    r"[\w.:-]{1,80} [^\s]{1,80} [^\s]{1,80} \[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\]",
)

_TOLD = frozenset(
    (
        *("trace", "debug", "dbg", "verbose", "info", "information", "notice", "inf"),
        *("warn", "warning", "wrn", "error", "err", "severe", "critical", "crit", "fatal"),
    ),
)
"""Level words that say no more than a severity does; "panic" or "success" do, and stay where they are."""
_TABBED = re.compile(r"\s{4}(?P<boxed>[A-Za-z]{3,9})\s{4}")  # the tabs around it became spaces
_NUMBER = re.compile(r"[\s\]|,:;-]{0,8}+(?:\[\d{1,10}\]|\d{1,10}(?=\s))")
_SEPARATORS = re.compile(r":?(?:[\s|,;\]]|:(?=\s)|-{1,3}(?=\s))*+")
_PAIR = re.compile(
    r'(?:(?:level|lvl|severity|log_level|levelname|log\.level)="?(?P<level>\w{1,11})"?'
    r'|(?:ts|time|timestamp|t|@timestamp)=(?:"(?P<quoted>[^"\n]{8,40})"|(?P<time>[^\s"]{8,40})))\s+',
)
_LABELS = 3
"""Labels of processes before a header that are passed over, as many as `parse_line` does."""


class Header(NamedTuple):
    """A line's own time and level: `line[start:end]`; empty when none was found.

    Between them and behind them only separators and the number of a thread or process are included.
    """

    start: int = 0
    end: int = 0
    timed: bool = False
    levelled: bool = False


def find_header(line: str) -> Header:
    """Where the time and level stand that `line` (printable) begins with; labels of processes before them are left."""
    start = 0
    for _ in range(_LABELS):
        if line[start : start + 1] not in ("(", "[") or not (label := PREFIX.match(line, start)):
            break
        start = label.end()
    return (
        _known(line, start)
        or _stamp_first(line, start)
        or _level_first(line, start)
        or _pairs(line, start, Header(start, start))
        or _common(line, start)
        or Header()
    )


def _known(line: str, start: int) -> Header | None:
    """Formats whose header has one fixed shape."""
    first = line[start : start + 1]
    if first.isupper() and (found := KLOG.match(line, start) or VLLM.match(line, start)):
        return Header(start, found.start("place"), timed=True, levelled=True)
    if (first.isupper() or first == "<") and (found := SYSLOG.match(line, start)):
        return Header(start, found.end("clock") + 1, timed=True, levelled=found["pri"] is not None)
    return None


def _stamp_first(line: str, start: int) -> Header | None:
    found = STAMP.match(line, start) if line[start : start + 1].isdigit() or line.startswith("[", start) else None
    if found is None or parse_iso(found[1]) is None:
        return None
    end = found.end(1)
    if found.end() > end:  # "[TIME TP0]": the rank stays, and with it its bracket
        return Header(found.start(1), end + 1, timed=True)
    level_end = _level_end(line, end)
    if level_end is None and (number := _NUMBER.match(line, end)):
        level_end = _level_end(line, number.end())
    if level_end is not None:
        return Header(start, _behind(line, level_end), timed=True, levelled=True)
    stamped = Header(start, _behind(line, end), timed=True)
    return _pairs(line, stamped.end, stamped) or stamped


def _level_end(line: str, start: int) -> int | None:
    """Where the level that follows a time ending at `start` ends."""
    found = NEXT_LEVEL.match(line, start) or _TABBED.match(line, start)
    if found and _is_told(found):
        return found.end()
    found = LETTER.match(line, start)
    return found.start("place") if found and found["place"] else None


def _level_first(line: str, start: int) -> Header | None:
    found = START.match(line, start)
    if found is None or not _is_told(found):
        return None
    end = _behind(line, found.end())
    stamp = STAMP.match(line, end)
    if stamp is None or stamp.end() > stamp.end(1) or parse_iso(stamp[1]) is None:
        return Header(start, end, levelled=True)
    return Header(start, _behind(line, stamp.end()), timed=True, levelled=True)


def _pairs(line: str, place: int, header: Header) -> Header | None:
    """`header` with the `time=... level=...` from `place` on; None if there are none."""
    found = _PAIR.match(line, place)
    while found:
        if found["level"]:
            if found["level"].lower() not in _TOLD:
                break
            header = header._replace(levelled=True)
        elif parse_any(found["quoted"] or found["time"]) is None:
            break
        else:
            header = header._replace(timed=True)
        header = header._replace(end=found.end())
        found = _PAIR.match(line, header.end)
    return header if header.end > place else None


def _common(line: str, start: int) -> Header | None:
    """The time in brackets within a line of the common log format."""
    found = COMMON.match(line, start) if " [" in line else None
    return Header(found.start(1) - 1, _behind(line, found.end()), timed=True) if found else None


def _behind(line: str, end: int) -> int:
    """Where what follows the separators at `end` begins."""
    found = _SEPARATORS.match(line, end)
    return found.end() if found else end


def _is_told(found: re.Match[str]) -> bool:
    return found[found.lastgroup or 0].lower() in _TOLD
