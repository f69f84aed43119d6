"""What a bug report needs: versions, system and terminal. Nothing of it is secret."""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from infdiag_tui import __version__
from infdiag_tui.text import one_line

_DISTRIBUTION = "infdiag-tui"
_TERMINAL = ("TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION")
_INSIDE = {"TMUX": "tmux", "STY": "screen", "SSH_CONNECTION": "SSH", "KUBERNETES_SERVICE_HOST": "a pod"}


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Each fact by its name, in the order to print them."""
    given = os.environ if environ is None else environ
    size = shutil.get_terminal_size(fallback=(0, 0))
    inside = [word for name, word in _INSIDE.items() if given.get(name)]
    terminal = [f"{name}={one_line(given[name], 60)}" for name in _TERMINAL if given.get(name)]
    facts = {
        "infdiag": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()}, {one_line(sys.executable, 200)})",
        "system": f"{_system()}, {platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        "terminal": ", ".join(terminal) or "none",
        "size": f"{size.columns}x{size.lines}" if size.columns else "unknown",
        "inside": ", ".join(inside) or "none of tmux, screen, SSH, a pod",
        "encoding": f"{locale.getpreferredencoding(do_setlocale=False)}, output {sys.stdout.encoding}",
    }
    return {**facts, **{f"package {name}": found for name, found in packages().items()}}


def packages() -> dict[str, str]:
    """The versions of the packages that infdiag depends on, `missing` for one that is not there."""
    try:
        stated = requires(_DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}  # run from a folder that was never installed
    found = {}
    for line in stated:
        if "extra ==" in line:
            continue
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
