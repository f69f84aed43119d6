"""The lab's proxy and port-forwards as other clients use them: the official one and kubectl."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from kubernetes import client as kube
from kubernetes import config as kube_config
from kubernetes import stream as kube_stream

from infdiag_tui.lab import Lab
from tests.lab.helpers import api_of
from tests.support import need_tool

pytestmark = pytest.mark.asyncio(loop_scope="session")


def service_of(lab: Lab) -> tuple[str, int]:
    """Name and port."""
    return lab.selector.partition("=")[2], urlsplit(lab.endpoint_url).port or 0


async def test_the_official_client_forwards_a_port_and_asks_through_the_proxy(healthy: Lab) -> None:
    pod = (await healthy.replicas())[0]
    port = urlsplit(pod.url).port
    service, service_port = service_of(healthy)

    def ask() -> tuple[bytes, str]:
        new_client: Any = kube_config.new_client_from_config
        with new_client(str(healthy.kubeconfig_path)) as api:
            core = kube.CoreV1Api(api)
            health = core.connect_get_namespaced_service_proxy_with_path(
                f"{service}:{service_port}", healthy.namespace, "health"
            )
            forward = kube_stream.portforward(
                core.connect_get_namespaced_pod_portforward, pod.name, healthy.namespace, ports=str(port)
            )
            socket = forward.socket(port)
            socket.settimeout(10)
            socket.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            said = b""
            while part := socket.recv(65_536):
                said += part
            # The client leaves all of these to the garbage collector.
            socket.close()
            forward.websocket.shutdown()
            api.rest_client.pool_manager.clear()
            return said, str(health)

    said, health = await asyncio.to_thread(ask)
    assert said.startswith(b"HTTP/1.1 200")
    assert "model_version" in health


async def test_kubectl_reads_through_the_proxy(healthy: Lab) -> None:
    service, port = service_of(healthy)
    path = f"/api/v1/namespaces/{healthy.namespace}/services/{service}:{port}/proxy/health"
    process = await asyncio.create_subprocess_exec(
        need_tool("kubectl", "kubernetes-client"),
        *("get", "--raw", path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "KUBECONFIG": str(healthy.kubeconfig_path), "HOME": str(healthy.folder)},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)

    assert b"model_version" in out


@asynccontextmanager
async def kubectl_forward(lab: Lab, target: str, port: int) -> AsyncIterator[str]:
    """The local URL at which kubectl listens."""
    process = await asyncio.create_subprocess_exec(
        need_tool("kubectl", "kubernetes-client"),
        *("port-forward", "--address", "127.0.0.1", target, f":{port}"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "KUBECONFIG": str(lab.kubeconfig_path), "HOME": str(lab.folder)},
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, line
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 10)


async def test_kubectl_forwards_a_port_of_a_service(healthy: Lab) -> None:
    service, port = service_of(healthy)
    async with (
        kubectl_forward(healthy, f"service/{service}", port) as url,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(2):
            async with session.get(f"{url}/health", headers={"Connection": "close"}) as reply:
                assert reply.status == 200
                assert "model_version" in await reply.text()


async def test_what_is_not_there_is_refused_in_the_api_servers_words(healthy: Lab) -> None:
    service, port = service_of(healthy)
    async with api_of(healthy) as api:
        path = f"/api/v1/namespaces/{healthy.namespace}/services"
        missing, said = await api.get(f"{path}/nobody:80/proxy/health")
        wrong_port, why = await api.get(f"{path}/{service}:1/proxy/health")
        found, _ = await api.get(f"{path}/{service}:{port}/proxy/health")

    assert (missing, said["message"]) == (404, 'services "nobody" not found')
    assert wrong_port == 503
    assert "no service port" in why["message"]
    assert found == 200
