"""Faults of the infrastructure, as an operator at a terminal sees them: within seconds, by name, and mended alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infdiag_tui.lab import running
from infdiag_tui.lab.handle import Lab
from tests.e2e.console import Console
from tests.support import eventually_blocking

pytestmark = pytest.mark.e2e

SEEN_WITHIN_S = 3.0


@pytest.fixture(name="lab")
async def _lab() -> AsyncIterator[Lab]:
    async with running("healthy") as lab:
        yield lab


def console(lab: Lab, home: Path) -> Console:
    return Console("--config", str(lab.config_path), home=home, columns=200, rows=60)


def lines_received(screen: Console) -> int:
    found = re.search(r"([\d,]+) lines", screen.text)
    return int(found.group(1).replace(",", "")) if found else 0


async def test_every_panel_is_live_on_a_healthy_model(lab: Lab, tmp_path: Path) -> None:
    with console(lab, tmp_path) as screen:
        screen.wait_for("fraud-scorer", "GPU 0", "1/1", "Running", "p50", "INFO", "Inference Diagnostic Report")
        screen.wait_for("no findings")


async def test_a_stopped_service_is_seen_in_the_latency_panel_and_recovers(lab: Lab, tmp_path: Path) -> None:
    with console(lab, tmp_path) as screen:
        screen.wait_for("p50", "1/1")
        await lab.stop_service()
        screen.wait_for("Latency ✗ unavailable", "refused", timeout_s=SEEN_WITHIN_S)
        assert screen.shows("p50")  # what was measured before is still there
        await lab.start_service()
        eventually_blocking(lambda: not screen.shows("Latency ✗ unavailable"), SEEN_WITHIN_S)


async def test_a_killed_api_server_is_seen_in_the_pods_panel_and_recovers(lab: Lab, tmp_path: Path) -> None:
    with console(lab, tmp_path) as screen:
        screen.wait_for("Running", "1/1")
        await lab.stop_api()
        screen.wait_for("Pods ✗ unavailable", timeout_s=SEEN_WITHIN_S)
        assert screen.shows("1/1", "Running")
        await lab.start_api()
        eventually_blocking(lambda: not screen.shows("Pods ✗ unavailable"), SEEN_WITHIN_S)


async def test_rotated_logs_lose_no_line_and_need_no_restart(lab: Lab, tmp_path: Path) -> None:
    with console(lab, tmp_path) as screen:
        screen.wait_for("1/1", "INFO")
        before = lines_received(screen)
        await lab.rotate_logs()
        eventually_blocking(lambda: lines_received(screen) > before + 20, 20)
        assert not screen.shows("Logs ✗")


async def test_missing_metrics_and_a_forbidden_verb_are_named_states_of_that_panel_alone(
    lab: Lab,
    tmp_path: Path,
) -> None:
    with console(lab, tmp_path) as screen:
        screen.wait_for("1/1", "Running")
        await lab.set_metrics_server(available=False)
        screen.wait_for("Pods ▲ degraded", "metrics-server", timeout_s=30)
        assert screen.shows("1/1", "p50")
        await lab.set_metrics_server(available=True)
        eventually_blocking(lambda: not screen.shows("Pods ▲ degraded"), 30)
