"""The Kubernetes API: reading, paging, watching, logs, usage and rights, through the official client and bare HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from kubernetes import client as kube
from kubernetes import config as kube_config
from kubernetes import stream as kube_stream
from kubernetes import watch as kube_watch

from infdiag_tui.lab import Lab
from tests.lab.helpers import Api, api_of, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextmanager
def _core(lab: Lab) -> Iterator[Any]:
    new_client: Any = kube_config.new_client_from_config
    api_client = new_client(str(lab.kubeconfig_path))
    try:
        yield kube.CoreV1Api(api_client)
    finally:
        api_client.close()
        api_client.rest_client.pool_manager.clear()


async def test_the_official_client_lists_watches_and_reads_logs(healthy: Lab) -> None:
    new_watch: Any = kube_watch.Watch

    def look() -> tuple[set[str], set[str], str]:
        with _core(healthy) as core:
            listed = core.list_namespaced_pod(healthy.namespace, label_selector=healthy.selector)
            events = new_watch().stream(core.list_namespaced_pod, healthy.namespace, timeout_seconds=1)
            watched = {event["object"].metadata.name for event in events}
            names = {pod.metadata.name for pod in listed.items}
            return names, watched, core.read_namespaced_pod_log(min(names), healthy.namespace, tail_lines=3)

    names, watched, log = await asyncio.to_thread(look)
    assert names == {replica.name for replica in await healthy.replicas()} == watched
    assert len(log.splitlines()) == 3
    assert "fraud_scorer" in log


async def test_the_official_client_execs_in_a_pods_folder(healthy: Lab) -> None:
    name = (await healthy.replicas())[0].name

    open_stream: Any = kube_stream.stream

    def run() -> tuple[str, str, int]:
        with _core(healthy) as core:
            session = open_stream(
                core.connect_get_namespaced_pod_exec,
                name,
                healthy.namespace,
                command=["sh", "-c", "pwd; echo trouble >&2; exit 4"],
                stdout=True,
                stderr=True,
                _preload_content=False,
            )
            session.run_forever(timeout=10)
            result = session.read_stdout(), session.read_stderr(), session.returncode
            # The client forgets to close the socket of a session that has ended.
            session.sock.shutdown()
            return result

    out, err, code = await asyncio.to_thread(run)
    assert out.strip() == str(healthy.folder / "pods" / name)
    assert err.strip() == "trouble"
    assert code == 4


async def _exec(api: Api, protocol: str, typed: list[bytes], **query: str) -> tuple[bytes, dict[str, Any]]:
    """Output on stdout, and the Status at the end."""
    name = (await api.lab.replicas())[0].name
    out = b""
    url = f"{api.lab.api_url}{api.pods}/{name}/exec"
    async with api.session.ws_connect(url, params={"stdin": "true", **query}, protocols=[protocol]) as session:
        assert session.protocol == protocol
        for words in typed:
            await session.send_bytes(words)
        async with asyncio.timeout(10):
            async for message in session:
                channel, data = message.data[0], message.data[1:]
                if channel == 3:
                    return out, json.loads(data)
                out += data if channel == 1 else b""
    raise AssertionError(f"no status; output {out!r}")


async def test_exec_closes_input_when_the_client_does(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        typed = [b"\x00one ", b"\x00two", b"\xff\x00"]
        out, status = await _exec(api, "v5.channel.k8s.io", typed, command="cat", stdout="true")
    assert (out, status["status"]) == (b"one two", "Success")


async def test_exec_gives_a_terminal_when_asked(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        typed = [b"\x00tty; exit 5\n"]
        out, status = await _exec(api, "v4.channel.k8s.io", typed, command="sh", stdout="true", tty="true")
    assert b"/dev/pts/" in out
    assert status["details"]["causes"][0]["message"] == "5"


async def test_a_client_that_leaves_does_not_end_its_command_as_under_containerd(healthy: Lab, tmp_path: Path) -> None:
    async with api_of(healthy) as api:
        name = (await healthy.replicas())[0].name
        url = f"{healthy.api_url}{api.pods}/{name}/exec"
        script = f"echo $$; until [ -e {tmp_path}/go ]; do sleep 0.05; echo x; done; touch {tmp_path}/lived"
        words = [("command", "sh"), ("command", "-c"), ("command", script), ("stdout", "true")]
        async with api.session.ws_connect(url, params=words, protocols=["v4.channel.k8s.io"]) as session:
            pid = int((await session.receive_bytes(timeout=10))[1:].split()[0])
        (tmp_path / "go").touch()

        async def gone() -> bool:
            return not psutil.pid_exists(pid)

        await until(gone, "the command ends by itself")
    assert (tmp_path / "lived").exists()


async def test_lists_come_in_pages_that_fit_together(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        _, whole = await api.get(api.pods)
        _, first = await api.get(api.pods, limit=1)
        assert first["metadata"]["remainingItemCount"] == 1
        _, second = await api.get(api.pods, limit=1, **{"continue": first["metadata"]["continue"]})
        assert "continue" not in second["metadata"]
        paged = [pod["metadata"]["name"] for pod in first["items"] + second["items"]]
        assert paged == [pod["metadata"]["name"] for pod in whole["items"]]
        assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_selectors_choose(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        name = (await healthy.replicas())[0].name

        async def chosen(**query: str) -> int:
            return len((await api.get(api.pods, **query))[1]["items"])

        assert await chosen(labelSelector="app=fraud-scorer,pod-template-hash") == 2
        assert await chosen(labelSelector="app in (a, fraud-scorer),!canary") == 2
        assert await chosen(labelSelector="app notin (fraud-scorer)") == 0
        assert await chosen(fieldSelector=f"metadata.name={name}") == 1
        assert await chosen(fieldSelector=f"metadata.name!={name},status.phase=Running") == 1
        assert (await api.get(api.pods, labelSelector="app=("))[0] == 400


async def _watched(api: Api, **query: str | int) -> list[dict[str, Any]]:
    async with api.session.get(api.lab.api_url + api.pods, params={"watch": "true", **query}) as reply:
        assert reply.status == 200
        return [json.loads(line) async for line in reply.content]


async def test_a_watch_from_a_version_shows_only_what_came_after_and_ends_with_a_bookmark(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        _, listed = await api.get(api.pods)
        version = listed["metadata"]["resourceVersion"]
        events = await _watched(api, resourceVersion=version, timeoutSeconds=1, allowWatchBookmarks="true")
        assert [event["type"] for event in events] == ["BOOKMARK"]
        assert int(events[0]["object"]["metadata"]["resourceVersion"]) >= int(version)


async def test_a_watch_from_a_forgotten_version_gets_410(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        events = await _watched(api, resourceVersion=1, timeoutSeconds=5)
        assert [event["type"] for event in events] == ["ERROR"]
        assert events[0]["object"]["code"] == 410


async def test_logs_resume_by_time_without_loss_or_repetition(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        path = f"{api.pods}/{(await healthy.replicas())[0].name}/log"
        _, first = await api.text(path, timestamps="true", tailLines=5)
        stamps = [line.split(" ", 1)[0] for line in first.splitlines()]
        assert stamps == sorted(set(stamps))
        _, again = await api.text(path, timestamps="true", sinceTime=stamps[2])
        assert again.startswith("\n".join(first.splitlines()[2:]))
        _, cut = await api.text(path, limitBytes=10)
        assert len(cut) == 10
        _, nothing = await api.text(path, tailLines=0)
        assert nothing == ""


async def test_a_followed_log_grows_with_each_request(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        replica = (await healthy.replicas())[0]
        url = f"{healthy.api_url}{api.pods}/{replica.name}/log"
        async with api.session.get(url, params={"follow": "true", "tailLines": "0"}) as log:
            async with api.session.get(f"{replica.url}/no-such-page") as reply:
                assert reply.status == 404
            async with asyncio.timeout(10):
                async for line in log.content:
                    if b"/no-such-page" in line:
                        break


async def test_refusals_are_in_the_api_servers_words(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        status, answer = await api.get("/api/v1/namespaces/restricted/pods")
        assert (status, answer["reason"]) == (403, "Forbidden")
        assert 'cannot list resource "pods" in API group "" in the namespace "restricted"' in answer["message"]
        assert (await api.get(f"{api.pods}/nobody"))[0] == 404
        status, answer = await api.get(f"{api.pods}/nobody/log")
        assert (status, answer["message"]) == (404, 'pods "nobody" not found')
        status, answer = await api.get(f"{api.pods}/{(await healthy.replicas())[0].name}/log", previous="true")
        assert status == 400
        assert "previous terminated container" in answer["message"]
        async with api.session.get(healthy.api_url + api.pods, headers={"Authorization": "Bearer other"}) as reply:
            assert reply.status == 401


async def test_a_right_taken_away_is_refused_reviewed_and_given_back(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        asked = {"namespace": healthy.namespace, "verb": "get", "resource": "pods", "subresource": "log"}
        review = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {}}
        review["spec"] = {"resourceAttributes": asked}

        async def allowed() -> bool:
            url = f"{healthy.api_url}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            async with api.session.post(url, json=review) as reply:
                assert reply.status == 201
                return bool((await reply.json())["status"]["allowed"])

        path = f"{api.pods}/{(await healthy.replicas())[0].name}/log"
        assert await allowed()
        await healthy.deny("get", "pods/log")
        try:
            assert not await allowed()
            assert (await api.get(path))[0] == 403
        finally:
            await healthy.deny("get", "pods/log", denied=False)
        assert await allowed()
        assert (await api.text(path, tailLines=1))[0] == 200


async def test_usage_is_that_of_the_real_processes_and_can_be_absent(healthy: Lab) -> None:
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{healthy.namespace}/pods"
    async with api_of(healthy) as api:

        async def sampled() -> Any:
            items = (await api.get(path))[1]["items"]
            # A process at rest may have used no whole clock tick within the window.
            busy = [int(item["containers"][0]["usage"]["cpu"].removesuffix("n")) > 0 for item in items]
            return items if len(items) == 2 and any(busy) else None

        for item in await until(sampled, "usage of both pods"):
            usage = item["containers"][0]["usage"]
            assert 30_000 < int(usage["memory"].removesuffix("Ki")) < 176 * 1024
            assert float(item["window"].removesuffix("s")) > 0
        await healthy.set_metrics_server(available=False)
        try:
            assert (await api.get(path))[0] == 404
            groups = [group["name"] for group in (await api.get("/apis"))[1]["groups"]]
            assert "metrics.k8s.io" not in groups
        finally:
            await healthy.set_metrics_server(available=True)


async def test_the_api_goes_away_and_comes_back_with_all_it_knew(healthy: Lab) -> None:
    async with api_of(healthy) as api:
        _, before = await api.get(api.pods)
        watching = asyncio.create_task(_watched(api, resourceVersion=before["metadata"]["resourceVersion"]))
        await until(lambda: _false_at_first(watching), "the watch is open")
        await healthy.stop_api()
        try:
            with pytest.raises(aiohttp.ClientError):
                await asyncio.wait_for(watching, 5)
            with pytest.raises(aiohttp.ClientConnectorError):
                await api.get(api.pods)
        finally:
            await healthy.start_api()
        _, after = await api.get(api.pods)
        assert [pod["metadata"]["uid"] for pod in after["items"]] == [pod["metadata"]["uid"] for pod in before["items"]]


async def _false_at_first(task: asyncio.Task[Any]) -> bool:
    assert not task.done()
    await asyncio.sleep(0.1)
    return True
