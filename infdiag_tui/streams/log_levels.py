"""The words that log formats use for levels, and the few lines whose meaning needs no level."""

from __future__ import annotations

import re

from infdiag_tui.model import Severity

_WORDS = {
    Severity.DEBUG: "trace debug dbg fine finer finest verbose debug1 debug2 debug3 debug4 debug5 trc",
    Severity.INFO: "info information informational notice inf success config log",
    Severity.WARNING: "warn warning wrn",
    Severity.ERROR: "error err severe exception",
    Severity.CRITICAL: "critical crit fatal panic dpanic emerg emergency alert ftl",
}
LEVELS = {word: severity for severity, words in _WORDS.items() for word in words.split()}
"""Level words in lower case."""

LETTERS = {
    "T": Severity.DEBUG,
    "V": Severity.DEBUG,
    "D": Severity.DEBUG,
    "I": Severity.INFO,
    "N": Severity.INFO,
    "W": Severity.WARNING,
    "E": Severity.ERROR,
    "C": Severity.CRITICAL,
    "F": Severity.CRITICAL,
}
"""One-letter levels of klog, glog, TensorFlow and ONNX Runtime."""

_SYSLOG = (
    Severity.CRITICAL,
    Severity.CRITICAL,
    Severity.CRITICAL,
    Severity.ERROR,
    Severity.WARNING,
    Severity.INFO,
    Severity.INFO,
    Severity.DEBUG,
)

BARE = "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|SEVERE|CRIT(?:ICAL)?|FATAL|ALERT|EMERG(?:ENCY)?|PANIC"
"""Levels as they stand bare in a header, in capitals."""


def by_word(word: str) -> Severity | None:
    """The severity that a level word or letter of any case names, None for any other word."""
    stripped = word.strip()
    return LEVELS.get(stripped.lower()) or (LETTERS.get(stripped.upper()) if len(stripped) == 1 else None)


def by_syslog(number: int) -> Severity:
    """The severity of a syslog level from 0 (emergency) to 7 (debug); the lowest three bits of a PRI value count."""
    return _SYSLOG[number & 7]


def by_python(number: int) -> Severity:
    """The severity of a Python `levelno`: 10 is debug, 50 critical."""
    return _by_tens(number, 10)


def by_pino(number: int) -> Severity:
    """The severity of a pino or bunyan level: 20 is debug, 60 fatal."""
    return _by_tens(number, 20)


def _by_tens(number: int, debug: int) -> Severity:
    steps = (Severity.DEBUG, Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL)
    return steps[min(max((number - debug) // 10, 0), len(steps) - 1)]


_CRITICAL_STARTS = (
    "Segmentation fault",
    "Fatal Python error",
    "panic:",
    "fatal error:",
    "fatal:",
    "FATAL:",
    "Aborted",
    "Bus error",
    "Illegal instruction",
    "terminate called after throwing",
    "*** SIG",
    "*** Aborted",
    "Out of memory: Kill",
)
_ERROR_STARTS = (
    "Traceback (most recent call last)",
    "CUDA error",
    "CUDA out of memory",
    "Exception in ",
    "Exception ignored in",
    "NVRM: Xid",
    "[ONNXRuntimeError]",
    "Unhandled exception",
)
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*[A-Z]\w*(?:Error|Exception)(?::\s|:?$)|(?:Runtime|OS|IO|Key|Value)Error\b")
_PYTHON_WARNING = re.compile(r"[^\s:]{1,300}:\d{1,7}: \w{0,60}Warning: ")
_RUST_PANIC = re.compile(r"thread '[^']{0,80}' (?:\(\d+\) )?panicked at ")
_NCCL_WARN = re.compile(r"[\w.-]{1,80}:\d{1,8}:\d{1,8} \[\d{1,3}\] (?:[\w:.-]{1,40} )?NCCL WARN ")


def unmistakable(line: str) -> Severity | None:
    """The severity of a line that states no level but can mean only one thing; None for all other lines."""
    if line.startswith(_CRITICAL_STARTS) or line == "Killed":
        return Severity.CRITICAL
    if line.startswith(_ERROR_STARTS) or line.lstrip(" +|").startswith("Exception Group Traceback (most recent call"):
        return Severity.ERROR
    if ("Error" in line or "Exception" in line) and _EXCEPTION.match(line):
        return Severity.ERROR
    if "panicked at" in line and _RUST_PANIC.match(line):
        return Severity.CRITICAL
    if "Warning: " in line and _PYTHON_WARNING.match(line):
        return Severity.WARNING
    if "NCCL WARN" in line and _NCCL_WARN.match(line):
        return Severity.WARNING
    return None
