"""Child processes that never outlive their parent, and ports that stay theirs."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Below Linux's range for outgoing connections (32768 up): a server may leave such a port and find it free again.
_PORTS = range(10_240, 32_000)


def die_with_parent(deadly: signal.Signals = signal.SIGKILL) -> None:
    """Asks the kernel to send this process `deadly` when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, deadly, 0, 0, 0)


def tied_to_this_process() -> Callable[[], None]:
    """A `preexec_fn` that ties a child to this process, without a gap between fork and tie."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of `host` that nobody listens on and no outgoing connection will take.

    Raises:
        OSError: No port of the range could be bound.
    """
    for _ in range(200):
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"No free TCP port between {_PORTS.start} and {_PORTS.stop} on {host}.")


def resident_bytes(pid: int) -> int | None:
    """A process's resident memory; None when it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def import_path() -> str:
    """A PYTHONPATH on which a child finds this package wherever this process did, be it in a checkout."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    return f"{root}{os.pathsep}{inherited}" if inherited else root
