"""Runs every benchmark and writes what it measured to benchmarks/results.md."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import answering, memory, running, start_up
from infdiag_tui import __version__


def main() -> None:
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    parts = [f"# Measured\n\ninfdiag {__version__}, {datetime.now(UTC):%Y-%m-%d}, {where}. Made by `make bench`."]
    for bench in (start_up, running, answering, memory):
        section = "\n".join(bench.measure())
        print(section, end="\n\n", flush=True)
        parts.append(section)
    (Path(__file__).parent / "results.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
