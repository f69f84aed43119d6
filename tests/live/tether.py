"""Runs a command until standard input ends, then ends it and all that it started.

Whatever becomes of the test, its end of the pipe closes: no server outlives it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

_GRACE_S = 10.0


def main(command: list[str]) -> int:
    """Runs it; returns its exit code."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def end(number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def watch() -> None:
        sys.stdin.buffer.read()
        end(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        end(signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    code = process.wait()
    end(signal.SIGKILL)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
