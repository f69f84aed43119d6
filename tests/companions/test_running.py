"""A companion's command line: real processes, bounded in time and output, gone when it is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from infdiag_tui.companions.running import run_line
from tests.support import eventually


def left(marker: str) -> list[psutil.Process]:
    """Living processes with that word in their command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and marker in " ".join(process.info["cmdline"] or [])
    ]


async def test_both_outputs_and_the_exit_code() -> None:
    ran = await run_line("printf 'one\\n'; printf 'two\\n' >&2; exit 3")
    assert (ran.text, ran.code, ran.cut, ran.late) == ("one\ntwo\n", 3, False, False)


async def test_what_it_says_is_told_while_it_runs(tmp_path: Path) -> None:
    heard: list[str] = []
    go_on = tmp_path / "go on"
    task = asyncio.create_task(run_line(f"echo one; until [ -e '{go_on}' ]; do sleep 0.05; done", heard.append))
    await eventually(lambda: heard == ["one\n"])
    go_on.touch()
    assert (await task).text == "one\n"


async def test_it_has_no_input_and_no_terminal() -> None:
    ran = await run_line("cat; (: < /dev/tty) 2>&1 || echo no terminal")
    assert ran.text.endswith("no terminal\n")


async def test_what_it_says_is_never_interpreted_and_keeps_no_secret() -> None:
    ran = await run_line("printf '\\033]52;c;aGk=\\007\\033[2Jpassword=hunter2\\n\\377'")
    assert "\x1b" not in ran.text
    assert "hunter2" not in ran.text


async def test_at_its_time_limit_it_ends_with_its_children() -> None:
    ran = await run_line("echo begun; sleep 61.25 & sleep 61.25", time_limit_s=0.3)
    assert (ran.text, ran.code, ran.late) == ("begun\n", None, True)
    await eventually(lambda: not left("61.25"))


async def test_endless_output_is_cut_and_ended() -> None:
    ran = await run_line("yes infdiag-endless", most_bytes=100_000)
    assert ran.cut
    assert ran.code is None
    assert len(ran.text) <= 100_000
    await eventually(lambda: not left("infdiag-endless"))


async def test_cancelling_ends_it(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    task = asyncio.create_task(run_line(f"touch {begun}; sleep 61.75"))
    await eventually(begun.exists)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await eventually(lambda: not left("61.75"))


async def test_a_command_that_is_not_there_says_so() -> None:
    ran = await run_line("no-such-tool-here --help")
    assert ran.code == 127
    assert "not found" in ran.text
