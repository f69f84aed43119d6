"""Runs one replica of the model server until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import sys
import time

from aiohttp import web

from infdiag_tui.lab.server.app import ModelServer
from infdiag_tui.lab.server.settings import Settings, from_environment

_log = logging.getLogger("fraud_scorer.server")
_DRAIN_S = 2.0


def _set_up_logging(settings: Settings) -> None:
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    # WatchedFileHandler opens the file again after it was rotated away.
    for handler in (logging.StreamHandler(sys.stdout), logging.handlers.WatchedFileHandler(settings.log_file)):
        handler.setFormatter(formatter)
        logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    _log.info("Started server process [%d]", os.getpid())
    runner = web.AppRunner(
        ModelServer(settings).application(),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_DRAIN_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        _log.info("listening on http://%s:%d (Press CTRL+C to quit)", settings.host, settings.port)
        await stopped.wait()
        _log.info("Shutting down")
    finally:
        await runner.cleanup()
    _log.info("Finished server process [%d]", os.getpid())


def main() -> None:
    """The replica's process."""
    settings = from_environment(os.environ)
    _set_up_logging(settings)
    asyncio.run(_serve(settings))


if __name__ == "__main__":
    main()
