"""The incident's folder: where it is, that only its owner may read it, and the program's own log in it."""

from __future__ import annotations

import fcntl
import logging
import logging.handlers
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from infdiag_tui.config.load import ConfigError

log = logging.getLogger(__name__)

LOG_NAME = "infdiag.log"
LOG_BYTES = 2_000_000
_claimed: dict[Path, int] = {}
"""Folders of this process and the open descriptors that hold their locks."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def create_folder(parent: Path | None, model_name: str, at: float) -> Path:
    """Makes a new folder for an incident and returns it.

    Args:
        parent: where incidents are kept; None: the user's state folder.
        model_name: what the incident is about; becomes part of the folder's name.
        at: when it began, Unix seconds.

    Raises:
        ConfigError: it cannot be made; the message says where and what to do.
    """
    base = parent if parent is not None else platformdirs.user_state_path("infdiag") / "incidents"
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{stamp}-{_UNSAFE.sub('-', model_name).strip('-.')[:60] or 'incident'}"
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        for attempt in range(1, 1000):
            folder = base / (name if attempt == 1 else f"{name}-{attempt}")
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise _unusable(base, error) from error
    raise ConfigError(f"{base}: a thousand incidents named {name} exist. Remove old ones.")


def use_folder(folder: Path) -> Path:
    """Makes `folder` if need be and returns it, for an operator who named it.

    Raises:
        ConfigError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / LOG_NAME
        probe.touch(mode=0o600)
    except OSError as error:
        raise _unusable(folder, error) from error
    return folder


def claim(folder: Path) -> None:
    """Keeps other runs of infdiag out of the folder until this process ends: two would take turns at one report.

    Raises:
        ConfigError: another run is at work there.
    """
    if folder in _claimed:
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(
            f"{folder}: another infdiag is at work in this folder. End that one, or name another with --out DIR.",
        ) from None
    except OSError as error:
        # A file system without locks: the report's writer still keeps a copy of what it did not write itself.
        log.warning("%s cannot be locked: %s", folder, error)
    _claimed[folder] = handle


class _LogFile(logging.handlers.RotatingFileHandler):
    """Drops what cannot be written: logging would print a traceback onto the terminal for each line."""

    def _open(self) -> Any:
        """Only the owner may read it, also the new one after a rotation."""
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(handle, self.mode, encoding=self.encoding, errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name and signature
        """On a full disk the failed save of the draft, which is shown, says the same."""


def log_to(folder: Path) -> logging.Handler:
    """Sends the program's own log messages to a bounded file in the folder; they never reach the screen."""
    handler = _LogFile(folder / LOG_NAME, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    return handler


def _unusable(place: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{place}: the incident's folder cannot be made ({error.strerror}). "
        "Name another with --out DIR, or set incidents_dir in the config.",
    )
