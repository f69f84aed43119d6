"""Runs one check in an engine, as the console does, and tells what it cost the engine's event loop.

    python -m tests.checks.loop_watch NAME FOLDER

Prints a JSON document: how the check ended, the most CPU time that one callback of the loop took, and which files were
opened on the loop's thread. CPU time of the thread, not time on the wall: other programs on a busy machine do not add
to it. A process of its own: what a check imports late is imported here as it is in the console.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from asyncio.events import Handle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from infdiag_tui.clock import SystemClock
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.engine import Engine
from infdiag_tui.model import CheckRun, IncidentInfo, RunState, Snapshot
from infdiag_tui.session import Session
from infdiag_tui.streams import logs
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.targets import resolve_target
from tests.checks.loop_inputs import ERROR_LINES, REPLY, config_for, metrics_page
from tests.support import eventually_blocking

GIVE_UP_AFTER_S = 90.0


class Watch:
    """What callbacks cost on the engine's thread."""

    def __init__(self) -> None:
        self.on = False
        self.worst_s = 0.0
        self.what = ""
        self.opened: list[str] = []
        inner = Handle._run

        def run(handle: Handle) -> None:
            if not _on_engine():
                inner(handle)
                return
            began = time.thread_time()
            inner(handle)
            took_s = time.thread_time() - began
            if self.on and took_s > self.worst_s:
                self.worst_s, self.what = took_s, repr(handle)

        Handle._run = run  # type: ignore[method-assign, assignment]
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self.on or not _on_engine():
            return
        path, mode = arguments[0], arguments[1]
        # Descriptors are pipes to children; code is imported late, at the price that its CPU time shows.
        if isinstance(path, str) and not path.endswith((".py", ".pyc", ".so")) and mode is not None:
            self.opened.append(path)


def _on_engine() -> bool:
    return threading.current_thread().name == "infdiag engine"


@contextmanager
def serving() -> Iterator[str]:
    """A model server on a thread and loop of its own."""
    started, base = threading.Event(), [""]
    loop = asyncio.new_event_loop()
    predicted = 0

    async def predict(request: web.Request) -> web.Response:
        nonlocal predicted
        await request.read()
        predicted += 1
        return web.Response(text=REPLY, content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=metrics_page(predicted))

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"model_version": "7"})

    async def start() -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/predict", predict)
        app.router.add_get("/metrics", metrics)
        app.router.add_get("/health", health)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base[0] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()

    threading.Thread(target=run, daemon=True).start()
    started.wait(20)
    yield base[0]
    loop.call_soon_threadsafe(loop.stop)


def watched(name: str, folder: Path, base: str) -> dict[str, Any]:
    """Runs the check to its end."""
    config = folder / "infdiag.toml"
    config.write_text(config_for(name, folder, base), encoding="utf-8")
    target = resolve_target("m", str(config), TargetFlags())
    watch = Watch()
    # The logs alone: a probe and pods would only add what is not the check's.
    streams = logs.build(target.model, StreamContext())
    engine = Engine(lambda: Session(target, streams, folder, SystemClock()), refresh_s=0.1)
    engine.start()
    try:
        eventually_blocking(lambda: _snapshot(engine).offered is not None, GIVE_UP_AFTER_S)
        eventually_blocking(lambda: _snapshot(engine).logs.total == ERROR_LINES, GIVE_UP_AFTER_S)
        offered = {one.name: one for one in _snapshot(engine).offered or ()}
        watch.on = True
        run_id = engine.start_check(name, {field.name: field.value for field in offered[name].fields})
        asked = False

        def ended() -> bool:
            nonlocal asked
            run = _run(engine)
            if run is not None and run.state is RunState.ASKING and not asked:
                asked = True
                engine.confirm_check(run_id)
            return run is not None and not run.is_open

        eventually_blocking(ended, GIVE_UP_AFTER_S)
        watch.on = False
        run = _run(engine)
        result = run.result if run is not None else None
        return {
            "status": result.status if result else None,
            "summary": result.summary if result else "",
            "worst_s": watch.worst_s,
            "what": watch.what,
            "opened": watch.opened,
        }
    finally:
        engine.stop(10)


def _snapshot(engine: Engine) -> Snapshot:
    failure = engine.failure()
    if failure is not None:
        raise RuntimeError(failure.message)
    return engine.snapshot() or Snapshot(0.0, 0, IncidentInfo("", "", 0.0))


def _run(engine: Engine) -> CheckRun | None:
    runs = _snapshot(engine).checks
    return runs[0] if runs else None


def main() -> None:
    """See above."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    with ExitStack() as stack:
        base = stack.enter_context(serving())
        print(json.dumps(watched(name, folder, base)), flush=True)
    os._exit(0)  # the server's thread is of no further interest


if __name__ == "__main__":
    main()
