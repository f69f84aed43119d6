"""Finding the model server's process by pid, name or listening port."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol

import psutil

from infdiag_tui.config.schema import Host
from infdiag_tui.model import SourceState
from infdiag_tui.text import one_line

_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)
_INTERPRETER = re.compile(r"(python|pypy|ruby|node|perl|java|bash|sh|dash|env|tini|dumb-init)[\d.]*$")


@dataclass(frozen=True, slots=True)
class Missing:
    """Why no process was found, and what the operator can do."""

    reason: str
    remedy: str
    state: SourceState = SourceState.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Found:
    """The process to watch; `note` says that the choice was not clear, with `remedy`."""

    process: psutil.Process
    note: str = ""
    remedy: str = ""


class Finder(Protocol):
    """Looks for the process anew (blocking)."""

    looked_for: str

    def find(self) -> Found | Missing:
        """The process, or why there is none."""
        ...

    def still_it(self, tree: Sequence[psutil.Process]) -> bool:
        """Whether the living process and its children still are what was looked for."""
        ...


def finder_for(host: Host) -> Finder | None:
    """The finder that the config asks for: pid before name before port."""
    if host.pid is not None:
        return ByPid(host.pid)
    if host.process_name:
        return ByName(host.process_name)
    if host.port is not None:
        return ByPort(host.port)
    return None


def is_running(process: psutil.Process) -> bool:
    """True while this very process (pid and start time) runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except _GONE:
        return False
    except psutil.AccessDenied:
        return True


def name_of(process: psutil.Process) -> str:
    """Its name, printable; empty when it is gone or hidden."""
    try:
        return one_line(process.name(), 100)
    except psutil.Error:
        return ""


class ByPid:
    """One pid. Another program that later gets the same pid is not taken for it."""

    def __init__(self, pid: int) -> None:
        self.looked_for = f"pid {pid}"
        self._pid = pid
        self._name = ""

    def find(self) -> Found | Missing:
        """The process with this pid, if it runs the same program as before."""
        try:
            process = psutil.Process(self._pid)
        except psutil.Error:
            process = None
        if process is None or not is_running(process):
            return Missing(f"no process has pid {self._pid} on this host", "set host.pid, or better host.port")
        name = name_of(process)
        if self._name and name != self._name:
            return Missing(
                f"pid {self._pid} was {self._name} and now belongs to another program ({name})",
                "a restarted server has another pid: set host.port or host.process_name instead of host.pid",
            )
        self._name = name
        return Found(process)

    def still_it(self, tree: Sequence[psutil.Process]) -> bool:  # noqa: ARG002 - a pid says nothing more
        """Always: a living process keeps its pid."""
        return True


class ByName:
    """A program's name: of the process, of its executable, or of the script or module that an interpreter runs."""

    def __init__(self, name: str) -> None:
        self.looked_for = f"name {one_line(name, 100)}"
        self._name = name

    def find(self) -> Found | Missing:
        """The oldest process of that name that is no child of another one of that name."""
        matches = [
            process
            for process in psutil.process_iter()
            if process.pid != os.getpid() and self._name in names_of(process) and is_running(process)
        ]
        if not matches:
            return Missing(
                f"no process is named {one_line(self._name, 100)} on this host",
                "start it, or set host.process_name to what `ps -e -o comm` shows, or set host.port",
            )
        return _oldest(_tops(matches), self.looked_for)

    def still_it(self, tree: Sequence[psutil.Process]) -> bool:
        """While the first of `tree` bears the name (a process may exec another program)."""
        return self._name in names_of(tree[0])


class ByPort:
    """Whatever listens on a TCP port of this host."""

    def __init__(self, port: int) -> None:
        self.looked_for = f"port {port}"
        self._port = port

    def find(self) -> Found | Missing:
        """The listening process; of a master and its workers, the master."""
        try:
            listening = [c for c in psutil.net_connections("tcp") if self._matches(c)]
        except psutil.AccessDenied:
            return self._hidden("this user may not list the sockets of this host")
        if not listening:
            return Missing(
                f"nothing listens on TCP port {self._port} on this host",
                "start the server, or correct host.port",
            )
        pids = {c.pid for c in listening if c.pid is not None}
        owners = [top for pid in sorted(pids) if (top := self._top(pid)) is not None]
        if not owners:
            return self._hidden(f"something listens on port {self._port}, but this user may not see which process")
        return _oldest(_tops(owners), self.looked_for)

    def still_it(self, tree: Sequence[psutil.Process]) -> bool:
        """While one of them listens on the port, as far as this user may know."""
        for process in tree:
            try:
                if any(self._matches(c) for c in process.net_connections("tcp")):
                    return True
            except psutil.AccessDenied:
                return True
            except _GONE:
                continue
        return False

    def _matches(self, connection: Any) -> bool:
        listens = connection.status == psutil.CONN_LISTEN and bool(connection.laddr)
        return listens and connection.laddr.port == self._port

    def _top(self, pid: int) -> psutil.Process | None:
        """The highest ancestor of `pid` that holds the listening socket as well, None if the process is gone."""
        try:
            process = psutil.Process(pid)
        except psutil.Error:
            return None
        top = process
        for ancestor in _parents(process):
            try:
                if not any(self._matches(c) for c in ancestor.net_connections("tcp")):
                    break
            except psutil.Error:
                break
            top = ancestor
        return top

    def _hidden(self, reason: str) -> Missing:
        return Missing(
            reason,
            "run infdiag as the server's user or with sudo, or set host.pid or host.process_name",
            SourceState.FORBIDDEN,
        )


def names_of(process: psutil.Process) -> set[str]:
    """Every name by which an operator may know the process; empty when it is gone or hidden."""
    names: set[str] = set()
    try:
        names.add(process.name())
        command = process.cmdline()
    except psutil.Error:
        return names
    if command:
        names.add(PurePath(command[0]).name)
        if _INTERPRETER.match(PurePath(command[0]).name):
            names |= _script(command[1:])
    return names


def _script(arguments: Sequence[str]) -> set[str]:
    """The name of the script or module among an interpreter's arguments."""
    for position, argument in enumerate(arguments):
        if argument == "-m" and position + 1 < len(arguments):
            return {arguments[position + 1]}
        if argument in {"-c", "-jar", "--"} and position + 1 < len(arguments):
            return set() if argument == "-c" else {PurePath(arguments[position + 1]).name}
        if not argument.startswith("-"):
            return {PurePath(argument).name}
    return set()


def _parents(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.parents()
    except psutil.Error:
        return []


def _tops(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those of `processes` that have no ancestor among them, each once."""
    distinct = set(processes)
    return [process for process in distinct if not distinct.intersection(_parents(process))]


def _oldest(processes: Sequence[psutil.Process], looked_for: str) -> Found:
    oldest = min(processes, key=lambda process: (_created(process), process.pid))
    if len(processes) == 1:
        return Found(oldest)
    return Found(
        oldest,
        f"{len(processes)} processes match {looked_for}; shown is the oldest, pid {oldest.pid}",
        "set host.pid to choose another one",
    )


def _created(process: psutil.Process) -> float:
    try:
        return float(process.create_time())
    except psutil.Error:
        return float("inf")
