"""CPU and bytes written to the terminal per minute: idle, and with every panel live."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.terminal import TerminalRun

SETTLE_S = 10.0
WATCH_S = 60.0


def measure() -> list[str]:
    """One minute each: nothing configured but this machine, and the healthy lab with every source live."""
    lines = [
        f"### While running ({WATCH_S:.0f} s after {SETTLE_S:.0f} s of settling, 120x40)",
        "",
        "| | CPU % of a core | bytes to the terminal / min | resident MB |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "KUBECONFIG": ""}
        quiet = Path(home) / "quiet.toml"
        quiet.write_text("[models.nothing.host]\nenabled = false\n[models.nothing.gpu]\nnvml = false\n")
        lines.append(_row("idle (no source configured)", ["--config", str(quiet)], env))
        config = Path(home) / "infdiag.toml"
        lab = subprocess.Popen(
            [sys.executable, "-m", "infdiag_tui", "lab", "healthy", "--config-out", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **env},
        )
        try:
            deadline = time.monotonic() + 60
            while not config.exists():
                if time.monotonic() > deadline or lab.poll() is not None:
                    raise TimeoutError("the lab did not start")
                time.sleep(0.1)
            lines.append(_row("all panels live (3 pods, 2 GPUs, probe 1/s)", ["--config", str(config)], env))
        finally:
            lab.terminate()
            lab.wait(30)
    return lines


def _row(title: str, words: Sequence[str], env: dict[str, str]) -> str:
    with TerminalRun([sys.executable, "-m", "infdiag_tui", *words], 120, 40, env) as run:
        run.first_frame_s()
        run.read_for(SETTLE_S)
        cpu_s, sent = run.cpu_s(), run.bytes_read
        run.read_for(WATCH_S)
        percent = 100 * (run.cpu_s() - cpu_s) / WATCH_S
        per_minute = (run.bytes_read - sent) * 60 / WATCH_S
        return f"| {title} | {percent:.1f} | {per_minute:,.0f} | {run.rss_mb():.0f} |"
