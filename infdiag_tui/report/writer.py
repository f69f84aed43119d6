"""Writes a file so that a reader, a crash or a full disk never meets half of it."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

_MOST_ASIDE = 1_000
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system without hard links says."""


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


_Identity = tuple[int, int, int]


class DraftFile:
    """The draft's file: saves from several threads, never an older version over a newer one.

    What it did not write itself is never overwritten: a report of an earlier run in the same folder, or one that the
    operator changed with another editor, is kept beside it under the time of its last change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._saved = -1
        self._written: _Identity | None = None

    def save(self, text: str, version: int) -> None:
        """Writes this version unless it, or a newer one, is already there.

        Raises:
            OSError: not written; what was there before is whole.
        """
        with self._lock:
            found = self._found()
            if version < self._saved or (version == self._saved and found is not None):
                return
            if found is not None and found != self._written:
                self._keep_aside()
            write_atomically(self.path, text)
            self._written = self._found()
            self._saved = version

    def _found(self) -> _Identity | None:
        """What tells the file at the path from any other, and from itself once changed; None when there is none."""
        try:
            info = self.path.stat()
        except FileNotFoundError:
            return None
        return (info.st_ino, info.st_mtime_ns, info.st_size)

    def _keep_aside(self) -> None:
        changed = datetime.fromtimestamp(self.path.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%SZ")
        for number in range(1, _MOST_ASIDE):
            suffix = "" if number == 1 else f"-{number}"
            aside = self.path.with_name(f"{self.path.stem}-{changed}{suffix}{self.path.suffix}")
            try:
                os.link(self.path, aside, follow_symlinks=False)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                # The report is then missing for the moment between two renames.
                if aside.exists():
                    continue
                self.path.rename(aside)
            return
        raise OSError(errno.EEXIST, f"a thousand reports of {changed} are kept beside it")
