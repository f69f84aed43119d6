"""What tests share: a clock they own, and waiting for a condition instead of sleeping."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import pytest
from aiohttp import web


def need_tool(name: str, package: str) -> str:
    """The path of a program that is not Python's to install.

    Without it the test is skipped, or fails where `INFDIAG_TEST_REQUIRE_TOOLS` is set, as it is in CI.
    """
    return shutil.which(name) or missing_tool(name, package)


def missing_tool(name: str, package: str) -> NoReturn:
    """Skips the test for want of a tool, or fails it where tools are required."""
    words = f"{name} is not installed (Debian: {package})"
    if os.environ.get("INFDIAG_TEST_REQUIRE_TOOLS"):
        pytest.fail(words)
    pytest.skip(words)


class FakeClock:
    """A clock that moves only when told. `set_by` sets its wall clock, as NTP or an operator does."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self._at = at
        self._monotonic = 1000.0
        self.set_by = 0.0

    def now(self) -> float:
        return self._at

    def wall(self) -> float:
        return self._at + self.set_by

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._at += seconds
        self._monotonic += seconds


async def eventually(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Returns once `condition` holds; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {timeout_s} s: {condition}")
        await asyncio.sleep(0.005)


def eventually_blocking(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """The same for code without an event loop."""
    deadline = time.monotonic() + timeout_s
    pause_s = 0.01
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {timeout_s} s: {condition}")
        time.sleep(pause_s)


def need_module(name: str, package: str) -> None:
    """Skips the test where a Python module is absent that is no dependency of ours; it is not imported here.

    It fails instead where `INFDIAG_TEST_REQUIRE_MODULES` names it, as CI does once it has installed it.
    """
    if importlib.util.find_spec(name) is not None:
        return
    words = f"{name} is not installed (pip install {package})"
    if name in os.environ.get("INFDIAG_TEST_REQUIRE_MODULES", "").split():
        pytest.fail(words)
    pytest.skip(words)


@asynccontextmanager
async def serving_app(app: web.Application) -> AsyncIterator[str]:
    """Serves an aiohttp application on a free loopback port; yields its URL."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
