"""Writes a file so that a reader, a crash or a full disk never meets half of it."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replaces `path` with `text` (UTF-8, mode 0600): temporary file beside it, fsync, rename, fsync of the folder.

    Raises:
        OSError: the old file is then still whole.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class DraftFile:
    """The draft's file: saves from several threads, never an older version over a newer one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._saved = -1

    def save(self, text: str, version: int) -> None:
        """Writes this version unless it, or a newer one, is already there.

        Raises:
            OSError: not written; what was there before is whole.
        """
        with self._lock:
            if version > self._saved:
                write_atomically(self.path, text)
                self._saved = version
