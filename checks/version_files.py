"""Model files: their timestamps, sizes and hashes, on this machine, in the model's container or on its host."""

from __future__ import annotations

import asyncio
import glob
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checks.base import CheckError, Remote
from infdiag_tui.text import clean, one_line

MAX_FILES = 100
_CHUNK_BYTES = 4 * 1024 * 1024

REMOTE_SCRIPT = (
    'IFS=; for g in "$@"; do for f in $g; do [ -f "$f" ] || continue; '
    'printf \'%s\\t%s\\t%s\\t%s\\n\' "$(md5sum < "$f" | cut -c1-32)" "$(sha256sum < "$f" | cut -c1-64)" '
    '"$(stat -L -c %Y:%s "$f")" "$f"; done; done'
)
"""For a POSIX shell with coreutils or BusyBox: one line per file, nothing written. Patterns come as arguments."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file. Hashes are empty where it was too large or could not be read; `note` says why."""

    path: str
    place: str
    """`local`, `container` or `host`."""
    size_bytes: int | None = None
    modified_at: float | None = None
    md5: str = ""
    sha256: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the check's result."""
        return asdict(self)


async def local_files(
    patterns: Sequence[str], max_bytes: int, on_file: Callable[[str], None] = lambda _path: None
) -> list[ModelFile]:
    """The files that these globs name, hashed on a thread; cancelling ends it within one chunk."""
    stop = threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> list[ModelFile]:
        made: list[ModelFile] = []
        for path in _paths(patterns):
            if stop.is_set():
                break
            loop.call_soon_threadsafe(on_file, path.name)
            made.append(_file(path, max_bytes, stop))
        return made

    try:
        return await asyncio.to_thread(work)
    finally:
        stop.set()


def _paths(patterns: Sequence[str]) -> Iterator[Path]:
    seen: set[str] = set()
    for pattern in patterns:
        for name in sorted(glob.iglob(str(Path(pattern).expanduser()), recursive=True)):  # noqa: PTH207 - absolute ones
            if name not in seen and not Path(name).is_dir():
                seen.add(name)
                yield Path(name)
            if len(seen) >= MAX_FILES:
                return


def _file(path: Path, max_bytes: int, stop: threading.Event) -> ModelFile:
    shown = one_line(clean(str(path)))
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return ModelFile(shown, "local", note="not a regular file")
        size, modified = about.st_size, about.st_mtime
        if size > max_bytes:
            return ModelFile(shown, "local", size, modified, note="not hashed: larger than --max-bytes")
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        with path.open("rb") as file:
            while (chunk := file.read(_CHUNK_BYTES)) and not stop.is_set():
                md5.update(chunk)
                sha256.update(chunk)
            after = os.fstat(file.fileno())
    except OSError as error:
        return ModelFile(shown, "local", note=one_line(clean(f"cannot be read: {error.strerror}")))
    changed = (after.st_size, after.st_mtime_ns) != (about.st_size, about.st_mtime_ns)
    note = "changed while it was read" if changed else ""
    return ModelFile(shown, "local", size, modified, md5.hexdigest(), sha256.hexdigest(), note)


async def remote_files(remote: Remote, patterns: Sequence[str], timeout_s: float) -> list[ModelFile]:
    """The same beside the model.

    Raises:
        CheckError: it could not be run there.
    """
    code, out, said = await remote.run(("sh", "-c", REMOTE_SCRIPT, "sh", *patterns), timeout_s=timeout_s)
    if code:
        reason = one_line(clean(said.decode("utf-8", "replace"))) or f"exit code {code}"
        raise CheckError(f"model files {remote.where} cannot be read: {reason}")
    lines = out.decode("utf-8", "replace").splitlines()[:MAX_FILES]
    return [file for line in lines if (file := _remote_file(line, remote.kind))]


def _remote_file(line: str, place: str) -> ModelFile | None:
    parts = line.split("\t", 3)
    if len(parts) != 4:
        return None
    md5, sha256, about, path = parts
    modified, _, size = about.partition(":")
    return ModelFile(
        one_line(clean(path)),
        place,
        int(size) if size.isdecimal() else None,
        float(modified) if modified.isdecimal() else None,
        md5 if _is_hash(md5, 32) else "",
        sha256 if _is_hash(sha256, 64) else "",
        "" if _is_hash(sha256, 64) or _is_hash(md5, 32) else "no md5sum or sha256sum there",
    )


def _is_hash(text: str, length: int) -> bool:
    return len(text) == length and all(character in "0123456789abcdef" for character in text)
