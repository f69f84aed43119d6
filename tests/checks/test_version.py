"""The model's version on service and replicas, image digests, and model files here and in a container."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from checks.base import CheckError, Replica
from checks.running import run_check
from checks.version import CHECK, VersionParams
from checks.version_files import REMOTE_SCRIPT
from checks.version_sources import SOURCES
from infdiag_tui.config import Protocol
from infdiag_tui.model import CheckStatus, Verdict
from tests.checks.beside import Beside
from tests.checks.serving import NOW, ModelServer, bare_context, context_for, evidence_of, serving


def healthy(version: Any) -> ModelServer:
    return ModelServer(pages={"/health": {"status": "ok", "model_version": version}})


class HostShell(Beside):
    """Runs commands on this machine in place of a container."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []

    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        self.commands.append(command)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, said = await asyncio.wait_for(process.communicate(stdin), timeout_s)
        return process.returncode or 0, out, said


class Forbidden(Beside):
    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        raise CheckError("exec into pod-0 is forbidden for this user")


@pytest.mark.parametrize(("expected", "status"), [("2.4.1", CheckStatus.OK), ("v2.4.1", CheckStatus.OK)])
async def test_the_expected_version_is_ok(tmp_path: Path, expected: str, status: CheckStatus) -> None:
    server = healthy("2.4.1")
    async with serving(server) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, VersionParams(expected=expected), context)

    assert result.status is status
    replica = result.result["replicas"][0]
    assert (replica["target"], replica["version"], replica["digest"]) == ("service", "2.4.1", None)
    assert result.result["service"] == {"versions": ["2.4.1"], "asked": 5, "error": None}
    assert server.paths == ["/health"] * 5


async def test_another_version_than_expected_fails(tmp_path: Path) -> None:
    async with serving(healthy("2.4.1")) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, VersionParams(expected="2.5.0"), context)

    assert result.status is CheckStatus.FAIL
    assert result.summary == "The service runs version 2.4.1 instead of 2.5.0"
    assert evidence_of(result, "version.mismatch").value == "2.4.1"


async def test_replicas_on_different_versions_and_images_are_skew(tmp_path: Path) -> None:
    async with serving(healthy("1"), healthy("1"), healthy("2")) as urls:
        digests = ("sha256:aaa", "reg/model@sha256:aaa", "sha256:bbb")
        replicas = tuple(
            Replica(f"pod-{at}", url, digest) for at, (url, digest) in enumerate(zip(urls, digests, strict=True))
        )
        async with context_for(tmp_path, urls[0], replicas) as context:
            result = await run_check(CHECK, VersionParams(), context)
        async with context_for(tmp_path, urls[0], replicas[:2]) as context:
            same = await run_check(CHECK, VersionParams(expected_digest="sha256:aaa"), context)

    assert result.status is CheckStatus.FAIL
    assert result.summary == "Replicas run different versions: 1 on pod-0, pod-1; 2 on pod-2"
    assert evidence_of(result, "version.replica_skew").value is True
    assert evidence_of(result, "version.digest_skew").statement == (
        "Replicas run different images: sha256:aaa on pod-0, pod-1; sha256:bbb on pod-2"
    )
    assert [(one["target"], one["version"], one["digest"]) for one in result.result["replicas"]] == [
        ("pod-0", "1", "sha256:aaa"),
        ("pod-1", "1", "reg/model@sha256:aaa"),
        ("pod-2", "2", "sha256:bbb"),
    ]
    assert same.status is CheckStatus.OK
    assert evidence_of(same, "version.digest_mismatch").verdict is Verdict.OK
    json.dumps(result.result)


async def test_a_service_that_answers_with_two_versions_is_skew(tmp_path: Path) -> None:
    turn = itertools.count()
    server = ModelServer(pages={"/health": lambda: web.json_response({"model_version": f"v{next(turn) % 2}"})})
    async with serving(server) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, VersionParams(), context)

    assert result.status is CheckStatus.FAIL
    assert result.summary == "The same address answers with different versions: v0, v1"
    assert [one["version"] for one in result.result["replicas"]] == ["v0", "v1"]


V2_INPUT = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}


def by_reply(version: str | None) -> ModelServer:
    """A server that, as MLServer does, names its model's version in replies alone."""
    stated = {} if version is None else {"model_version": version}
    return ModelServer(lambda body: {"model_name": "fraud", **stated, "outputs": []}, {"/v2/models/fraud": {}})


async def test_a_version_that_only_replies_state_is_read_there_on_every_replica(tmp_path: Path) -> None:
    async with serving(by_reply("v7"), by_reply("v7"), by_reply("v8")) as urls:
        replicas = tuple(Replica(f"pod-{at}", url) for at, url in enumerate(urls))
        async with context_for(
            tmp_path, urls[0], replicas, protocol=Protocol.V2, body=V2_INPUT, model="fraud"
        ) as context:
            result = await run_check(CHECK, VersionParams(repeat=2), context)

    assert result.summary == "Replicas run different versions: v7 on pod-0, pod-1; v8 on pod-2"
    assert {one["source"] for one in result.result["replicas"]} == {"reply"}


async def test_where_metadata_states_the_version_no_input_is_sent(tmp_path: Path) -> None:
    server = ModelServer(pages={"/v2/models/fraud": {"name": "fraud", "versions": ["3"]}})
    async with (
        serving(server) as (url,),
        context_for(tmp_path, url, protocol=Protocol.V2, body_file=tmp_path / "absent.json", model="fraud") as context,
    ):
        result = await run_check(CHECK, VersionParams(repeat=2), context)

    assert result.result["service"]["versions"] == ["3"]
    assert server.bodies == []


@pytest.mark.parametrize("input_", [{"body": V2_INPUT}, {"body_file": Path("absent.json")}])
async def test_a_server_that_states_no_version_anywhere_is_told_with_where_was_looked(
    tmp_path: Path, input_: dict[str, Any]
) -> None:
    async with (
        serving(by_reply(None)) as (url,),
        context_for(tmp_path, url, protocol=Protocol.V2, model="fraud", **input_) as context,
    ):
        result = await run_check(CHECK, VersionParams(), context)

    assert result.status is CheckStatus.ERROR
    assert "/v2/models/fraud: states no version" in result.summary
    last = "the reply to the known-good input: states no version" if "body" in input_ else "absent.json cannot be read"
    assert last in result.summary


async def test_a_replica_that_does_not_say_is_told_apart(tmp_path: Path) -> None:
    async with serving(healthy("1")) as (url,):
        replicas = (Replica("pod-0", url), Replica("pod-1", "http://127.0.0.1:1"))
        async with context_for(tmp_path, url, replicas) as context:
            result = await run_check(CHECK, VersionParams(expected="1"), context)

    assert result.status is CheckStatus.WARN
    assert result.summary.startswith("The version of pod-1 is not known: connection refused")
    assert result.result["replicas"][1]["version"] is None
    assert evidence_of(result, "version.mismatch").verdict is Verdict.OK


# Replies as these servers give them; Triton, MLServer and KServe as recorded from real ones.
TRITON = {"name": "tiny", "versions": ["1"], "platform": "python", "inputs": [], "outputs": []}
TENSORFLOW = {
    "model_version_status": [
        {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        {"version": "2", "state": "END", "status": {"error_code": "OK", "error_message": ""}},
    ]
}
TGI = {"model_id": "org/llm", "model_sha": "abc123", "version": "3.3.1", "sha": "def", "docker_label": "sha-def"}
VLLM_MODELS = {"object": "list", "data": [{"id": "llm", "object": "model", "root": "org/llm", "max_model_len": 4096}]}


@pytest.mark.parametrize(
    ("pages", "endpoint", "params", "version", "source", "server"),
    [
        ({"/v2/models/tiny": TRITON}, {"protocol": Protocol.V2, "model": "tiny"}, {}, "1", "v2", None),
        ({"/v1/models/tiny": TENSORFLOW}, {"model": "tiny"}, {}, "3", "tensorflow", None),
        ({"/info": TGI}, {"protocol": Protocol.OPENAI}, {}, "abc123", "tgi", "3.3.1"),
        ({"/get_model_info": {"model_path": "org/llm"}}, {"protocol": Protocol.OPENAI}, {}, "org/llm", "sglang", None),
        (
            {"/v1/models": VLLM_MODELS, "/version": {"version": "0.16.0"}, "/health": None},
            {"protocol": Protocol.OPENAI},
            {},
            "org/llm",
            "vllm",
            "0.16.0",
        ),
        ({"/health": {"model": {"version": 7}}}, {}, {"server": "health"}, "7", "health", None),
    ],
)
async def test_servers_metadata_endpoints_are_understood(
    tmp_path: Path, pages: Any, endpoint: Any, params: Any, version: str, source: str, server: str | None
) -> None:
    async with serving(ModelServer(pages=pages)) as (url,), context_for(tmp_path, url, **endpoint) as context:
        result = await run_check(CHECK, VersionParams(**params), context)

    replica = result.result["replicas"][0]
    assert (replica["version"], replica["source"], replica["server_version"]) == (version, source, server)


def test_torchserve_s_management_reply_is_understood() -> None:
    source = next(one for one in SOURCES if one.name == "torchserve")

    stated = source.read([{"modelName": "noop", "modelVersion": "1.0", "workers": []}])

    assert (stated.versions, stated.model, source.port) == (("1.0",), "noop", 8081)


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.name)
@pytest.mark.parametrize(
    "document",
    [None, [], {}, 3, "x", [None], {"versions": None}, {"data": [3]}, {"model_version": {}}, {"version": "1"}],
)
def test_odd_metadata_is_no_defect(source: Any, document: Any) -> None:
    assert all(isinstance(one, str) and one for one in source.read(document).versions)


async def test_a_configured_health_url_is_asked_at_each_replica(tmp_path: Path) -> None:
    server = ModelServer(pages={"/status/model": {"model_version": "9"}})
    async with serving(server) as (url,):
        replicas = (Replica("pod-0", url),)
        async with context_for(tmp_path, url, replicas, health_url=f"{url}/status/model") as context:
            result = await run_check(CHECK, VersionParams(repeat=1), context)

    assert result.result["replicas"][0]["version"] == "9"
    assert server.paths == ["/status/model"] * 2


async def test_a_server_without_any_version_is_an_error_that_says_what_was_tried(tmp_path: Path) -> None:
    nothing = ModelServer(pages={"/health": {"status": "ok"}})
    async with serving(nothing) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, VersionParams(timeout_s=2), context)
        known = await run_check(CHECK, VersionParams(expected="1", file=(str(tmp_path / "*.onnx"),)), context)
    async with context_for(tmp_path, "http://127.0.0.1:1") as context:
        gone = await run_check(CHECK, VersionParams(), context)

    assert (result.status, result.unreachable) == (CheckStatus.ERROR, False)
    assert "/health: states no version" in result.summary
    assert "endpoint.health_url" in result.summary
    assert known.status is CheckStatus.ERROR
    assert (gone.status, gone.unreachable) == (CheckStatus.ERROR, True)


async def test_model_files_are_hashed_and_dated(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights" * 1000)
    os.utime(model, (NOW - 10 * 86_400, NOW - 10 * 86_400))
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "folder.onnx").mkdir()
    sha = hashlib.sha256(model.read_bytes()).hexdigest()
    md5 = hashlib.md5(model.read_bytes()).hexdigest()
    context = bare_context(tmp_path)
    pattern = (str(tmp_path / "*.onnx"),)

    well = await run_check(CHECK, VersionParams(file=pattern, expected_hash=(sha,), max_age_days=30), context)
    old = await run_check(CHECK, VersionParams(file=pattern, expected_hash=(md5.upper(),), max_age_days=7), context)
    wrong = await run_check(CHECK, VersionParams(file=pattern, expected_hash=("0" * 32,)), context)
    capped = await run_check(CHECK, VersionParams(file=pattern, max_bytes=10), context)

    assert well.status is CheckStatus.OK
    file, pipe = well.result["files"]
    assert (file["sha256"], file["md5"], file["size_bytes"]) == (sha, md5, 7000)
    assert pipe["note"] == "not a regular file"
    age = evidence_of(well, "version.model_age")
    assert age.value == pytest.approx(10.0)
    assert (age.unit, age.threshold) == ("d", 30)
    assert old.status is CheckStatus.WARN
    assert evidence_of(old, "version.file_hash").verdict is Verdict.OK
    assert wrong.status is CheckStatus.FAIL
    assert "No model file has the expected hash" in wrong.summary
    assert capped.result["files"][0]["sha256"] == ""
    assert "--max-bytes" in capped.result["files"][0]["note"]


async def test_files_in_the_container_are_compared_with_those_here(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there it is"
    for folder, content in ((here, b"same"), (there, b"same")):
        folder.mkdir()
        (folder / "a.pt").write_bytes(content)
    (there / "a.pt").write_bytes(b"other")
    shell = HostShell()
    params = VersionParams(file=(f"{here}/*.pt",), pod_file=(f"{there}/*.pt", "/nonexistent/*"))

    unasked = await run_check(CHECK, params, bare_context(tmp_path, remote=shell))
    agreed = await run_check(CHECK, params, bare_context(tmp_path, remote=shell, confirmed=True))
    (there / "a.pt").write_bytes(b"same")
    same = await run_check(CHECK, params, bare_context(tmp_path, remote=shell, confirmed=True))

    assert unasked.status is CheckStatus.SKIPPED
    assert shell.where in unasked.summary
    assert "--yes" in unasked.summary
    assert len(shell.commands) == 2
    assert agreed.status is CheckStatus.FAIL
    assert agreed.summary == "a.pt in the container is not the file on this machine"
    inside = agreed.result["files"][1]
    assert (inside["place"], inside["size_bytes"], inside["path"]) == ("container", 5, f"{there}/a.pt")
    assert inside["md5"] == hashlib.md5(b"other").hexdigest()
    assert inside["modified_at"] == pytest.approx((there / "a.pt").stat().st_mtime, abs=5)
    assert same.status is CheckStatus.OK
    assert shell.commands[0][:3] == ("sh", "-c", REMOTE_SCRIPT)


async def test_a_pattern_is_never_run_as_a_command(tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path}/owned);`touch {tmp_path}/owned`"
    params = VersionParams(pod_file=(hostile,))

    result = await run_check(CHECK, params, bare_context(tmp_path, remote=HostShell(), confirmed=True))

    assert not (tmp_path / "owned").exists()
    assert result.status is CheckStatus.ERROR


async def test_a_forbidden_exec_is_a_note_beside_what_is_known(tmp_path: Path) -> None:
    async with serving(healthy("1")) as (url,), context_for(tmp_path, url, confirmed=True) as context:
        context.remote = Forbidden()
        result = await run_check(CHECK, VersionParams(pod_file=("/model/*",)), context)

    assert result.status is CheckStatus.WARN
    assert result.summary == "exec into pod-0 is forbidden for this user"
    assert result.result["replicas"][0]["version"] == "1"


@pytest.mark.parametrize(
    ("section", "status"),
    [
        ({"replies": {"http://x": "2.4.1"}}, CheckStatus.OK),
        ({"replicas": [{"target": "pod-0", "version": "v2.4.1"}, {"version": None}]}, CheckStatus.OK),
        ({"replies": {"http://x": "2.4.0"}}, CheckStatus.WARN),
        (None, CheckStatus.OK),
    ],
)
async def test_another_version_than_in_the_baseline_is_told(tmp_path: Path, section: Any, status: CheckStatus) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"version": section}))
    async with serving(healthy("2.4.1")) as (url,), context_for(tmp_path, url) as context:
        context.baseline = baseline
        result = await run_check(CHECK, VersionParams(), context)
        expected = await run_check(CHECK, VersionParams(expected="2.4.1"), context)
        baseline.write_text("{")
        broken = await run_check(CHECK, VersionParams(), context)

    assert result.status is status
    assert ("in the baseline it was 2.4.0" in result.summary) is (status is CheckStatus.WARN)
    assert expected.status is CheckStatus.OK
    assert broken.status is CheckStatus.ERROR


async def test_missing_inputs_name_their_flags(tmp_path: Path) -> None:
    result = await run_check(CHECK, VersionParams(), bare_context(tmp_path))

    assert result.status is CheckStatus.SKIPPED
    assert "endpoint.url" in result.summary
    assert "--endpoint" in result.summary
    assert "--file" in result.summary


async def test_hostile_version_texts_are_made_printable(tmp_path: Path) -> None:
    async with serving(healthy("\x1b[31m1\x07\n2")) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, VersionParams(expected="3"), context)

    said = result.summary + json.dumps(result.result, ensure_ascii=False)
    assert "\x1b" not in said
    assert "\n" not in said
    assert result.status is CheckStatus.FAIL
