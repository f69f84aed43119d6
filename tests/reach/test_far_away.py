"""A way that is long: what it adds is its own, and neither the model's nor the network's."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest

from infdiag_tui.config import Endpoint, Kubernetes, ModelConfig
from infdiag_tui.lab import Lab
from infdiag_tui.model import Observation, Reply
from tests.reach.far_away import far_away
from tests.reach.helpers import model_at, observed, pod_url, replies, service_url
from tests.reach.sshd import sshd, user
from tests.reach.test_ssh import scorer
from tests.support import serving_app

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUND_TRIP_S = 0.15
"""More than the model takes, so that it cannot hide in it."""


def enough(told: list[Observation]) -> bool:
    return sum(one.phases.tunnel_ms is not None and bool(one.reused) for one in replies(told)) >= 8


def told_apart(told: list[Observation]) -> tuple[float, float]:
    """Medians of the way's share and of the rest, milliseconds, on kept connections."""
    kept: list[Reply] = [one for one in replies(told) if one.reused and one.phases.tunnel_ms is not None]
    assert all(one.ok for one in kept), [one.error_text for one in kept]
    share = statistics.median(one.phases.tunnel_ms or 0.0 for one in kept)
    return share, statistics.median(one.own_ms for one in kept)


@pytest.mark.parametrize("via", ["proxy", "port-forward"])
async def test_a_far_api_server_is_not_the_models_latency(lab: Lab, tmp_path: Path, via: str) -> None:
    near = await observed(model_at(lab, service_url(lab), via=via), enough)
    model_takes_ms = told_apart(near)[1]
    port = int(lab.api_url.rpartition(":")[2])
    async with far_away(port, ROUND_TRIP_S) as far:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(re.sub(rf"127\.0\.0\.1:{port}", f"127.0.0.1:{far}", lab.kubeconfig_path.read_text()))
        model = model_at(lab, await pod_url(lab), via=via)
        away = model.model_copy(update={"kubernetes": Kubernetes(kubeconfig=kubeconfig, namespace=lab.namespace)})
        share_ms, own_ms = told_apart(await observed(away, enough))

    assert share_ms == pytest.approx(ROUND_TRIP_S * 1e3, abs=60)
    assert own_ms < model_takes_ms + 60


async def test_a_far_ssh_host_is_not_the_models_latency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sshd(tmp_path) as server:
        monkeypatch.setenv("HOME", str(server.home))
        async with serving_app(scorer()) as base, far_away(server.port, ROUND_TRIP_S) as far:
            server.known_hosts.write_text(server.known_hosts.read_text().replace(str(server.port), str(far)))
            model = ModelConfig(
                endpoint=Endpoint(url=f"{base}/predict", via="ssh", body={}, rate_per_s=20.0),
                ssh={"host": "127.0.0.1", "port": far, "user": user()},
            )
            share_ms, own_ms = told_apart(await observed(model, enough))

    assert share_ms == pytest.approx(ROUND_TRIP_S * 1e3, abs=60)
    assert own_ms < 60
