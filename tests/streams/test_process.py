"""The process stream on real processes: found three ways, workers counted in, ends and restarts noticed."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest

from infdiag_tui.config import ModelConfig
from infdiag_tui.config.schema import Host
from infdiag_tui.model import Observation, ProcessState, Sample, SourceState, Status
from infdiag_tui.streams import process
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.process import ProcessStream
from infdiag_tui.streams.process_find import Finder, Found, Missing, _script, finder_for
from infdiag_tui.streams.process_tree import Watcher, cpu_spent

# Listens, forks WORKERS children that inherit the socket, and lives until its standard input closes.
SERVER = """
import os, socket, sys, threading
port, workers = int(sys.argv[1]), int(sys.argv[2])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen()
for _ in range(workers):
    if os.fork() == 0:
        sys.stdin.buffer.raw.read(1)
        os._exit(0)
print("ready", flush=True)
for line in sys.stdin:
    if line == "spin\\n":
        threading.Thread(target=lambda: [sum(range(1000)) for _ in iter(int, 1)], daemon=True).start()
    elif line == "open\\n":
        kept = [open("/dev/null") for _ in range(50)]
        print("opened", flush=True)
"""


@contextmanager
def server(port: int, script: Path, workers: int = 0) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(script), str(port), str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        try:
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            for child in psutil.Process(running.pid).children():
                child.kill()
            running.kill()
            running.wait()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The server's file; its name is unlike that of any other process on the machine."""
    path = tmp_path / f"scorer-{os.getpid()}-server"
    path.write_text(textwrap.dedent(SERVER))
    return path


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Watching:
    """A running stream whose observations can be awaited."""

    def __init__(self, observations: AsyncIterator[Observation]) -> None:
        self._observations = observations
        self.seen: list[Observation] = []

    async def until(self, wanted: Callable[[Observation], bool]) -> Observation:
        async with asyncio.timeout(20):
            async for observation in self._observations:
                self.seen.append(observation)
                if wanted(observation):
                    return observation
        raise AssertionError("the stream ended")

    async def state(self, wanted: Callable[[ProcessState], bool] = lambda _: True) -> ProcessState:
        found = await self.until(lambda o: isinstance(o, ProcessState) and wanted(o))
        assert isinstance(found, ProcessState)
        return found

    async def status(self, wanted: Callable[[Status], bool] = lambda _: True) -> Status:
        found = await self.until(lambda o: isinstance(o, Status) and wanted(o))
        assert isinstance(found, Status)
        return found


@asynccontextmanager
async def watching(host: Host) -> AsyncIterator[Watching]:
    finder = finder_for(host)
    assert finder is not None
    stream = ProcessStream(finder, 0.05, StreamContext())
    async with aclosing(stream.observe()) as observations:
        yield Watching(observations)


async def test_found_by_pid_with_its_figures(script: Path, port: int) -> None:
    with server(port, script) as running:
        async with watching(Host(pid=running.pid)) as watch:
            state = await watch.state()
            assert (state.key, state.pid, state.running) == (f"pid {running.pid}", running.pid, True)
            assert state.cpu_percent is None, "no interval yet"
            assert state.rss_bytes is not None
            assert state.rss_bytes > 1_000_000
            assert state.threads == 1
            assert state.open_files == psutil.Process(running.pid).num_fds()
            assert state.started_at == pytest.approx(psutil.Process(running.pid).create_time())
            assert (state.children, state.restarts) == (0, 0)
            assert (await watch.state()).cpu_percent is not None
            entities = {o.key.entity for o in watch.seen if isinstance(o, Sample)}
            assert entities == {state.key}
            metrics = {o.key.metric for o in watch.seen if isinstance(o, Sample)}
            assert metrics == {"process.rss_bytes", "process.threads", "process.open_files"}


async def test_a_busy_server_shows_its_cpu_and_more_open_files_show_too(script: Path, port: int) -> None:
    with server(port, script) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        async with watching(Host(pid=running.pid)) as watch:
            before = (await watch.state()).open_files
            running.stdin.write("open\nspin\n")
            running.stdin.flush()
            assert running.stdout.readline() == "opened\n"
            state = await watch.state(lambda s: (s.cpu_percent or 0) > 20 and s.open_files != before)
            assert before is not None
            assert state.open_files == before + 50
            assert state.threads == 2


async def test_of_a_listening_master_and_its_workers_the_master_is_found_and_the_workers_counted_in(
    script: Path,
    port: int,
) -> None:
    with server(port, script, workers=3) as running:
        async with watching(Host(port=port)) as watch:
            state = await watch.state()
            assert (state.key, state.pid, state.children) == (f"port {port}", running.pid, 3)
            own = psutil.Process(running.pid)
            assert state.rss_bytes is not None
            assert state.rss_bytes > own.memory_info().rss
            assert state.threads == 4


async def test_found_by_the_name_of_the_script_that_an_interpreter_runs(script: Path, port: int) -> None:
    with server(port, script, workers=2) as running:
        async with watching(Host(process_name=script.name)) as watch:
            state = await watch.state()
            assert (state.pid, state.children) == (running.pid, 2)
            assert not [o for o in watch.seen if isinstance(o, Status)]


async def test_two_servers_of_one_name_are_said_and_the_oldest_is_shown(
    script: Path,
    port: int,
    tmp_path: Path,
) -> None:
    with server(port, script) as first, server(0, script):
        async with watching(Host(process_name=script.name)) as watch:
            status = await watch.status()
            assert (await watch.state()).pid == first.pid
            assert (status.state, status.aspect) == (SourceState.DEGRADED, "choice")
            assert status.reason.startswith("2 processes match")
            assert "host.pid" in status.remedy


@pytest.mark.parametrize("by", ["port", "name"])
async def test_not_found_then_found_then_gone_then_restarted(by: str, script: Path, port: int) -> None:
    host = Host(port=port) if by == "port" else Host(process_name=script.name)
    async with watching(host) as watch:
        status = await watch.status()
        assert status.state is SourceState.UNAVAILABLE
        assert status.reason
        assert status.remedy
        absent = await watch.state()
        assert (absent.running, absent.pid, absent.rss_bytes) == (False, None, None)
        assert not [o for o in watch.seen if isinstance(o, Sample)]

        with server(port, script) as running:
            assert (await watch.status()).state is SourceState.LIVE
            state = await watch.state(lambda s: s.running)
            assert (state.pid, state.restarts) == (running.pid, 0)
        assert (await watch.status()).state is SourceState.UNAVAILABLE
        gone = await watch.state()
        assert (gone.running, gone.restarts) == (False, 0)

        with server(port, script) as running:
            state = await watch.state(lambda s: s.running)
            assert (state.pid, state.restarts) == (running.pid, 1)
            assert state.cpu_percent is None, "a new process has no interval yet"


async def test_a_process_that_ended_but_was_not_reaped_is_not_running(script: Path, port: int) -> None:
    with server(port, script) as running:
        async with watching(Host(pid=running.pid)) as watch:
            await watch.state(lambda s: s.running)
            os.kill(running.pid, 9)  # a zombie until the fixture waits for it
            assert (await watch.status()).state is SourceState.UNAVAILABLE
            assert psutil.Process(running.pid).status() == psutil.STATUS_ZOMBIE
            assert not (await watch.state()).running


async def test_another_program_with_the_same_pid_is_not_taken_for_the_server(
    script: Path,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server(port, script) as running:
        finder = finder_for(Host(pid=running.pid))
        assert finder is not None
        assert not isinstance(finder.find(), Missing)
        monkeypatch.setattr(psutil.Process, "name", lambda _: "bash")
        missing = finder.find()
    assert isinstance(missing, Missing)
    assert "now belongs to another program (bash)" in missing.reason


async def test_open_files_that_may_not_be_counted_are_absent_and_said_once(
    script: Path,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(process: psutil.Process) -> int:
        raise psutil.AccessDenied(process.pid)

    with server(port, script) as running:
        async with watching(Host(pid=running.pid)) as watch:
            with monkeypatch.context() as patched:
                patched.setattr(psutil.Process, "num_fds", denied)
                states = [await watch.state() for _ in range(3)]
                assert [s.open_files for s in states] == [None] * 3
                assert states[0].rss_bytes is not None
                statuses = [o for o in watch.seen if isinstance(o, Status)]
                assert [(s.state, s.aspect) for s in statuses] == [(SourceState.DEGRADED, "open files")]
                assert "sudo" in statuses[0].remedy
            status = await watch.status()
            assert (status.state, status.aspect) == (SourceState.LIVE, "open files")


async def test_a_listener_of_another_user_is_named_as_forbidden(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = psutil.net_connections

    def without_pids(kind: str = "inet") -> list[object]:
        return [connection._replace(pid=None) for connection in real(kind)]

    monkeypatch.setattr(psutil, "net_connections", without_pids)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        async with watching(Host(port=port)) as watch:
            status = await watch.status()
    assert status.state is SourceState.FORBIDDEN
    assert "may not see which process" in status.reason
    assert "sudo" in status.remedy


async def test_a_socket_table_that_may_not_be_read_is_named_as_forbidden(
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(kind: str = "inet") -> list[object]:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    async with watching(Host(port=port)) as watch:
        assert (await watch.status()).state is SourceState.FORBIDDEN


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["-m", "uvicorn", "app:main"], {"uvicorn"}),
        (["-u", "/srv/venv/bin/gunicorn", "app"], {"gunicorn"}),
        (["-Xmx4g", "-jar", "/opt/server.jar"], {"server.jar"}),
        (["-c", "print(1)"], set()),
        ([], set()),
    ],
)
def test_the_script_among_an_interpreters_arguments(arguments: list[str], names: set[str]) -> None:
    assert _script(arguments) == names


class Handover:
    """Finds each of some processes in turn, as a port finder does while a server is replaced without a gap."""

    looked_for = "port 1"

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids

    def find(self) -> Found | Missing:
        return Found(psutil.Process(self._pids.pop(0)))

    def still_it(self, tree: Sequence[psutil.Process]) -> bool:
        return False


def test_a_handover_without_a_gap_is_a_restart_whose_cpu_is_not_yet_known(script: Path) -> None:
    with server(0, script) as old, server(0, script) as new:
        watcher = Watcher(Handover([old.pid, new.pid]))
        states = [watcher.read(at, at, monotonic_s=at).state for at in (1.0, 2.0, 100.0, 101.0)]
    assert [s.pid for s in states] == [old.pid, old.pid, new.pid, new.pid]
    assert [s.restarts for s in states] == [0, 0, 1, 1]
    assert [s.cpu_percent is None for s in states] == [True, False, True, False]


def test_a_clock_that_is_set_makes_no_restart_and_starts_nothing_anew(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(0, script) as running:
        watcher = Watcher(Handover([running.pid] * 3))
        wall, at = time.time(), 1_000_000.0
        before = watcher.read(at, wall, monotonic_s=0.0).state
        stated = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: stated(self) - 3600.0)
        after = [watcher.read(at + s, wall - 3600.0 + s, monotonic_s=s).state for s in (10.0, 20.0)]
    assert before.started_at is not None
    assert at - 60.0 < before.started_at <= at
    assert [s.started_at for s in after] == [before.started_at] * 2
    assert [s.restarts for s in after] == [0, 0]
    assert None not in [s.cpu_percent for s in after]


def test_cpu_time_of_children_that_come_and_go_never_makes_a_jump() -> None:
    before = {(1, 0.0): 10.0, (2, 0.0): 500.0}
    now = {(1, 0.0): 11.0, (3, 5.0): 700.0}
    assert cpu_spent(before, now) == 1.0


def test_only_a_config_that_names_a_process_builds_the_stream() -> None:
    assert process.build(ModelConfig(), StreamContext()) == []
    (stream,) = process.build(ModelConfig(host=Host(pid=1, port=80)), StreamContext())
    assert stream.name == "process"
    finder: Finder | None = finder_for(Host(pid=1, process_name="x", port=80))
    assert finder is not None
    assert finder.looked_for == "pid 1"
