"""What one raw log line says about itself: its severity and time by its own format, and its readable text."""

from __future__ import annotations

import re
from typing import NamedTuple

from infdiag_tui.model import Severity
from infdiag_tui.streams import log_json
from infdiag_tui.streams.log_headers import (
    COMMON,
    KLOG,
    LETTER,
    NEXT_LEVEL,
    PREFIX,
    STAMP,
    START,
    SYSLOG,
    VLLM,
)
from infdiag_tui.streams.log_levels import BARE, LETTERS, by_syslog, by_word, unmistakable
from infdiag_tui.streams.log_times import Stamp, parse_any, parse_iso, parse_yearless


class Parsed(NamedTuple):
    """One line, understood.

    `headed` is True when the line has a time or level of its own and so begins an entry. `body` is where its message
    starts in `text`, `header` what identifies its header apart from the time, for loggers that repeat the header on
    every line of a traceback.
    """

    text: str
    severity: Severity
    stamp: Stamp | None = None
    headed: bool = False
    access: bool = False
    header: str = ""
    body: int = 0


_LATER_LEVEL = re.compile(
    rf"[\s\]|,:;-]{{0,8}}+(?:(?:\[[^\]\n]{{0,80}}\]|\([^)\n]{{0,80}}\)|[\w.:/@#-]{{1,80}})[\s|:,-]{{0,8}}){{1,3}}?"
    rf"(?<=[\s\]|:)-])(?:\[\s?(?P<boxed>[A-Za-z]{{3,11}})\s{{0,5}}\]|(?P<bare>{BARE})(?=[\s:|,\]-]|$))",
)
_PROSE = re.compile(r"(?i)\b(?:no|not|an?|the|any|got|zero|without|with|of|in|as|for|from|to|is|was|after|on|0)\b")
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_ACCESS = re.compile(r'HTTP/\d(?:\.\d)?"?\s(?:- )?(?P<status>\d{3})\b')
_FIRST_KEY = re.compile(r"[A-Za-z_@][\w.@-]{0,40}=")
_LOGFMT_LEVEL = re.compile(r'(?:^|\s)(?:level|lvl|severity|log_level|levelname|log\.level)="?(\w{1,11})\b')
_LOGFMT_TIME = re.compile(r'(?:^|\s)(?:ts|time|timestamp|t|@timestamp)=(?:"([^"]{8,40})"|([^\s"]{8,40}))')
_JSON_LEVEL = re.compile(r'"(?:level|severity|levelname|lvl)"\s{0,3}:\s{0,3}"(\w{1,11})"')


def parse_line(line: str, received_at: float, *, depth: int = 3) -> Parsed:
    """What `line` (one line, terminal escapes already gone) says about itself.

    `received_at` (Unix seconds) settles the year where the line states none. A level that the format states counts
    before any word of the message; only a 5xx status of an access line outranks it. Without a stated level the
    severity is `UNKNOWN`, save for lines that can mean only one thing. `depth` bounds formats within formats.
    """
    if depth == 0:
        return _parse_unheaded(line)
    first = line[:1]
    if first == "{":
        found = _parse_json(line, received_at, depth)
    elif first.isdigit():
        found = _parse_stamped(line, received_at, depth)
    elif first in "[(<":
        found = _parse_bracketed(line, received_at, depth)
    else:
        found = _parse_worded(line, received_at, depth)
    if "HTTP/" in line and first != "{" and (status := _ACCESS.search(line)):
        return _as_access(found, status["status"])
    return found


def _as_access(found: Parsed, status: str) -> Parsed:
    severity = found.severity
    if status[0] == "5":
        severity = Severity.CRITICAL if severity is Severity.CRITICAL else Severity.ERROR
    elif severity is Severity.UNKNOWN:
        severity = Severity.INFO
    return found._replace(severity=severity, access=True, headed=True)


def _parse_json(line: str, received_at: float, depth: int) -> Parsed:
    fields = log_json.load(line) if depth > 0 else None
    if fields is None:
        stated = _JSON_LEVEL.search(line, 0, 4096)  # cut off or broken: what it states early on still counts
        severity = by_word(stated[1]) if stated else None
        return Parsed(line, severity or Severity.UNKNOWN, headed=stated is not None)
    severity, stamp = log_json.severity(fields), log_json.stamp(fields)
    if severity is None:
        inner = log_json.message(fields)
        nested = parse_line(inner, received_at, depth=depth - 1) if inner and not inner.startswith("{") else None
        severity = nested.severity if nested else Severity.UNKNOWN
        stamp = stamp or (nested.stamp if nested else None)
        if severity is Severity.UNKNOWN and log_json.trace(fields):
            severity = Severity.ERROR
    return Parsed(log_json.readable(fields) or line, severity, stamp, headed=True)


def _parse_stamped(line: str, received_at: float, depth: int) -> Parsed:
    """A line that begins with a digit: a timestamp, an address of an access log, or just a number."""
    match = STAMP.match(line)
    if match is None:
        return _parse_common(line) or _parse_unheaded(line)
    rest = match.end()
    if line.startswith("{", rest + 1) and line.endswith("}"):
        inner = _parse_json(line[rest + 1 :], received_at, depth - 1)
        return inner._replace(stamp=inner.stamp or parse_iso(match[1]), headed=True)
    return Parsed(line, _level_after(line, rest) or Severity.UNKNOWN, parse_iso(match[1]), headed=True)


def _level_after(line: str, start: int) -> Severity | None:
    """The level in a header whose timestamp ends at `start`."""
    match = NEXT_LEVEL.match(line, start)
    if match and (severity := by_word(match["boxed"] or match["bare"] or match["lower"])):
        return severity
    match = LETTER.match(line, start)
    if match:
        return LETTERS[match["tf"] or match["ort"]]
    match = _LATER_LEVEL.match(line, start)
    if match and (match["boxed"] or not _PROSE.search(line, start, match.end())):
        return by_word(match["boxed"] or match["bare"])
    if _FIRST_KEY.match(line, start + 1) and (stated := _LOGFMT_LEVEL.search(line, start, start + 4096)):
        return by_word(stated[1])
    return unmistakable(line[start:].lstrip(" ]:-|"))


def _parse_bracketed(line: str, received_at: float, depth: int) -> Parsed:
    """`[timestamp] ...`, `[LEVEL] ...`, `<3>...`, or a process label before any other format."""
    if line[1:2].isdigit():
        if line[0] == "[" and (match := STAMP.match(line)):
            return Parsed(line, _level_after(line, match.end()) or Severity.UNKNOWN, parse_iso(match[1]), headed=True)
        if line[0] == "<" and SYSLOG.match(line):
            return _parse_syslog(line, received_at, depth)
    if match := START.match(line):
        severity = by_word(match["boxed"] or "")
        if severity:
            return Parsed(line, severity, _stamp_within(line, match.end()), headed=True)
    if match := PREFIX.match(line):
        found = parse_line(line[match.end() :], received_at, depth=depth - 1)
        return found._replace(text=line, header=match[0] + found.header, body=match.end() + found.body)
    return _parse_unheaded(line)


def _parse_worded(line: str, received_at: float, depth: int) -> Parsed:
    if line[:1] in "IWEF" and line[1:2].isdigit() and (match := KLOG.match(line)):
        month, day, clock = int(match["month"]), int(match["day"]), match["clock"]
        year = match["year"]
        stamp = (
            parse_iso(f"{year}-{month:02d}-{day:02d} {clock}")
            if year
            else parse_yearless(month, day, clock, received_at)
        )
        return Parsed(line, LETTERS[match["letter"]], stamp, headed=True, body=match.end())
    match = START.match(line)
    severity = by_word(match["bare"] or match["lower"] or "") if match else None
    if match and severity:
        if found := VLLM.match(line):
            stamp = parse_yearless(int(found["month"]), int(found["day"]), found["clock"], received_at)
            return Parsed(line, severity, stamp, headed=True, header=found["level"] + found["place"], body=found.end())
        critical = unmistakable(line)  # "fatal: ..." names itself as well
        return Parsed(line, critical or severity, _stamp_within(line, match.end()), headed=True)
    if _FIRST_KEY.match(line):
        return _parse_logfmt(line)
    if line[:3] in _MONTHS and SYSLOG.match(line):
        return _parse_syslog(line, received_at, depth)
    return _parse_common(line) or _parse_unheaded(line)


def _stamp_within(line: str, start: int) -> Stamp | None:
    """A timestamp directly behind the level."""
    if not (line[start : start + 12].strip(" :|[-\t")[:1].isdigit()):
        return None
    match = STAMP.search(line, start, start + 60)
    return parse_iso(match[1]) if match else None


def _parse_logfmt(line: str) -> Parsed:
    level, moment = _LOGFMT_LEVEL.search(line, 0, 4096), _LOGFMT_TIME.search(line, 0, 4096)
    severity = by_word(level[1]) if level else None
    stamp = parse_any(moment[1] or moment[2]) if moment else None
    return Parsed(line, severity or Severity.UNKNOWN, stamp, headed=severity is not None or stamp is not None)


def _parse_syslog(line: str, received_at: float, depth: int) -> Parsed:
    match = SYSLOG.match(line)
    if match is None or match["month"] not in _MONTHS:
        return _parse_unheaded(line)
    stamp = parse_yearless(_MONTHS[match["month"]], int(match["day"]), match["clock"], received_at)
    inner = parse_line(line[match.end() :], received_at, depth=depth - 1)
    severity = inner.severity
    if severity is Severity.UNKNOWN and match["pri"]:
        severity = by_syslog(int(match["pri"]))
    return Parsed(line, severity, stamp, headed=True)


def _parse_common(line: str) -> Parsed | None:
    """The common log format of nginx, Apache and others; only its time, the status is read with all access lines."""
    match = COMMON.match(line)
    if match is None or match[2] not in _MONTHS:
        return None
    day, month, year, clock, zone = match.groups()
    stamp = parse_iso(f"{year}-{_MONTHS[month]:02d}-{day}T{clock}{zone[:3]}:{zone[3:]}")
    return Parsed(line, Severity.UNKNOWN, stamp, headed=True)


def _parse_unheaded(line: str) -> Parsed:
    return Parsed(line, unmistakable(line) or Severity.UNKNOWN)
