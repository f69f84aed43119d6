"""Nothing of the lab outlives its owner, however the owner ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import psutil
import pytest

from infdiag_tui.lab import Lab, running
from tests.lab.helpers import all_ready, until

_OWNER = """
import asyncio, json, sys
from infdiag_tui.lab import running

async def main():
    async with running("healthy", overrides={"replicas": 2}) as lab:
        print(json.dumps([lab.pid, str(lab.folder)]), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def _family(pid: int) -> list[psutil.Process]:
    lab = psutil.Process(pid)
    return [lab, *lab.children(recursive=True)]


async def _gone(processes: list[psutil.Process], what: str) -> None:
    async def none_left() -> bool:
        return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)

    await until(none_left, f"all processes are gone after {what}", 10)


async def test_leaving_the_block_ends_every_process_and_removes_the_folder() -> None:
    async with running("healthy", overrides={"replicas": 2}) as lab:
        await all_ready(lab, 2)
        processes = _family(lab.pid)
        assert len(processes) == 4  # the lab, two replicas, the feature store
    await _gone(processes, "the block")
    assert not lab.folder.exists()


async def test_a_given_folder_is_kept(tmp_path: Path) -> None:
    async with running("healthy", folder=tmp_path, overrides={"replicas": 1}) as lab:
        assert lab.folder == tmp_path
    assert (tmp_path / "logs" / "gateway.log").stat().st_size > 0
    assert (tmp_path / "lab.log").read_text() == ""


async def test_an_error_in_the_block_ends_the_lab_too() -> None:
    seen: list[Lab] = []

    async def fail_within() -> None:
        async with running("healthy", overrides={"replicas": 1}) as lab:
            seen.append(lab)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await fail_within()
    assert not psutil.pid_exists(seen[0].pid)


async def test_killing_the_owner_ends_every_process() -> None:
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", _OWNER, stdin=DEVNULL, stdout=PIPE)
    assert owner.stdout is not None
    pid, folder = json.loads(await asyncio.wait_for(owner.stdout.readline(), 30))
    processes = _family(pid)
    owner.kill()
    await owner.wait()
    await _gone(processes, "the owner's death")
    # Its owner can no longer do it.
    assert not Path(folder).exists()


async def test_killing_the_lab_itself_ends_its_replicas() -> None:
    async with running("healthy", overrides={"replicas": 2}) as lab:
        await all_ready(lab, 2)
        processes = _family(lab.pid)
        os.kill(lab.pid, signal.SIGKILL)
        await _gone(processes, "the lab's death")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_runs_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    config = tmp_path / "infdiag.toml"
    words = ("-m", "infdiag_tui.lab", "healthy", "--config-out", str(config), "--overrides", '{"replicas": 1}')
    command = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    assert command.stderr is not None
    lines: list[str] = []
    while not (lines and lines[-1].startswith("Now run:")):
        lines.append((await asyncio.wait_for(command.stderr.readline(), 30)).decode())
        assert lines[-1], lines
    assert str(config) in lines[-1]
    assert config.exists()
    processes = _family(command.pid)
    command.send_signal(number)
    out, err = await asyncio.wait_for(command.communicate(), 10)
    assert (command.returncode, out, err) == (0, b"", b"")
    await _gone(processes, number.name)


async def test_the_command_names_what_is_wrong() -> None:
    words = ("-m", "infdiag_tui.lab", "no-such")
    command = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(command.communicate(), 30)
    assert (command.returncode, out) == (2, b"")
    assert b"memory-leak" in err
    assert b"Traceback" not in err
