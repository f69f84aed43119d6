"""The model server through the API server's proxy, in the lab's cluster."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

import pytest

from infdiag_tui.config import Metrics
from infdiag_tui.lab import Lab
from infdiag_tui.model import ErrorKind, Sample, SourceState, Status
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.reach.open import reach_for
from infdiag_tui.streams.server_metrics import ServerMetricsStream
from tests.reach.helpers import model_at, observed, pod_url, predict, replies, sender_to, service_url

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_checks_reach_a_service_and_a_single_pod(lab: Lab) -> None:
    service, pod = await predict(model_at(lab, service_url(lab))), await predict(model_at(lab, await pod_url(lab)))

    assert (service.error, pod.error) == ("", "")
    assert (service.status, pod.status) == (200, 200)
    assert service.body.keys() == pod.body.keys()
    assert service.model_version == pod.model_version != ""


async def test_the_probe_tells_the_tunnels_share_apart(lab: Lab) -> None:
    told = await observed(
        model_at(lab, service_url(lab)), lambda told: sum(one.phases.tunnel_ms is not None for one in replies(told)) > 5
    )

    measured = [one for one in replies(told) if one.phases.tunnel_ms is not None]
    assert {one.through for one in replies(told)} == {"the API server's proxy"}
    for one in measured:
        phases = one.phases
        assert one.ok
        assert (phases.dns_ms, phases.connect_ms, phases.tls_ms) == (None, None, None)
        parts = [phases.tunnel_ms, phases.send_ms, phases.wait_ms, phases.receive_ms]
        assert sum(part or 0.0 for part in parts) <= one.total_ms + 5.0 + (phases.tunnel_ms or 0.0)


async def test_what_the_server_says_itself_passes_unchanged(lab: Lab) -> None:
    async with sender_to(model_at(lab, service_url(lab))) as sender:
        missing = await sender.get(service_url(lab, "/no-such-page"))
        health = await sender.get(service_url(lab, "/health"))

    assert (missing.status, health.status) == (404, 200)
    assert "HTTP 404" in missing.error
    assert "model_version" in health.text


async def test_a_missing_service_and_a_port_without_listener_are_named(lab: Lab) -> None:
    missing = await predict(model_at(lab, service_url(lab, name="nobody")))
    shut = await predict(model_at(lab, await pod_url(lab, port=1)))

    assert "there is no service nobody (namespace" in missing.error
    assert "kubectl get services" in missing.error
    assert "cannot connect to pod" in shut.error
    assert "connection refused" in shut.error


async def test_a_denied_proxy_names_verb_and_resource_and_blames_nobody(lab: Lab) -> None:
    await lab.deny("create", "services/proxy")
    try:
        told = await observed(model_at(lab, service_url(lab)), lambda told: len(told) > 3)
        answer = await predict(model_at(lab, service_url(lab)))
    finally:
        await lab.deny("create", "services/proxy", denied=False)

    assert {one.error for one in replies(told)} == {ErrorKind.TUNNEL}
    (status,) = [one for one in told if isinstance(one, Status)]
    assert status.state is SourceState.UNAVAILABLE
    assert "not allowed to create services/proxy in namespace" in status.reason
    assert 'resources ["services/proxy"], verbs ["create"]' in status.remedy
    assert "kubectl auth can-i create services --subresource=proxy" in answer.error


async def test_an_authorization_header_of_the_models_own_is_refused_with_the_reason(lab: Lab) -> None:
    answer = await predict(model_at(lab, service_url(lab), headers={"authorization": "Bearer models-own"}))

    assert "cannot go through the API server's proxy" in answer.error
    assert "port-forward" in answer.error
    assert "models-own" not in answer.error


async def test_metrics_of_pods_are_read_through_the_proxy(lab: Lab) -> None:
    model = model_at(lab, service_url(lab))
    url = model_at(lab, await pod_url(lab, path="/metrics")).endpoint
    assert url is not None
    context = StreamContext()
    settings = Metrics(urls=(url.url,), interval_s=1)
    stream = ServerMetricsStream(model.endpoint, settings, context, reach_for(model, context))
    async with aclosing(cast("Any", stream.observe())) as observations:
        async for observation in observations:
            if isinstance(observation, Sample):
                break
            assert not (isinstance(observation, Status) and observation.state is SourceState.UNAVAILABLE)
    assert observation.key.entity
