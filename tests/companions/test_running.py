"""A companion's commands: real processes without a shell, bounded in time and output, gone when it is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from infdiag_tui.companions.running import run_here
from infdiag_tui.remote.output import TooMuchError
from tests.support import eventually


def left(marker: str) -> list[psutil.Process]:
    """Living processes with that word in their command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and marker in " ".join(process.info["cmdline"] or [])
    ]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


async def said(*commands: tuple[str, ...]) -> tuple[int, str]:
    heard: list[bytes] = []
    code = await run_here(commands, heard.append)
    return code, b"".join(heard).decode()


async def test_both_outputs_and_the_exit_code() -> None:
    assert await said(sh("printf 'one\\n'; printf 'two\\n' >&2; exit 3")) == (3, "one\ntwo\n")
    assert await said(sh("kill -TERM $$")) == (-15, "")


async def test_words_are_no_shells_to_read() -> None:
    code, text = await said(("printf", "%s\n", "$HOME", "a;b", "*", "`id`", "a b"))
    assert (code, text.splitlines()) == (0, ["$HOME", "a;b", "*", "`id`", "a b"])


async def test_a_pipeline_reads_on_and_leaves_no_descriptor_open() -> None:
    before = descriptors()
    code, text = await said(sh("echo b; echo a; echo odd >&2; exit 9"), ("sort",), sh("cat; exit 4"))
    assert code == 4, "the last one's, as a shell has it"
    assert sorted(text.splitlines()) == ["a", "b", "odd"]
    await eventually(lambda: descriptors() == before)


async def test_one_that_goes_on_while_nobody_reads_it_ends_by_itself() -> None:
    assert await said(("yes", "infdiag-unread"), ("head", "-n", "1")) == (0, "infdiag-unread\n")
    assert not left("infdiag-unread")


async def test_it_has_no_input_and_no_terminal() -> None:
    assert await said(sh("cat; (: < /dev/tty) 2>/dev/null || echo no terminal")) == (0, "no terminal\n")


async def test_at_its_time_limit_it_ends_with_its_children() -> None:
    heard: list[bytes] = []
    with pytest.raises(TimeoutError):
        await run_here([sh("echo begun; sleep 61.25 & sleep 61.25"), ("cat",)], heard.append, time_limit_s=0.3)
    assert heard == [b"begun\n"]
    await eventually(lambda: not left("61.25"))


async def test_who_has_heard_enough_ends_it() -> None:
    def enough(_: bytes) -> None:
        raise TooMuchError

    with pytest.raises(TooMuchError):
        await run_here([("yes", "infdiag-endless")], enough)
    await eventually(lambda: not left("infdiag-endless"))


async def test_cancelling_ends_it(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    task = asyncio.create_task(run_here([sh(f"touch {begun}; sleep 61.75; :")], lambda _: None))
    await eventually(begun.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not left("61.75")


async def test_one_that_is_not_there_ends_those_before_it() -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        await run_here([("sleep", "61.5"), ("no-such-tool-here", "--help")], lambda _: None)
    assert not left("61.5")
    await eventually(lambda: descriptors() == before)
