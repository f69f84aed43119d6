"""Runs one replica of the model server until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import sys

from aiohttp import web

from infdiag_tui.lab.dialects import Dialect, dialects, log_formatter
from infdiag_tui.lab.server.app import ModelServer
from infdiag_tui.lab.server.connections import LimitedSite
from infdiag_tui.lab.server.metrics import Metrics
from infdiag_tui.lab.server.settings import Settings, from_environment

_DRAIN_S = 2.0


def _set_up_logging(settings: Settings, dialect: Dialect) -> None:
    formatter = log_formatter(dialect)
    # WatchedFileHandler opens the file again after it was rotated away.
    for handler in (logging.StreamHandler(sys.stdout), logging.handlers.WatchedFileHandler(settings.log_file)):
        handler.setFormatter(formatter)
        logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


async def _serve(settings: Settings, dialect: Dialect) -> int:
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def stop(code: int) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, 0)
    log = logging.getLogger(f"{dialect.logger}.server")
    log.info(dialect.words["started"], os.getpid())
    metrics = Metrics(dialect.metrics)
    server = ModelServer(settings, dialect, metrics, stop)
    runner = web.AppRunner(server.application(), access_log=None, handle_signals=False, shutdown_timeout=_DRAIN_S)
    try:
        await runner.setup()
        site = LimitedSite(runner, settings.host, settings.port, settings.max_connections, dialect, metrics)
        await site.start()
        log.info(dialect.words["listening"], settings.host, settings.port)
        code = await stopped
        log.info(dialect.words["stopping"])
    finally:
        await runner.cleanup()
    log.info(dialect.words["finished"], os.getpid())
    return code


def main() -> int:
    """The replica's process; returns its exit code."""
    settings = from_environment(os.environ)
    dialect = dialects()[settings.dialect]
    _set_up_logging(settings, dialect)
    return asyncio.run(_serve(settings, dialect))


if __name__ == "__main__":
    sys.exit(main())
