"""One small lab for all tests of this folder; they must leave it as they found it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from infdiag_tui.lab import Lab, running
from tests.lab.helpers import all_ready


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the search path of the lab's containers; who puts a program there takes it away again."""
    return tmp_path_factory.mktemp("tools")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab(tools: Path) -> AsyncIterator[Lab]:
    """One replica."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        async with running("healthy", overrides={"replicas": 1, "usage_interval_s": 1.0}) as one:
            await all_ready(one, 1)
            yield one
