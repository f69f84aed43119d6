"""The profile check: where a prediction's time goes, operator by operator, on the CPU and the GPU.

Its result has `kind`, `engine`, `version`, `device`, `iterations`, `iteration_ms`, `operators` (own time first),
`memory`, `copies`, `device_use`, `kernels`, `graph_breaks`, `outside_operators`, and `missing`, which says by field why
it is null.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from checks.base import BESIDE, Check, CheckContext, CheckError, Outcome, Params, no_way, place_of
from checks.printable_json import printable_json
from checks.profile_parts import pyspy, server
from checks.profile_parts.charts import charts_of
from checks.profile_parts.launch import run_beside, run_here
from checks.profile_parts.verdicts import SOURCE, judge
from infdiag_tui.model import CheckStatus, Evidence, Impact, Verdict
from infdiag_tui.text import clean, one_line

_WORST = {Verdict.FAIL: CheckStatus.FAIL, Verdict.WARN: CheckStatus.WARN}


class ProfileParams(Params):
    """What to profile, and how long."""

    source: str = Field(
        "",
        description="module:factory (returns the model and an example input), or a TorchScript, torch.export or .onnx "
        "file.",
    )
    weights: Path | None = Field(None, description="A state dict that the factory's model is filled with.")
    inputs: tuple[str, ...] = Field(
        (), description="Shapes of the inputs, e.g. float32[8,64], where the model brings no example."
    )
    import_path: str = Field("", description="Folder that module:factory is imported from; default: the current one.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to run; auto takes CUDA if there is one.")
    compile: bool = Field(False, description="Compile the model with torch.compile first and show graph breaks.")
    iterations: int = Field(10, ge=1, le=1_000, description="Profiled calls.")
    warmup: int = Field(3, ge=0, le=1_000, description="Calls before them.")
    trust: bool = Field(
        False, description="Allow a model file to run code while it is loaded; without it only weights are read."
    )
    python: str = Field("", description="The Python that has torch or onnxruntime and the model's code.")
    in_pod: bool = Field(
        False, description="Run inside the model's container instead of here.", json_schema_extra={"needs": BESIDE}
    )
    pid: int | None = Field(None, gt=0, description="Sample this Python process with py-spy instead.")
    seconds: float = Field(10.0, ge=1, le=600, description="How long py-spy samples.")
    server: Literal["", "vllm", "sglang"] = Field(
        "", description="Switch on the torch profiler of this kind of server for a few requests instead."
    )
    requests: int = Field(5, ge=1, le=100, description="Known-good requests sent while the server profiles.")
    timeout_s: float = Field(300.0, gt=0, le=3_600, description="The profile is ended after this many seconds.")
    top_share: float = Field(0.4, gt=0, le=1, description="One operator's share of the time that is a finding.")
    idle_share: float = Field(0.5, gt=0, le=1, description="The device's idle share that is a finding.")
    outside_share: float = Field(0.5, gt=0, le=1, description="Share of time outside operators that is a finding.")


class ProfileCheck(Check[ProfileParams]):
    """Profiles a copy of the model, a running Python process, or a server that can profile itself."""

    name = "profile"
    title = "Where a prediction's time goes"
    step = 3
    impact = Impact.EXEC
    symptoms = ("slow-inference", "latency-variance", "oom")
    params = ProfileParams

    def missing(self, params: ProfileParams, context: CheckContext) -> str:
        """The model, process or server to profile, and the way to it."""
        if not (params.source or params.pid or params.server):
            return "Nothing to profile: give --source (checks.profile.source in the config), --pid or --server."
        if params.in_pod and (lacking := no_way(context)):
            return lacking
        if params.server and (context.sender is None or context.model.endpoint is None):
            return "No model server is known: give endpoint.url in the config."
        if params.server and context.model.endpoint is not None and _body_missing(context):
            return "No known-good input is known: give endpoint.body or endpoint.body_file in the config."
        if params.pid and not params.in_pod and not pyspy.find():
            return "py-spy is not installed here: pip install py-spy, or infdiag-tui[pyspy]."
        return ""

    def impact_of(self, params: ProfileParams) -> Impact:
        """A copy of the model in a process of ours on this machine touches nothing in production."""
        if params.server:
            return Impact.LOAD
        return Impact.EXEC if params.pid or params.in_pod else Impact.READ_ONLY

    def announce(self, params: ProfileParams, context: CheckContext) -> str:
        """What it will do, with the cost to production."""
        place = place_of(context) if params.in_pod else "on this machine"
        if params.server:
            return (
                f"Sends {2 * params.requests} known-good requests, half of them with the {params.server} server's "
                "torch profiler switched on; all its requests are slower meanwhile, and it may answer nobody for "
                "minutes while it writes the traces to its disk."
            )
        if params.pid:
            return f"Samples the stacks of process {params.pid} {place} with py-spy for {params.seconds:g} s."
        return (
            f"Loads {params.source} a second time {place} and calls it {params.warmup + params.iterations + 1} times: "
            "this takes the memory and the compute of one more copy. Nothing is left behind."
        )

    async def run(self, params: ProfileParams, context: CheckContext) -> Outcome:
        """Profiles as the parameters say."""
        if params.server:
            return await _server(params, context)
        if params.pid:
            return await _process(params, params.pid, context)
        return await _model(params, context)


async def _model(params: ProfileParams, context: CheckContext) -> Outcome:
    entry = "onnx_run" if params.source.lower().endswith(".onnx") else "torch_run"
    fields = ("inputs", "import_path", "device", "compile", "iterations", "warmup", "trust", "timeout_s")
    job: dict[str, Any] = {**params.model_dump(mode="json", include=set(fields)), "model": params.source}
    if params.weights is not None:
        job["weights"] = str(params.weights)
    if params.in_pod and context.remote is not None:
        answer = await run_beside(entry, job, params.python, context.remote, context.report, context.folder)
    else:
        job["out"] = str(context.folder)
        answer = await run_here(entry, job, params.python, context.report)
    artifacts = await asyncio.to_thread(_keep_table, answer, context.folder)
    result = _arranged(answer)
    evidence = judge(result, params, context.now())
    charts = charts_of("Operators by their own time", result["typical_shares"] or {}, evidence, params.top_share)
    return Outcome(_status(evidence), _summary(result, evidence), evidence, result, artifacts, charts)


def _keep_table(answer: dict[str, Any], folder: Path) -> tuple[Path, ...]:
    """Paths of the trace and of the table as text, which is taken out of the answer."""
    artifacts = []
    table = answer.pop("table", "")
    if table:
        artifacts.append(folder / "profile-table.txt")
        artifacts[0].write_text(clean(table), encoding="utf-8")
    trace = answer.get("trace") or {}
    if trace.get("path"):
        artifacts.append(Path(trace["path"]))
    return tuple(artifacts)


def _arranged(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The check's result from the child's answer: milliseconds for calls, and a reason for every null."""
    result = {name: value for name, value in answer.items() if name not in ("iteration_us", "trace", "annotations")}
    durations = [float(one) / 1_000 for one in answer.get("iteration_us", ())]
    result["iteration_ms"] = (
        {"median": statistics.median(durations), "min": min(durations), "max": max(durations)} if durations else None
    )
    use = result.pop("device_events", None)
    result["device_use"] = {key: use[key] for key in ("busy_us", "window_us", "idle_share")} if use else None
    result["kernels"] = use["kernels"] if use else None
    result.setdefault("copies", None)
    result.setdefault("graph_breaks", None)
    result["missing"] = _reasons(result)
    return dict(printable_json(result))


def _reasons(result: Mapping[str, Any]) -> dict[str, str]:
    missing = {}
    if result["device_use"] is None:
        if result["kind"] == "onnx":
            missing["device_use"] = "onnxruntime's profiler does not record when the device works"
        elif str(result["device"]).startswith("cuda"):
            missing["device_use"] = (
                "the profiler saw no kernel: another profiler (DCGM, Nsight) may hold CUPTI, or the container lacks "
                "the permission for it"
            )
        else:
            missing["device_use"] = "the model ran on the CPU"
        missing["kernels"] = missing["device_use"]
    if result["copies"] is None:
        missing["copies"] = "only the CPU computed" if result["kind"] == "onnx" else missing["device_use"]
    if result["graph_breaks"] is None:
        onnx = result["kind"] == "onnx"
        missing["graph_breaks"] = (
            "an ONNX model is one graph" if onnx else "the model is not compiled; --compile compiles it"
        )
    return missing


def _status(evidence: tuple[Evidence, ...]) -> CheckStatus:
    verdicts = {one.verdict for one in evidence}
    return next((_WORST[verdict] for verdict in (Verdict.FAIL, Verdict.WARN) if verdict in verdicts), CheckStatus.OK)


def _summary(result: Mapping[str, Any], evidence: tuple[Evidence, ...]) -> str:
    findings = [one.statement for one in evidence if one.verdict in (Verdict.WARN, Verdict.FAIL)]
    calls = result["iteration_ms"]
    head = f"A call takes {calls['median']:.2f} ms on {result['device']}. " if calls else ""
    top = next((one.statement for one in evidence if one.id == "profile.top_operator"), "No operator ran.")
    return one_line(head + (" ".join(f"{one}." for one in findings) if findings else f"{top}."), 600)


async def _process(params: ProfileParams, pid: int, context: CheckContext) -> Outcome:
    remote = context.remote if params.in_pod else None
    found, stacks = await pyspy.record(pid, params.seconds, remote, context.report)
    path = context.folder / f"profile-stacks-{pid}.txt"
    await asyncio.to_thread(path.write_text, stacks, "utf-8")
    top = found["functions"][0]
    heavy = top["self_share"] >= params.top_share
    evidence = Evidence(
        id="profile.top_function",
        statement=f"{top['name']} runs in {top['self_share']:.0%} of {found['samples']} stack samples of process {pid}",
        verdict=Verdict.WARN if heavy else Verdict.OK,
        source=SOURCE,
        at=context.now(),
        value=top["self_share"],
        unit="share",
        subject=top["name"],
        window_s=params.seconds,
        sample_size=found["samples"],
        threshold=params.top_share,
        threshold_source="parameter top_share",
    )
    status = CheckStatus.WARN if heavy else CheckStatus.OK
    result = {"kind": "py-spy", "pid": pid, "seconds": params.seconds, **found}
    shares = {str(one["name"]): float(one["self_share"]) for one in found["functions"]}
    charts = charts_of("Functions by the stack samples they were running in", shares, (evidence,), params.top_share)
    return Outcome(status, evidence.statement + ".", (evidence,), result, (path,), charts)


async def _server(params: ProfileParams, context: CheckContext) -> Outcome:
    body = await asyncio.to_thread(_known_good, context)
    found = await server.profile(params.server, params.requests, body, context)
    with_, without = found["with_profiler"], found["without_profiler"]
    statement = (
        f"The server at {found['url']} profiled {with_['answered']} of {params.requests} requests; "
        f"the traces are {found['traces']}"
    )
    evidence = Evidence(
        id="profile.server_trace",
        statement=statement,
        verdict=Verdict.OK if with_["answered"] and not without["failed"] else Verdict.FAIL,
        source=SOURCE,
        at=context.now(),
        value=float(with_["answered"]),
        unit="requests",
        sample_size=params.requests,
    )
    evidence = dataclasses.replace(evidence, statement=one_line(clean(statement), 400))
    return Outcome(_status((evidence,)), evidence.statement + ".", (evidence,), {"kind": "server", **found})


def _body_missing(context: CheckContext) -> bool:
    endpoint = context.model.endpoint
    return endpoint is None or (endpoint.body is None and endpoint.body_file is None)


def _known_good(context: CheckContext) -> Any:
    endpoint = context.model.endpoint
    if endpoint is None or endpoint.body_file is None:
        return endpoint.body if endpoint is not None else None
    try:
        return json.loads(endpoint.body_file.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckError(f"{endpoint.body_file} (endpoint.body_file) cannot be read as JSON: {error}") from error


CHECK = ProfileCheck()
