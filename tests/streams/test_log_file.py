"""A log file followed on a real file system: backlog, growth, rotation, truncation, absence, odd bytes."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from infdiag_tui.clock import SystemClock
from infdiag_tui.config.schema import Logs, ModelConfig
from infdiag_tui.model import Heartbeat, LogLine, Observation, Severity, SourceState, Status
from infdiag_tui.streams.base import SourceError, StreamContext
from infdiag_tui.streams.log_file import LogFileStream
from infdiag_tui.streams.log_io import FileCalls
from infdiag_tui.streams.log_parts import rotated_parts
from infdiag_tui.streams.logs import build, short_names


class Watcher:
    """Runs a stream and keeps what it yields."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.statuses: list[Status] = []
        self.heartbeats: list[Heartbeat] = []
        self._new = asyncio.Event()

    async def run(self, stream: LogFileStream) -> None:
        async for seen in stream.observe():
            if isinstance(seen, LogLine):
                self.lines.append(seen)
            elif isinstance(seen, Status):
                self.statuses.append(seen)
            elif isinstance(seen, Heartbeat):
                self.heartbeats.append(seen)
            self._new.set()

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    async def until_texts(self, texts: list[str]) -> None:
        async with asyncio.timeout(15):
            while len(self.lines) < len(texts):
                self._new.clear()
                await self._new.wait()
        assert self.texts == texts

    async def until_state(self, state: SourceState) -> Status:
        async with asyncio.timeout(15):
            while not self.statuses or self.statuses[-1].state is not state:
                self._new.clear()
                await self._new.wait()
        return self.statuses[-1]

    async def until_heartbeats(self, more: int = 1) -> None:
        wanted = len(self.heartbeats) + more
        async with asyncio.timeout(15):
            while len(self.heartbeats) < wanted:
                self._new.clear()
                await self._new.wait()


def make(path: Path, backlog: int = 100) -> LogFileStream:
    return LogFileStream(path.name, path, backlog, SystemClock(), poll_s=0.01, quiet_s=0.05)


@asynccontextmanager
async def watching(stream: LogFileStream) -> AsyncIterator[Watcher]:
    watcher = Watcher()
    task = asyncio.create_task(watcher.run(stream))
    try:
        yield watcher
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


async def test_it_starts_with_the_last_lines_and_follows_growth(log: Path) -> None:
    append(log, "".join(f"INFO {number}\n" for number in range(10)))
    async with watching(make(log, backlog=3)) as seen:
        await seen.until_texts(["INFO 7", "INFO 8", "INFO 9"])
        append(log, "ERROR new\r\n")
        await seen.until_texts(["INFO 7", "INFO 8", "INFO 9", "ERROR new"])
    assert seen.statuses[0].state is SourceState.LIVE
    assert seen.lines[-1].severity is Severity.ERROR
    assert seen.lines[-1].source == "app.log"


@pytest.mark.parametrize(("backlog", "expected"), [(0, []), (1, ["3"]), (3, ["1", "2", "3"]), (9, ["1", "2", "3"])])
async def test_the_backlog_is_exact(log: Path, backlog: int, expected: list[str]) -> None:
    append(log, "1\n2\n3\n")
    async with watching(make(log, backlog)) as seen:
        await seen.until_heartbeats()
        append(log, "x\n")
        await seen.until_texts([*expected, "x"])


async def test_a_backlog_over_many_blocks_is_exact(log: Path) -> None:
    lines = [f"{number} {'x' * (number % 997)}" for number in range(3000)]
    append(log, "\n".join(lines) + "\n")
    async with watching(make(log, 2500)) as seen:
        await seen.until_texts(lines[500:])


async def test_rotation_by_rename_loses_and_repeats_nothing(log: Path) -> None:
    append(log, "1\n")
    async with watching(make(log)) as seen:
        await seen.until_texts(["1"])
        with log.open("a") as writer:
            log.rename(log.with_name("app.log.1"))
            writer.write("2 to the old file\n")
            writer.flush()
            append(log, "3\n")
            await seen.until_texts(["1", "2 to the old file", "3"])
            writer.write("4 late to the old file\n")
        await seen.until_texts(["1", "2 to the old file", "3", "4 late to the old file"])
        append(log, "5\n")
        await seen.until_texts(["1", "2 to the old file", "3", "4 late to the old file", "5"])


async def test_several_rotations_between_two_looks_lose_nothing(log: Path) -> None:
    append(log, "0\n")
    async with watching(make(log)) as seen:
        await seen.until_texts(["0"])
        for number in range(1, 4):  # no await: all of it lies between two looks
            for index in range(number - 1, 0, -1):
                log.with_name(f"app.log.{index}").rename(log.with_name(f"app.log.{index + 1}"))
            log.rename(log.with_name("app.log.1"))
            append(log, f"{number}\n")
        await seen.until_texts(["0", "1", "2", "3"])
        await seen.until_heartbeats()
    assert seen.texts == ["0", "1", "2", "3"]


async def test_copytruncate_loses_and_repeats_nothing(log: Path) -> None:
    append(log, "1\n2\n")
    async with watching(make(log)) as seen:
        await seen.until_texts(["1", "2"])
        append(log, "3 unread before the copy\n")
        shutil.copy(log, log.with_name("app.log.1"))
        os.truncate(log, 0)
        append(log, "4\n")
        await seen.until_texts(["1", "2", "3 unread before the copy", "4"])


async def test_a_file_truncated_and_grown_beyond_its_old_size_is_read_from_its_beginning(log: Path) -> None:
    append(log, "old\n")
    async with watching(make(log)) as seen:
        await seen.until_texts(["old"])
        log.write_text("new and much longer\n")
        await seen.until_texts(["old", "new and much longer"])


async def test_a_hole_of_nul_bytes_hides_nothing(log: Path) -> None:
    append(log, b"\0" * 3_000_000 + b"ERROR after\n")
    async with watching(make(log)) as seen:
        await seen.until_texts(["ERROR after"])
    assert seen.lines[0].cut_bytes == 0


async def test_a_deleted_file_is_a_named_state_and_its_successor_is_followed(log: Path) -> None:
    append(log, "1\n")
    async with watching(make(log)) as seen:
        await seen.until_texts(["1"])
        log.unlink()
        status = await seen.until_state(SourceState.UNAVAILABLE)
        assert "app.log was removed or moved" in status.reason
        assert status.remedy
        beats = len(seen.heartbeats)
        append(log, "2\n")
        await seen.until_state(SourceState.LIVE)
        assert len(seen.heartbeats) == beats
        await seen.until_texts(["1", "2"])


async def test_a_file_that_appears_later_is_read_from_its_first_line(log: Path) -> None:
    async with watching(make(log, backlog=0)) as seen:
        status = await seen.until_state(SourceState.UNAVAILABLE)
        assert status.reason == f"{log} does not exist (yet)"
        append(log, "first\n")
        await seen.until_texts(["first"])
    assert [status.state for status in seen.statuses] == [SourceState.UNAVAILABLE, SourceState.LIVE]


async def test_a_directory_or_pipe_in_its_place_is_a_named_state(log: Path) -> None:
    log.mkdir()
    async with watching(make(log)) as seen:
        assert "is a directory" in (await seen.until_state(SourceState.UNAVAILABLE)).reason
        log.rmdir()
        append(log, "text\n")
        await seen.until_texts(["text"])
    pipe = log.with_name("pipe.log")
    os.mkfifo(pipe)
    async with watching(make(pipe)) as seen:
        assert "is a pipe" in (await seen.until_state(SourceState.UNAVAILABLE)).reason


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Root may read everything; for the time of a test it is nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def forbidden() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "app.log"
    path.write_text("secret\n")
    path.chmod(0o000)
    yield path
    shutil.rmtree(folder)


@pytest.mark.usefixtures("unprivileged")
async def test_a_file_without_permission_is_forbidden_with_a_remedy(forbidden: Path) -> None:
    async with watching(make(forbidden)) as seen:
        status = await seen.until_state(SourceState.FORBIDDEN)
    assert status.reason.startswith(f"no permission to read {forbidden} (mode 0000, owner ")
    assert "setfacl" in status.remedy
    assert seen.lines == []


@pytest.mark.parametrize(
    "name", ["app.log.1", "app.log.1.gz", "app.log-20260101", "app.log-20260101.gz", "app-20260101.log.gz"]
)
async def test_the_newest_rotated_part_fills_up_the_backlog(log: Path, name: str) -> None:
    old = b"".join(b"old %d\n" % number for number in range(50_000))
    log.with_name(name).write_bytes(
        gzip.compress(old[:200_000]) + gzip.compress(old[200_000:]) if name.endswith("gz") else old
    )
    append(log, "new\n")
    async with watching(make(log, backlog=3)) as seen:
        await seen.until_texts(["old 49998", "old 49999", "new"])


async def test_a_broken_rotated_part_is_told_and_the_file_followed(log: Path) -> None:
    log.with_name("app.log.1.gz").write_bytes(b"no gzip at all")
    append(log, "new\n")
    async with watching(make(log)) as seen:
        await seen.until_texts(["new"])
    (warning,) = [status for status in seen.statuses if status.aspect]
    assert warning.state is SourceState.DEGRADED
    assert "app.log.1.gz" in warning.reason


async def test_only_rotated_parts_of_this_file_count(log: Path) -> None:
    kept = ["app.log.20260101-120000", "app-2026-01-01.log", "app.log.10", "app.log.2.gz", "app.log.1"]
    for name in [*kept, "app.log", "app.log.bak", "app.log.pid", "app-server.log", "other.log.1", "app.log.1.swp"]:
        log.with_name(name).touch()
    assert {part.path.name for part in rotated_parts(log)} == set(kept)
    assert [part.path.name for part in rotated_parts(log)][-3:] == ["app.log.10", "app.log.2.gz", "app.log.1"]


async def test_odd_bytes_are_replaced_and_never_fatal(log: Path) -> None:
    odd = b"raw:" + bytes(byte for byte in range(256) if byte != 10)
    append(log, "INFO caf\xe9 \x1b[31mred\x1b[0m\n".encode("latin-1") + odd + b"\nINFO fine\n")
    ascii_part = "".join(map(chr, range(0x20, 0x7F)))
    async with watching(make(log)) as seen:
        await seen.until_texts(["INFO caf\ufffd red", f"raw:     {ascii_part}" + "\ufffd" * 128, "INFO fine"])


async def test_a_line_of_ten_megabytes_is_cut_and_counted(log: Path) -> None:
    append(log, b"before\n" + b"x" * 10_000_000 + b"\nafter\n")
    async with watching(make(log)) as seen:
        async with asyncio.timeout(30):
            while len(seen.lines) < 3:
                await seen.until_heartbeats()
    assert [len(text) for text in seen.texts] == [6, 16_384, 5]
    assert seen.lines[1].cut_bytes == 10_000_000 - 16_384


async def test_a_partial_last_line_is_held_until_it_is_complete(log: Path) -> None:
    stream = LogFileStream("app.log", log, 10, SystemClock(), poll_s=0.01, quiet_s=600)
    append(log, "whole\nhalf a li")
    async with watching(stream) as seen:
        await seen.until_heartbeats()
        assert seen.lines == []
        append(log, "ne\nnext\nheld\n")
        await seen.until_texts(["whole", "half a line", "next"])


async def test_a_partial_last_line_is_given_out_when_the_file_is_quiet(log: Path) -> None:
    append(log, "whole\nKilled")
    async with watching(make(log)) as seen:
        await seen.until_texts(["whole", "Killed"])


async def test_a_restart_continues_without_loss_or_repetition(log: Path) -> None:
    stream = make(log)
    append(log, "1\n2\n")
    async with watching(stream) as seen:
        await seen.until_texts(["1", "2"])
    append(log, "3\n")
    async with watching(stream) as seen:
        await seen.until_texts(["3"])
    append(log, "4\n")
    log.rename(log.with_name("app.log.1"))
    append(log, "5\n")
    async with watching(stream) as seen:
        await seen.until_texts(["4", "5"])
        assert all(not status.aspect for status in seen.statuses)
    log.unlink()
    append(log, "6\n")
    async with watching(stream) as seen:
        await seen.until_texts(["6"])
    assert any("replaced while it was not read" in status.reason for status in seen.statuses)


async def test_stopping_at_any_entry_loses_none(log: Path) -> None:
    stream, got, runs = make(log, backlog=5000), list[str](), 0
    append(log, "".join(f"{number}\n" for number in range(1000)))
    async with asyncio.timeout(30):
        while len(got) < 2000:
            runs, taken = runs + 1, 0
            if runs == 2:
                log.rename(log.with_name("app.log.1"))
                append(log, "".join(f"{number}\n" for number in range(1000, 2000)))
            async with aclosing(cast("AsyncGenerator[Observation, None]", stream.observe())) as observations:
                async for seen in observations:
                    if isinstance(seen, LogLine):
                        got.append(seen.text)
                        taken += 1
                    if taken == 101 or len(got) == 2000:
                        break
    assert got == [str(number) for number in range(2000)]


async def test_a_symbolic_link_is_followed_to_its_new_target(tmp_path: Path) -> None:
    link, first, second = tmp_path / "current.log", tmp_path / "0.log", tmp_path / "1.log"
    link.symlink_to(first)
    async with watching(make(link)) as seen:
        assert "is a symbolic link to" in (await seen.until_state(SourceState.UNAVAILABLE)).reason
        append(first, "2026-01-02T15:04:05.5Z stderr F ERROR a\n")
        await seen.until_texts(["ERROR a"])
        append(second, "2026-01-02T15:04:06.5Z stderr F ERROR b\n")
        link.unlink()
        link.symlink_to(second)
        await seen.until_texts(["ERROR a", "ERROR b"])


async def test_a_burst_arrives_complete_and_in_order(log: Path) -> None:
    append(log, "")
    log.touch()
    async with watching(make(log)) as seen:
        await seen.until_state(SourceState.LIVE)
        lines = [f"INFO line {number} of the burst" for number in range(50_000)]
        append(log, "\n".join(lines) + "\n")
        async with asyncio.timeout(60):
            while len(seen.lines) < 50_000:
                await seen.until_heartbeats()
    assert seen.texts == lines


async def test_times_without_a_zone_are_read_in_the_zone_of_the_writer(log: Path) -> None:
    append(log, "2026-01-01 17:29:50 INFO a\n2026-01-01 17:30:00 INFO b\n")
    noon = 1_767_268_800.0
    os.utime(log, (noon, noon))  # written at 12:00 UTC by a clock at +05:30
    async with watching(make(log)) as seen:
        await seen.until_texts(["2026-01-01 17:29:50 INFO a", "2026-01-01 17:30:00 INFO b"])
    assert [line.at for line in seen.lines] == [noon - 10, noon]


async def test_ending_leaves_no_thread_and_no_open_file(log: Path) -> None:
    append(log, "1\n")
    async with watching(make(log)) as seen:
        await seen.until_texts(["1"])
        assert any(thread.name == "infdiag logs:app.log" for thread in threading.enumerate())
    async with asyncio.timeout(10):
        while any(thread.name == "infdiag logs:app.log" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)  # the end of a thread raises no event
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if fd.exists() and str(fd.resolve()).endswith("app.log")]


async def test_a_call_that_hangs_is_a_named_failure_and_recovers() -> None:
    calls, release = FileCalls("logs:x", timeout_s=0.05), threading.Event()
    for _ in range(3):
        with pytest.raises(SourceError, match="has not returned") as failure:
            await calls.run(release.wait)
        calls.close()
    assert failure.value.remedy
    assert sum(thread.name == "infdiag logs:x" for thread in threading.enumerate()) == 1
    release.set()
    patient = FileCalls("logs:y", timeout_s=10)
    patient.executor = calls.executor
    assert await patient.run(lambda: 7) == 7
    patient.close()


def test_each_file_becomes_one_stream_with_a_short_unambiguous_name(tmp_path: Path) -> None:
    files = (tmp_path / "a" / "app.log", tmp_path / "b" / "app.log", tmp_path / "err.log", tmp_path / "err.log")
    streams = build(ModelConfig(logs=Logs(files=files)), StreamContext())
    assert [stream.name for stream in streams] == ["logs:a/app.log", "logs:b/app.log", "logs:err.log"]
    assert build(ModelConfig(), StreamContext()) == []


def test_names_grow_only_where_they_must() -> None:
    assert short_names([Path("/x/a/l"), Path("/y/a/l"), Path("/l")]) == ["x/a/l", "y/a/l", "/l"]
    assert short_names([Path("/x\x01/l"), Path("/x\x02/l")]) == ["x/l", "x/l#2"]
