"""Runs every benchmark, or those that are named, and writes what it measured to benchmarks/results.md.

python -m benchmarks                    # all, into a new file
python -m benchmarks load_agreement     # this one; the other figures stay
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import answering, load_agreement, memory, running, signatures, start_up
from infdiag_tui import __version__

BENCHES = {
    "start_up": start_up,
    "running": running,
    "answering": answering,
    "memory": memory,
    "load_agreement": load_agreement,
    "signatures": signatures,
}
RESULTS = Path(__file__).parent / "results.md"
_SECTION = "\n\n### "


def main(names: Sequence[str]) -> None:
    """See the module."""
    if unknown := set(names) - set(BENCHES):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(BENCHES)}")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    parts = [f"# Measured\n\ninfdiag {__version__}, {today}, {where}. Made by `make bench`."]
    if names:
        parts = RESULTS.read_text(encoding="utf-8").rstrip().split(_SECTION)
    for name in names or BENCHES:
        lines = BENCHES[name].measure()
        if names:
            lines += ["", f"Measured by itself on {today}, {where}."]
        section = "\n".join(lines)
        print(section, end="\n\n", flush=True)
        section = section.removeprefix(_SECTION.strip("\n"))
        same = [at for at, part in enumerate(parts) if part.partition(" (")[0] == section.partition(" (")[0]]
        parts = [*parts[: same[0]], section, *parts[same[0] + 1 :]] if same else [*parts, section]
    RESULTS.write_text(_SECTION.join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
