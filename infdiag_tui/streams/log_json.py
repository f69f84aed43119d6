"""Structured log lines: one JSON object per line, of the many dialects that loggers speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from infdiag_tui.model import Severity
from infdiag_tui.streams.log_levels import by_pino, by_python, by_syslog, by_word
from infdiag_tui.streams.log_times import Stamp, parse_any

_LEVEL_KEYS = ("level", "severity", "levelname", "lvl", "log.level", "severityText", "severity_text", "loglevel")
_TIME_KEYS = ("@timestamp", "timestamp", "ts", "time", "asctime", "datetime", "date", "t")
_MESSAGE_KEYS = ("message", "msg", "event", "short_message", "log", "text", "body")
_TRACE_KEYS = (
    "exc_info",
    "exception",
    "exc_text",
    "traceback",
    "stack_trace",
    "stacktrace",
    "stack",
    "error.stack_trace",
)
_STATUS_KEYS = ("status", "status_code", "http_status", "response_status", "http.status_code")
_REQUEST_KEYS = ("method", "request", "request_method", "http_method", "http.method", "path", "uri", "url")
_FIELDS = 24
_FIELD_CHARACTERS = 400


def load(line: str) -> dict[str, Any] | None:
    """The object that `line` is, None if it isn't one."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or not found:
        return None
    record = found.get("record")
    if isinstance(record, dict) and isinstance(record.get("level"), dict):  # loguru's serialize=True
        return _from_loguru(record)
    return found


def severity(fields: Mapping[str, Any]) -> Severity | None:
    """The severity that the object states, None if it states none."""
    if _is_failed_request(fields):
        return Severity.ERROR
    for key in _LEVEL_KEYS:
        value = fields.get(key)
        if isinstance(value, str) and (found := by_word(value)):
            return found
    nested = fields.get("log")
    if isinstance(nested, dict) and isinstance(nested.get("level"), str) and (found := by_word(nested["level"])):
        return found
    return _by_number(fields)


def stamp(fields: Mapping[str, Any]) -> Stamp | None:
    """The time that the object states, None if it states none."""
    for key in _TIME_KEYS:
        if key in fields and (found := parse_any(fields[key])):
            return found
    return None


def message(fields: Mapping[str, Any]) -> str:
    """The message alone, empty if there is none."""
    for key in _MESSAGE_KEYS:
        value = fields.get(key)
        if isinstance(value, str) and value:
            return value.rstrip("\r\n")
    return ""


def trace(fields: Mapping[str, Any]) -> str:
    """The traceback or stack that the object carries, empty if none."""
    for key in _TRACE_KEYS:
        value = fields.get(key)
        if isinstance(value, str) and "\n" in value.strip():
            return value.strip("\r\n")
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return "".join(value).strip("\r\n")
    return ""


def readable(fields: Mapping[str, Any]) -> str:
    """The object as an operator wants to read it: message, other fields as `key=value`, the traceback below."""
    text, tail = message(fields), trace(fields)
    parts = [text] if text else []
    shown = 0
    for key, value in fields.items():
        if key in _LEVEL_KEYS or key in _TIME_KEYS or value is None or value == "":
            continue
        if isinstance(value, str) and (value.rstrip("\r\n") == text or (tail and value.strip("\r\n") == tail)):
            continue
        if isinstance(value, list) and tail and key in _TRACE_KEYS:
            continue
        if shown == _FIELDS:
            parts.append("…")
            break
        parts.append(f"{key}={_plain(value)}")
        shown += 1
    head = " ".join(parts)
    return f"{head}\n{tail}" if tail else head


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    if len(text) > _FIELD_CHARACTERS:
        text = text[: _FIELD_CHARACTERS - 1] + "…"
    return f'"{text}"' if isinstance(value, str) and any(character.isspace() for character in text) else text


def _is_failed_request(fields: Mapping[str, Any]) -> bool:
    if not any(key in fields for key in _REQUEST_KEYS):
        return False
    for key in _STATUS_KEYS:
        value = fields.get(key)
        number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) == 3 else value
        if isinstance(number, int) and 500 <= number <= 599:
            return True
    return False


def _by_number(fields: Mapping[str, Any]) -> Severity | None:
    """Numeric levels mean different things to different loggers; without a sign of which, none is assumed."""
    levelno, level = fields.get("levelno"), fields.get("level")
    if isinstance(levelno, int) and not isinstance(levelno, bool):
        return by_python(levelno)
    if not isinstance(level, int) or isinstance(level, bool):
        return None
    if "pid" in fields and "hostname" in fields:
        return by_pino(level)
    if "short_message" in fields and 0 <= level <= 7:
        return by_syslog(level)
    return None


def _from_loguru(record: Mapping[str, Any]) -> dict[str, Any]:
    moment = record.get("time")
    found: dict[str, Any] = {
        "level": record["level"].get("name"),
        "message": record.get("message"),
        "logger": record.get("name"),
    }
    if isinstance(moment, dict):
        found["timestamp"] = moment.get("timestamp")
    if isinstance(record.get("exception"), dict):
        found["exception"] = f"{record['exception'].get('type')}: {record['exception'].get('value')}"
    return found
