"""What the scenarios do to real processes, in fast motion, and what can be broken by hand."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infdiag_tui.config import Config
from infdiag_tui.lab import Lab, LabError, ReplicaState, running, scenarios
from infdiag_tui.lab.traffic import known_good_input
from tests.lab.helpers import all_ready, api_of, until

_MIB = 1024 * 1024


async def _predict(session: aiohttp.ClientSession, url: str, merchants: int = 20_000) -> int:
    async with session.post(url, json=known_good_input(merchants)) as reply:
        await reply.read()
        return reply.status


async def test_a_leaking_container_is_killed_for_its_memory_and_started_again() -> None:
    quick: dict[str, int | float] = {"fault_after_s": 0.0, "fault_stagger_s": 0.0, "replicas": 1, "traffic_rps": 0.0}
    async with (
        running("memory-leak", overrides={**quick, "kept_bytes_per_request": 20 * _MIB}) as lab,
        api_of(lab) as api,
    ):
        before = (await all_ready(lab, 1))[0]
        async with aiohttp.ClientSession() as session:
            for _ in range(16):
                try:
                    await _predict(session, lab.endpoint_url)
                except aiohttp.ClientError:
                    break

            async def killed() -> Any:
                pod = (await api.get(f"{api.pods}/{before.name}"))[1]
                status = pod["status"]["containerStatuses"][0]
                return status if status["restartCount"] == 1 and status["ready"] else None

            status = await until(killed, "the container is OOMKilled and runs again")
        assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
        assert status["lastState"]["terminated"]["exitCode"] == 137
        after = (await lab.replicas())[0]
        assert after.pid != before.pid
        code, previous = await api.text(f"{api.pods}/{before.name}/log", previous="true")
        assert code == 200
        assert "POST /predict" in previous
        assert "leak" not in previous
        assert "explanation cache holds" in previous
        events = (await api.get(f"/api/v1/namespaces/{lab.namespace}/events"))[1]["items"]
        assert "OOMKilling" in {event["reason"] for event in events}


async def test_a_replaced_pod_loads_its_model_with_its_first_request() -> None:
    quick: dict[str, int | float] = {
        "fault_after_s": 1.0,
        "replace_pod_every_s": 60.0,
        "replicas": 1,
        "traffic_rps": 0.0,
        "warmup_s": 0.01,
    }
    async with running("cold-start", overrides=quick) as lab, api_of(lab) as api, aiohttp.ClientSession() as session:
        first = (await lab.replicas())[0]

        async def replaced() -> ReplicaState | None:
            replicas = await lab.replicas()
            return replicas[0] if [replica.name != first.name for replica in replicas] == [True] else None

        second = await until(replaced, "the pod is replaced")
        await all_ready(lab, 1)
        path = f"{api.pods}/{second.name}/log"
        assert "loading model" not in (await api.text(path))[1]
        assert await _predict(session, f"{second.url}/predict") == 200
        assert "model loaded in" in (await api.text(path))[1]


async def test_a_crash_looping_container_waits_longer_each_time_and_its_service_refuses() -> None:
    async with running("healthy", overrides={"replicas": 1, "backoff_s": 30.0, "traffic_rps": 0.0}) as lab:
        pod = (await all_ready(lab, 1))[0].name
        await lab.kill_replica(pod)

        async def restarted() -> bool:
            return [(one.restarts, one.ready) for one in await lab.replicas()] == [(1, True)]

        await until(restarted, "the first restart comes at once")
        await lab.kill_replica(pod)
        async with api_of(lab) as api:

            async def waiting() -> Any:
                status = (await api.get(f"{api.pods}/{pod}"))[1]["status"]["containerStatuses"][0]
                return status["state"].get("waiting")

            assert (await until(waiting, "the second restart waits"))["reason"] == "CrashLoopBackOff"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await _predict(session, lab.endpoint_url)
        with pytest.raises(LabError, match="does not run"):
            await lab.kill_replica(pod)


async def test_service_gpu_exporter_and_logs_break_and_mend_on_the_same_ports() -> None:
    async with running("healthy", overrides={"replicas": 1}) as lab, aiohttp.ClientSession() as session:
        assert await _predict(session, lab.endpoint_url) == 200
        for stop, start, url in (
            (lab.stop_service, lab.start_service, lab.endpoint_url.replace("/predict", "/health")),
            (lab.stop_gpu, lab.start_gpu, lab.dcgm_url),
        ):
            await stop()
            with pytest.raises(aiohttp.ClientError):
                await session.get(url)
            await start()
            async with session.get(url) as reply:
                assert reply.status == 200
        await lab.rotate_logs()
        for path in lab.log_files:
            assert path.with_name(path.name + ".1").stat().st_size > 0

            async def written_again(path: Path = path) -> bool:
                return path.exists() and path.stat().st_size > 0

            await until(written_again, f"{path.name} is written again")


async def test_the_config_it_writes_is_valid_and_points_at_it(healthy: Lab) -> None:
    config = Config.model_validate(tomllib.loads(healthy.config_path.read_text()))
    model = config.models["fraud-scorer"]
    assert model.endpoint is not None
    assert model.kubernetes is not None
    assert model.endpoint.url == healthy.endpoint_url
    assert model.kubernetes.kubeconfig == healthy.kubeconfig_path
    assert model.gpu.dcgm_url == healthy.dcgm_url
    assert healthy.kubeconfig_path.stat().st_mode & 0o077 == 0


async def test_unknown_scenarios_and_overrides_are_named_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="memory-leak"):
        async with running("no-such"):
            pass
    with pytest.raises(ValueError, match="traffic_rps"):
        async with running("healthy", overrides={"rps": 1}):
            pass
    with pytest.raises(ValueError, match="must be a int"):
        async with running("healthy", overrides={"replicas": 1.5}):
            pass
    assert {"healthy", "memory-leak", "preprocessing-slow", "cold-start"} <= scenarios().keys()


async def test_two_labs_do_not_meet() -> None:
    quick = {"replicas": 1}
    async with running("healthy", overrides=quick) as one, running("healthy", overrides=quick) as other:
        assert one.endpoint_url != other.endpoint_url
        urls = await asyncio.gather(one.replicas(), other.replicas())
        assert urls[0][0].url != urls[1][0].url


async def test_a_deleted_pod_is_seen_to_end_and_another_to_begin() -> None:
    async with running("healthy", overrides={"replicas": 1}) as lab, api_of(lab) as api:
        first = (await all_ready(lab, 1))[0]
        _, listed = await api.get(api.pods)
        query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with api.session.get(lab.api_url + api.pods, params=query) as watching:
            await lab.delete_pod(first.name)
            kinds: dict[str, list[str]] = {}
            async with asyncio.timeout(15):
                async for line in watching.content:
                    event = json.loads(line)
                    kinds.setdefault(event["object"]["metadata"]["name"], []).append(event["type"])
                    if event["type"] == "DELETED":
                        break
        assert kinds.pop(first.name)[-1] == "DELETED"
        (second,) = kinds
        assert kinds[second][0] == "ADDED"
        await all_ready(lab, 1)
        assert [replica.name for replica in await lab.replicas()] == [second]


async def test_the_service_passes_on_bodies_however_they_are_framed(healthy: Lab) -> None:
    body = json.dumps(known_good_input(20_000)).encode()

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    async with aiohttp.ClientSession() as session:
        async with session.post(healthy.endpoint_url, data=in_chunks()) as reply:
            chunked = await reply.json()
            assert reply.status == 200
        async with session.post(healthy.endpoint_url, data=body, headers={"Expect": "100-continue"}) as reply:
            assert await reply.json() == chunked
        async with session.post(healthy.endpoint_url, data=body, headers={"Connection": "close"}) as reply:
            assert await reply.json() == chunked
        async with session.head(healthy.endpoint_url.replace("/predict", "/health")) as reply:
            assert (reply.status, await reply.read()) == (200, b"")
