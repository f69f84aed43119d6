"""Reads files that others wrote: bounded, and never waiting for what is no file."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NoRegularFileError(Exception):
    """It is no regular file, or too large; the message says which, to be put behind its name."""


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file. Blocking.

    Raises:
        NoRegularFileError: it is a pipe, a device, a folder, or larger than `max_bytes`.
        OSError: it cannot be opened or read.
    """
    # A pipe opened otherwise would keep its reader waiting for ever.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NoRegularFileError("is no regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(handle)
    if len(content) > max_bytes:
        raise NoRegularFileError(f"is larger than {max_bytes:,} bytes")
    return content
