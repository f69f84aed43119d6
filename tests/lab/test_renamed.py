"""A diagnosis rests on facts, not on names: a lab that calls everything otherwise gets the same one."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.diagnosis import Outcome, triaged
from infdiag_tui.lab.scenarios import all_scenarios

WATCH_S = 14.0
QUICK: dict[str, int | float] = {"fault_after_s": 1.0}


@pytest.mark.parametrize("name", ["gpu-memory-exhausted"])
async def test_other_names_of_pods_metrics_and_log_lines_change_no_verdict(name: str) -> None:
    scenario = all_scenarios()[name]

    async def named(dialect: int) -> Outcome:
        return await triaged(scenario, 1, WATCH_S, {**QUICK, "dialect": dialect})

    async with asyncio.timeout(90):
        one, other = await asyncio.gather(named(0), named(1))

    assert one.root_causes == scenario.causes, one
    assert other.root_causes == scenario.causes, other
