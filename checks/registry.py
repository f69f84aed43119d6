"""Which checks there are, ours and those that other packages bring as entry points."""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from checks.base import Check

log = logging.getLogger(__name__)

BUILT_IN = (
    "reproduce",
    "load",
    "shadow",
    "infrastructure",
    "stages",
    "profile",
    "memory",
    "drift",
    "predictions",
    "labels",
    "pipeline",
    "version",
    "baseline",
)
"""Modules of this package with a `CHECK`, in the order of the protocol's steps."""

ENTRY_POINTS = "infdiag.checks"


@cache
def all_checks() -> dict[str, Check[Any]]:
    """Every check by name; another package's broken one is left out and logged."""
    found: dict[str, Check[Any]] = {}
    for name in BUILT_IN:
        check: Check[Any] = import_module(f"checks.{name}").CHECK
        found[check.name] = check
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            check = entry.load()
            found.setdefault(check.name, check)
        except Exception:
            log.exception("the check of entry point %s cannot be loaded", entry.name)
    return found
