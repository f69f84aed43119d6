"""Why a log file cannot be followed, in words for the operator."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

from infdiag_tui.model import SourceState
from infdiag_tui.text import one_line


class Trouble(NamedTuple):
    """A state with its reason and remedy."""

    state: SourceState
    reason: str
    remedy: str


def unsuitable(path: Path, info: os.stat_result) -> Trouble | None:
    """Why what is at `path` is no log file; None for a regular file."""
    name = one_line(str(path))
    if stat.S_ISREG(info.st_mode):
        return None
    if stat.S_ISDIR(info.st_mode):
        reason, remedy = f"{name} is a directory", "name the log files inside it in logs.files"
    else:
        kind = "a pipe" if stat.S_ISFIFO(info.st_mode) else "a device or socket"
        reason = f"{name} is {kind}, not a regular file"
        remedy = "let the server write to a file, or follow its pod's log instead"
    return Trouble(SourceState.UNAVAILABLE, reason, remedy)


def explain(path: Path, error: OSError, *, was_there: bool = False) -> Trouble:
    """What a failed look at `path` means. Blocks: it looks at symbolic links, owners and groups."""
    name = one_line(str(path))
    if isinstance(error, PermissionError):
        return Trouble(SourceState.FORBIDDEN, f"no permission to read {name}{_owner(path)}", _grant(path))
    if isinstance(error, FileNotFoundError):
        if was_there:
            reason = f"{name} was removed or moved and does not exist (yet)"
            remedy = "it is followed again as soon as it is created; the server may need a signal to reopen its log"
        elif path.is_symlink():
            target = one_line(str(path.readlink()))
            reason = f"{name} is a symbolic link to {target}, which does not exist (yet)"
            remedy = "it is followed as soon as that appears"
        else:
            reason = f"{name} does not exist (yet)"
            remedy = "it is followed as soon as it appears; check logs.files and that this is the server's machine"
        return Trouble(SourceState.UNAVAILABLE, reason, remedy)
    if isinstance(error, NotADirectoryError):
        return Trouble(SourceState.UNAVAILABLE, f"a part of the path {name} is no directory", "check logs.files")
    return Trouble(SourceState.UNAVAILABLE, f"{name} can't be read: {error.strerror or error}", "infdiag retries")


def _owner(path: Path) -> str:
    try:
        info = path.stat()
    except OSError:
        return ""
    return f" (mode {stat.S_IMODE(info.st_mode):04o}, owner {_user(info.st_uid)}, group {_group(info.st_gid)})"


def _grant(path: Path) -> str:
    me = _user(os.geteuid())
    try:
        info = path.stat()
    except OSError:
        return f"give {me} access to its folder, or start infdiag as a user who has it"
    grant = f"sudo setfacl -m u:{me}:r {one_line(str(path))}"
    if info.st_mode & stat.S_IRGRP:
        return f"start infdiag as a member of group {_group(info.st_gid)}, or: {grant}"
    return f"give {me} read access: {grant}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
