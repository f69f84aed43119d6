"""Checks the model's version on every replica, the images' digests, and the model files."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Literal

from pydantic import Field

from checks.base import BESIDE, Check, CheckContext, CheckError, Glob, Outcome, Params, Replica, no_way, place_of
from checks.version_baseline import baseline_versions
from checks.version_files import ModelFile, local_files, remote_files
from checks.version_findings import SERVICE, Asked, Findings, conclude
from checks.version_sources import Asker
from infdiag_tui.model import Impact, Progress

_AT_ONCE = 8
_HASH_TIMEOUT_S = 300.0


class VersionParams(Params):
    """What should be deployed, and where to look."""

    expected: str = Field("", description="The version that should be deployed.")
    expected_digest: str = Field("", description="The image digest that should be deployed (sha256:...).")
    expected_hash: tuple[str, ...] = Field((), description="md5 or sha256 that model files must have.")
    server: Literal["", "health", "v2", "tensorflow", "torchserve", "tgi", "sglang", "vllm"] = Field(
        "", description="Kind of model server; empty: found out."
    )
    model: str = Field("", description="The model's name at the server; default: endpoint.model, or from the URL.")
    file: tuple[Glob, ...] = Field((), description="Model files on this machine (globs such as /model/*.onnx).")
    pod_file: tuple[str, ...] = Field(
        (),
        description="Model files in the model's container, or on its host (globs); asks first.",
        json_schema_extra={"needs": BESIDE},
    )
    max_age_days: float | None = Field(None, gt=0, description="A model file older than this is a warning.")
    max_bytes: int = Field(20_000_000_000, ge=1, description="Larger files are not hashed.")
    repeat: int = Field(5, ge=1, le=100, description="How often to ask the service, which may balance over replicas.")
    timeout_s: float = Field(5.0, gt=0, description="Seconds per request.")


class VersionCheck(Check[VersionParams]):
    """Step 5: is the right model deployed, and the same one everywhere?"""

    name: ClassVar[str] = "version"
    title: ClassVar[str] = "Model version, digests and files"
    step: ClassVar[int] = 5
    impact: ClassVar[Impact] = Impact.EXEC
    symptoms: ClassVar[tuple[str, ...]] = ("wrong-predictions", "accuracy-drop", "intermittent-failures")
    params: ClassVar[type[Params]] = VersionParams

    def missing(self, params: VersionParams, context: CheckContext) -> str:
        """A server, replicas or files."""
        if params.pod_file:
            return no_way(context)
        has_server = context.sender is not None and context.model.endpoint is not None
        if has_server or context.replicas or params.file:
            return ""
        return (
            "No model server to ask and no model file to look at: set endpoint.url in the config, or give "
            "--endpoint URL or --file GLOB."
        )

    def impact_of(self, params: VersionParams) -> Impact:
        """Only files beside the model need a command there."""
        return Impact.EXEC if params.pod_file else Impact.READ_ONLY

    def announce(self, params: VersionParams, context: CheckContext) -> str:
        """What it will do, with the cost to production."""
        return (
            f"Reads {' '.join(params.pod_file)} with sh, stat, md5sum and sha256sum, {place_of(context)}: a large file "
            "keeps one CPU and the disk busy for a while. Nothing is written."
        )

    async def run(self, params: VersionParams, context: CheckContext) -> Outcome:
        """Asks every replica, then reads the files."""
        asked = await _ask_all(params, context)
        files, notes, unreachable = await _files(params, context)
        before: frozenset[str] = frozenset()
        if context.baseline is not None:
            before = await asyncio.to_thread(baseline_versions, context.baseline)
        findings = Findings(params, asked, files, notes, context.now(), before)
        if not findings.anything:
            errors = [one.stated.error for one in asked if one.stated.error]
            if notes and not errors:
                raise CheckError("; ".join(notes), unreachable=unreachable)
            raise CheckError(
                f"no version was found: {errors[0] if errors else 'no file matches --file'}; "
                "set endpoint.health_url, --server, --model or --file",
                unreachable=bool(asked) and all(one.stated.unreachable for one in asked),
            )
        return conclude(findings)


async def _ask_all(params: VersionParams, context: CheckContext) -> list[Asked]:
    """The service, several times where it may balance, and each replica once."""
    sender, endpoint = context.sender, context.model.endpoint
    if sender is None or endpoint is None:
        return [Asked(replica.name, digest=replica.digest) for replica in context.replicas]
    asker = Asker(sender, endpoint, params.server, params.model, timeout_s=params.timeout_s)
    asked: list[Asked] = []
    for _ in range(params.repeat):
        context.report(Progress("asking the service"))
        asked.append(Asked(SERVICE, "", await asker.ask(), endpoint.url))
        if not asked[-1].stated.versions:
            break
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask_replica(replica: Replica) -> Asked:
        async with slots:
            context.report(Progress(f"asking {replica.name}"))
            return Asked(replica.name, replica.digest, await asker.ask(replica.url), replica.url)

    waiting = list(context.replicas)
    while waiting and not asker.settled:
        asked.append(await ask_replica(waiting.pop(0)))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask_replica(one)) for one in waiting]
    return asked + [task.result() for task in tasks]


async def _files(params: VersionParams, context: CheckContext) -> tuple[list[ModelFile], list[str], bool]:
    """Files here and beside the model, why some could not be looked at, and whether their place was out of reach."""
    notes: list[str] = []
    unreachable = False
    files: list[ModelFile] = []
    if params.file:
        files = await local_files(
            params.file, params.max_bytes, lambda name: context.report(Progress(f"hashing {name}"))
        )
        if not files:
            notes.append(f"no file matches --file {' '.join(params.file)}")
    if not params.pod_file:
        return files, notes, unreachable
    if context.remote is None:
        notes.append(context.no_remote)
        return files, notes, unreachable
    context.report(Progress(f"hashing files {context.remote.where}"))
    try:
        inside = await remote_files(context.remote, params.pod_file, _HASH_TIMEOUT_S)
    except CheckError as error:
        notes.append(str(error))
        unreachable = error.unreachable
    else:
        files += inside
        if not inside:
            notes.append(f"no file {context.remote.where} matches --pod-file {' '.join(params.pod_file)}")
    return files, notes, unreachable


CHECK = VersionCheck()
