"""One small lab for all tests of this folder; they must leave it as they found it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from infdiag_tui.lab import Lab, running
from tests.lab.helpers import all_ready


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab() -> AsyncIterator[Lab]:
    """Two replicas."""
    async with running("healthy", overrides={"replicas": 2, "usage_interval_s": 1.0}) as one:
        await all_ready(one, 2)
        yield one
