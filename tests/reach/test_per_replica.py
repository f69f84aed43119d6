"""Each replica probed in turn: in the lab's cluster, directly and by its API."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, cast

import pytest

from infdiag_tui.config import Via
from infdiag_tui.lab import Lab
from infdiag_tui.model import Pod, Reply
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.cluster import build as build_cluster
from infdiag_tui.streams.latency_replicas import build
from tests.reach.helpers import model_at, service_url
from tests.support import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("via", [Via.DIRECT, Via.PROXY, Via.PORT_FORWARD])
async def test_every_ready_pod_is_asked_as_often_as_its_equals(lab: Lab, via: Via) -> None:
    url = lab.endpoint_url if via is Via.DIRECT else service_url(lab)
    model = model_at(lab, url, via=via, per_replica=True)
    context = StreamContext()
    pods, *_ = build_cluster(model, context)
    found: list[Pod] = []

    async def watch() -> None:
        async with aclosing(cast("Any", pods.observe())) as observations:
            async for observation in observations:
                found.extend([observation] if isinstance(observation, Pod) else [])

    watching = asyncio.create_task(watch())
    (stream,) = build(model, context)
    told: list[Reply] = []
    try:
        async with asyncio.timeout(20), aclosing(cast("Any", stream.observe())) as observations:
            async for observation in observations:
                told += [observation] if isinstance(observation, Reply) else []
                if len(told) >= 12:
                    break
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    await eventually(lambda: found)
    names = {replica.name for replica in await lab.replicas()}
    assert all(one.ok and one.in_turn for one in told), [one.error_text for one in told]
    assert {one.replica.rpartition("/")[2] for one in told} == names
    by_name = [sum(one.replica.endswith(name) for one in told) for name in names]
    assert max(by_name) - min(by_name) <= 2


async def test_it_is_built_only_where_it_is_asked_for_and_pods_are_known(lab: Lab) -> None:
    model = model_at(lab, lab.endpoint_url)
    asked = model_at(lab, lab.endpoint_url, per_replica=True)
    context = StreamContext()
    build_cluster(model, context)

    assert build(model, context) == []
    assert build(asked, StreamContext()) == []
    assert len(build(asked, context)) == 1
