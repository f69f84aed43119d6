"""Time from command to first painted frame, against an empty Textual app on the same machine."""

from __future__ import annotations

import statistics
import sys
import tempfile

from benchmarks.terminal import TerminalRun

EMPTY_APP = "from textual.app import App\nApp().run()"
RUNS = 11


def measure() -> list[str]:
    """Alternating runs, so that a busy machine troubles both alike; medians."""
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "KUBECONFIG": ""}
        commands = {
            "empty Textual app": [sys.executable, "-c", EMPTY_APP],
            "infdiag": [sys.executable, "-m", "infdiag_tui"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                with TerminalRun(command, 120, 40, env) as run:
                    times[name].append(run.first_frame_s())
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["infdiag"] / medians["empty Textual app"]
    lines = [f"| {name} | {1000 * median:.0f} ms |" for name, median in medians.items()]
    return [
        f"### From command to first painted frame (120x40, median of {RUNS} alternating runs)",
        "",
        "| | |",
        "|---|---|",
        *lines,
        f"| ratio (goal: at most 1.5) | {ratio:.2f} |",
    ]
