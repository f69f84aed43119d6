"""The lab as a command: servers and a config that points at them, until it is interrupted or its parent ends."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infdiag_tui.lab.processes import die_with_parent
from infdiag_tui.lab.scenarios import Scenario, scenario_named, scenarios


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the lab as a command; returns its exit code (2: wrong usage, 3: it could not be started)."""
    options = _parse(arguments)
    try:
        scenario = scenario_named(options.scenario, json.loads(options.overrides))
    except ValueError as error:
        _say(f"infdiag lab: {error}")
        return 2
    if not options.end_with_stdin:
        die_with_parent(signal.SIGTERM)
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="infdiag-lab-"))
    code = 3
    try:
        folder.mkdir(parents=True, exist_ok=True)
        code = asyncio.run(_run(scenario, options, folder.resolve()))
    except (OSError, TimeoutError) as error:
        reason = str(error) or "the replicas did not become ready in time"
        _say(f"infdiag lab: the scenario could not be started: {reason}")
    finally:
        # After a failure the owner may want to read what the folder holds.
        if options.folder is None or (options.remove_folder and code == 0):
            shutil.rmtree(folder, ignore_errors=True)
    return code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="infdiag lab", description="Runs an incident on this machine's loopback.")
    parser.add_argument("scenario", help="; ".join(f"{name}: {summary}" for name, summary in scenarios().items()))
    parser.add_argument("--config-out", type=Path, help="where to write the infdiag.toml that points at the lab")
    parser.add_argument("--folder", type=Path, help="where to keep logs and pods' files; default: a temporary folder")
    parser.add_argument("--remove-folder", action="store_true", help="remove the folder after an ordinary end")
    parser.add_argument("--seed", type=int, default=0, help="seed of the model's weights and the traffic")
    parser.add_argument("--overrides", default="{}", help="scenario values to replace, as a JSON object")
    parser.add_argument("--end-with-stdin", action="store_true", help="print JSON when ready, end when stdin ends")
    return parser.parse_args(arguments)


async def _run(scenario: Scenario, options: argparse.Namespace, folder: Path) -> int:
    ended = asyncio.Event()
    failures: list[BaseException] = []
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)

    def on_failure(running: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        running.default_exception_handler(context)
        if isinstance(error := context.get("exception"), BaseException):
            failures.append(error)
            ended.set()

    loop.set_exception_handler(on_failure)
    if options.end_with_stdin:
        await _end_with_stdin(ended)
    config_path = options.config_out or folder / "infdiag.toml"
    staging = asyncio.create_task(_stage(scenario, options, folder, config_path, ended))
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait([staging, ending], return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    # Ended before it was ready: leave the staging where it stands.
    if not staging.done():
        staging.cancel()
    await asyncio.gather(staging, return_exceptions=True)
    if not staging.cancelled():
        staging.result()
    return 1 if failures else 0


async def _stage(
    scenario: Scenario,
    options: argparse.Namespace,
    folder: Path,
    config_path: Path,
    ended: asyncio.Event,
) -> None:
    from infdiag_tui.lab.cluster import staged

    async with staged(scenario, options.seed, folder, config_path) as places:
        if options.end_with_stdin:
            sys.stdout.write(json.dumps(places) + "\n")
            sys.stdout.flush()
        else:
            for name, place in places.items():
                _say(f"{name}: {place}")
            _say(f"Now run: infdiag --config {config_path} (Ctrl+C here ends the lab)")
        await ended.wait()


async def _end_with_stdin(ended: asyncio.Event) -> None:
    """Sets `ended` when the other end of standard input is closed, which also its owner's death does."""

    class Watcher(asyncio.Protocol):
        def connection_lost(self, _exc: Exception | None) -> None:
            ended.set()

    await asyncio.get_running_loop().connect_read_pipe(Watcher, os.fdopen(os.dup(sys.stdin.fileno()), "rb"))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
