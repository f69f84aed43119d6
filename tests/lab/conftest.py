"""One healthy lab for all tests that only look at it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from infdiag_tui.lab import Lab, running
from tests.lab.helpers import all_ready


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def healthy() -> AsyncIterator[Lab]:
    """Two replicas under load; tests must leave it as they found it."""
    async with running("healthy", overrides={"replicas": 2, "usage_interval_s": 1.0}) as lab:
        await all_ready(lab, 2)
        yield lab
