"""The machine's clock is set in mid-run, by an hour, while a session watches a cluster that goes by the same time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infdiag_tui.clock import SteadyClock
from infdiag_tui.config import Config, Kubernetes, ModelConfig
from infdiag_tui.model import Evidence, SeriesKey, Verdict
from infdiag_tui.session import Session
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.pod_table import PodTable
from infdiag_tui.streams.pods import PodsStream
from infdiag_tui.targets import Target
from tests.streams.kube.fake_api import event, pod, usage
from tests.streams.kube.harness import HURRIED, kubeconfig, served
from tests.support import eventually

MEMORY = SeriesKey("pod.memory_bytes", "ml/a")


class Machine:
    """A machine whose wall clock is set when told."""

    def __init__(self) -> None:
        self.set_by = 0.0
        self.clock = SteadyClock(lambda: time.time() + self.set_by, time.monotonic)

    def stamp(self, ago_s: float) -> str:
        """A moment by the wall clock, as the cluster writes it."""
        return datetime.fromtimestamp(self.clock.wall() - ago_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("set_by", [-3600.0, 3600.0])
async def test_what_comes_after_a_clock_was_set_is_as_new_as_it_is(tmp_path: Path, set_by: float) -> None:
    machine = Machine()
    path = tmp_path / "kubeconfig"
    async with served() as api:
        path.write_text(kubeconfig(api.port))
        section = Kubernetes(kubeconfig=path, selector="app=fraud-scorer")
        section = section.model_copy(update={"usage_interval_s": 0.1})
        client = KubeClient(section, machine.clock, "infdiag-test", HURRIED)
        stream = PodsStream(client, section, machine.clock, PodTable(machine.clock))
        session = Session(Target("m", "", ModelConfig(), Config()), (stream,), tmp_path, machine.clock)
        await api.put_pod(pod("a"))
        api.metrics = [usage("a", at=machine.stamp(20.0), memory="512Mi")]
        running = asyncio.create_task(session.run())
        try:
            await eventually(lambda: session.snapshot().series.get(MEMORY))

            machine.set_by = set_by
            ended = {"reason": "Error", "exitCode": 1, "finishedAt": machine.stamp(1800.0)}
            raw = pod("a", restarts=1)
            raw["status"]["containerStatuses"][0]["lastState"] = {"terminated": ended}
            await api.put_pod(raw)
            api.metrics = [usage("a", at=machine.stamp(1.0), memory="1992Mi")]
            for name, message in (("live", "Liveness probe failed: timeout"), ("ready", "Readiness probe failed: 503")):
                # Stamps have whole seconds: this one is not from before the session began.
                stamps = {"firstTimestamp": machine.stamp(-1.0), "lastTimestamp": machine.stamp(-1.0)}
                await api.put_event(event(name, "a", message=message, **stamps))

            def told(id_: str) -> list[Evidence]:
                bad = (Verdict.WARN, Verdict.FAIL)
                return [one for one in session.snapshot().evidence if one.id == id_ and one.verdict in bad]

            await eventually(lambda: told("pods.exit_error"))
            await eventually(lambda: told("pods.memory_share"))
            await eventually(lambda: told("pods.probe_failures"))
            await eventually(lambda: told("logs.signature"))

            now = machine.clock.now()
            times = session.snapshot().series[MEMORY].times
            assert len(times) == 2
            assert now - 30.0 < times[0] <= times[1] <= now
            assert {now - 30.0 < one.last_at <= now for one in session.snapshot().signatures} == {True}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
