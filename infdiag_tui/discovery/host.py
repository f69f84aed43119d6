"""Looks through this machine's listening processes for what serves requests. Blocks: call it in a thread."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath

import psutil

from infdiag_tui.discovery.workload import Workload
from infdiag_tui.streams.process_find import names_of
from infdiag_tui.text import clean, one_line

_CONTAINER = re.compile(r"(?:docker|cri-containerd|crio|libpod|containerd)[-/:]([0-9a-f]{12})[0-9a-f]*")
"""The container's id in a process's cgroup path, as Docker, containerd, CRI-O and Podman write it."""
_POD = re.compile(r"kubepods.*?pod([0-9a-f]{8}[-_][0-9a-f_-]+)")


def look() -> tuple[list[Workload], str]:
    """Processes that listen on TCP, and in words what was looked at.

    What belongs to another user may be hidden: how much of it, is said.
    """
    ports: dict[int, set[int]] = {}
    hidden = 0
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.AccessDenied, OSError):
        return [], "this machine: this user may not list its sockets"
    for one in connections:
        if one.status != psutil.CONN_LISTEN or not one.laddr:
            continue
        if one.pid is None:
            hidden += 1
        elif one.pid != os.getpid():
            ports.setdefault(one.pid, set()).add(one.laddr.port)
    found = [workload for pid, open_ports in ports.items() if (workload := _workload(pid, open_ports)) is not None]
    unseen = f", {hidden} listening sockets of other users hidden" if hidden else ""
    return _distinct(found), f"this machine: {len(found)} listening processes{unseen}"


def _workload(pid: int, ports: set[int]) -> Workload | None:
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        names = names_of(process)
    except psutil.Error:
        return None
    script = sorted(names - {PurePath(command[0]).name if command else ""}, key=len)
    name = script[0] if script else next(iter(names), str(pid))
    return Workload(
        kind="process",
        name=one_line(name, 100),
        commands=(one_line(clean(" ".join(command)), 2000),),
        ports=tuple(sorted(ports)),
        pid=pid,
        container=_container(pid),
    )


def _distinct(found: list[Workload]) -> list[Workload]:
    """Of a master and workers that share a listening socket, the one with the lowest pid."""
    first: dict[tuple[int, ...], Workload] = {}
    for one in sorted(found, key=lambda one: one.pid or 0):
        first.setdefault(one.ports, one)
    return list(first.values())


def _container(pid: int) -> str:
    try:
        return container_in(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def container_in(text: str) -> str:
    """The short id of the container that a `/proc/PID/cgroup` tells of, or its pod's uid; empty outside of any."""
    if found := _CONTAINER.search(text):
        return found[1]
    pod = _POD.search(text)
    return f"of pod {pod[1].replace('_', '-')}" if pod else ""
