"""The model server through port-forwards into the lab's pods."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from infdiag_tui.config import ModelConfig
from infdiag_tui.lab import Lab
from infdiag_tui.model import ErrorKind, Observation, SourceState, Status
from tests.lab.helpers import all_ready
from tests.reach.helpers import model_at, observed, pod_url, predict, replies, sender_to, service_url
from tests.reach.test_proxy_replies import scripted, status
from tests.support import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


def forwarded(lab: Lab, url: str, **endpoint: object) -> ModelConfig:
    return model_at(lab, url, via="port-forward", **endpoint)


async def test_checks_reach_a_service_and_a_single_pod_with_a_header_of_their_own(lab: Lab) -> None:
    headers = {"authorization": "Bearer models-own"}
    service = await predict(forwarded(lab, service_url(lab), headers=headers))
    pod = await predict(forwarded(lab, await pod_url(lab), headers=headers))

    assert (service.error, pod.error) == ("", "")
    assert service.model_version == pod.model_version != ""


async def test_a_large_body_goes_through_whole(lab: Lab) -> None:
    model = forwarded(lab, service_url(lab))
    assert model.endpoint is not None
    async with sender_to(model) as sender:
        small = await sender.predict(model.endpoint.body)
        padded = {**model.endpoint.body, "padding": "x" * 3_000_000}
        large = await sender.predict(padded)

    assert small.ok
    # Whether the model takes the padding is its own affair: it has to have read all of it to answer.
    assert large.status is not None


async def test_the_probe_keeps_its_connection_and_tells_the_tunnels_share_apart(lab: Lab) -> None:
    told = await observed(
        forwarded(lab, service_url(lab)),
        lambda told: sum(one.phases.tunnel_ms is not None and bool(one.reused) for one in replies(told)) > 5,
    )

    measured = [one for one in replies(told) if one.phases.tunnel_ms is not None]
    assert all(one.ok for one in replies(told))
    assert {(one.phases.dns_ms, one.phases.connect_ms) for one in replies(told)} == {(None, None)}
    assert measured[-1].reused
    assert measured[-1].through.startswith("a port-forward to pod ")


async def test_it_goes_to_another_pod_when_its_own_goes(lab: Lab) -> None:
    model = forwarded(lab, service_url(lab))
    pods: list[str] = []
    gone = asyncio.Event()

    async def delete() -> None:
        await eventually(lambda: pods)
        await lab.delete_pod(pods[0].rpartition(" ")[2])
        gone.set()

    deleting = asyncio.create_task(delete())

    def enough(told: list[Observation]) -> bool:
        found = [one for one in replies(told) if one.ok]
        pods[:] = [found[0].through] if found else []
        return bool(found) and found[-1].through != found[0].through

    try:
        told = await asyncio.wait_for(observed(model, enough), 20)
    finally:
        await deleting
        await all_ready(lab, 2)
    assert replies(told)[-1].ok
    assert ErrorKind.TUNNEL not in {one.error for one in replies(told)}


async def test_it_is_open_again_after_the_api_server_was_away(lab: Lab) -> None:
    model = forwarded(lab, await pod_url(lab))
    steps = {"stopped": False, "started": False}

    async def interrupt() -> None:
        await eventually(lambda: steps["stopped"])
        await lab.stop_api()
        await eventually(lambda: steps["started"])
        await lab.start_api()

    interrupting = asyncio.create_task(interrupt())

    def enough(told: list[Observation]) -> bool:
        found = replies(told)
        steps["stopped"] = any(one.ok for one in found)
        steps["started"] = any(one.error is ErrorKind.TUNNEL for one in found)
        return steps["started"] and isinstance(told[-1], Status) and told[-1].state is SourceState.LIVE

    told = await asyncio.wait_for(observed(model, enough), 20)
    await interrupting
    kinds = {one.error for one in replies(told)} - {None}
    states = [one.state for one in told if isinstance(one, Status)]
    assert kinds == {ErrorKind.TUNNEL}
    assert states[0] is SourceState.LIVE
    assert states[-1] is SourceState.LIVE
    assert SourceState.UNAVAILABLE in states


async def test_a_port_without_listener_a_missing_pod_and_a_missing_service_are_named(lab: Lab) -> None:
    shut = await predict(forwarded(lab, await pod_url(lab, port=1)))
    missing = await predict(forwarded(lab, f"k8s://{lab.namespace}/pod/nobody:80/predict"))
    service = await predict(forwarded(lab, service_url(lab, name="nobody")))
    port = await predict(forwarded(lab, service_url(lab).replace(":" + service_url(lab).split(":")[2][:5], ":1")))

    assert "nothing listens at port 1 of pod" in shut.error
    assert "pod nobody is no longer there" in missing.error
    assert "there is no service nobody" in service.error
    assert "has no port 1, but: " in port.error


async def test_a_denied_port_forward_names_both_verbs(lab: Lab) -> None:
    await lab.deny("get", "pods/portforward")
    try:
        answer = await predict(forwarded(lab, await pod_url(lab)))
    finally:
        await lab.deny("get", "pods/portforward", denied=False)

    assert "not allowed to get pods/portforward" in answer.error
    assert 'verbs ["get", "create"]' in answer.error


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: status(400, "unable to upgrade: missing upgrade headers"),
        lambda _: web.Response(text="a page of a proxy that passes no WebSockets"),
    ],
)
async def test_a_server_without_websockets_is_named_with_the_other_way(tmp_path: Path, reply: object) -> None:
    async with scripted(tmp_path, reply) as api:
        answer = await predict(api.model("k8s://ml/pod/scorer-0:8000/predict", via="port-forward"))

    assert "opens no port-forward to pod scorer-0 over WebSocket" in answer.error
    assert 'endpoint.via = "proxy"' in answer.error


async def test_a_server_that_chooses_no_protocol_is_named(tmp_path: Path) -> None:
    async def upgrade(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    async with scripted(tmp_path, upgrade) as api:
        answer = await predict(api.model("k8s://ml/pod/scorer-0:8000/predict", via="port-forward"))

    assert "opens no port-forward over WebSocket that is known here" in answer.error
