"""The check `stages`: where a request's time goes, by every means that the server allows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from checks.base import BESIDE, Check, CheckContext, CheckError, Outcome, Params, Sender, no_way, place_of
from checks.stages_parts import server_metrics, server_timing
from checks.stages_parts.charts import charts_of
from checks.stages_parts.figures import Split
from checks.stages_parts.judging import (
    Judged,
    client_result,
    judge,
    read_baseline,
    summary_of,
    verdict_of,
)
from checks.stages_parts.pipeline import run_pipeline
from checks.stages_parts.sending import Sent, known_good, send
from checks.stages_parts.spans import read_spans
from infdiag_tui.config.schema import Endpoint, Via
from infdiag_tui.model import Impact, Progress
from infdiag_tui.servers.adapters import ChoiceError, Server, configured, known_servers, named_stage
from infdiag_tui.servers.places import served_model
from infdiag_tui.servers.stages import BASELINE_RATIO, QUEUE_SHARE, TYPICAL_MS, Stage, limits_by
from infdiag_tui.text import clean, one_line

_MAX_REPLICAS = 20


class StagesParams(Params):
    """What to send, where to read, and what counts as slow."""

    requests: int = Field(
        20, ge=1, le=200, description="Known-good requests to send.", json_schema_extra={"flags": ["-n"]}
    )
    interval_s: float = Field(0.1, ge=0, le=60, description="Seconds between two of them.")
    warmup: int = Field(2, ge=0, le=50, description="Requests before the first reading, not counted.")
    observe_s: float = Field(
        0, ge=0, le=3600, description="Send nothing and watch the server's own traffic for so many seconds."
    )
    metrics_url: str = Field("", description="The server's metrics; empty: looked for where servers have them.")
    served_model: str = Field("", description="The model's name in the metrics' labels; empty: from the endpoint.")
    stage: tuple[str, ...] = Field(
        (),
        description='A metric of your own: STAGE=HISTOGRAM or STAGE=SUM/COUNT, with {label="value"} where needed.',
    )
    stage_unit: Literal["", "s", "ms", "us", "ns"] = Field(
        "", description="Unit of --stage metrics; empty: from their names, else seconds."
    )
    spans_file: Path | None = Field(None, description="A file of spans: OTLP JSON, or JSON logs with durations.")
    span: tuple[str, ...] = Field(
        (), description="STAGE=NAME of a span or Server-Timing entry whose name does not say its stage."
    )
    pipeline: str = Field(
        "", description="module:object with preprocess, predict, postprocess, run in a process of its own instead."
    )
    pipeline_dir: Path = Field(Path(), description="Folder that the pipeline's module is imported from.")
    pipeline_input: Path | None = Field(None, description="A JSON file with its input; empty: the known-good input.")
    pipeline_timeout_s: float = Field(120, gt=0, le=3600, description="Seconds that all its runs may take.")
    python: str = Field("", description="The Python that has the pipeline's packages; empty: this one.")
    in_pod: bool = Field(
        False, description="Run the pipeline in the model's container.", json_schema_extra={"needs": BESIDE}
    )
    preprocess_max_ms: float = Field(
        TYPICAL_MS["preprocess"], gt=0, description="Typical preprocessing takes no longer."
    )
    inference_max_ms: float = Field(
        TYPICAL_MS["inference"], gt=0, description="Typical inference takes no longer (10 to 100 ms)."
    )
    postprocess_max_ms: float = Field(
        TYPICAL_MS["postprocess"], gt=0, description="Typical postprocessing takes no longer."
    )
    serialization_max_ms: float = Field(
        TYPICAL_MS["serialization"],
        gt=0,
        description="Typical reading of requests and writing of replies takes no longer.",
    )
    network_max_ms: float = Field(TYPICAL_MS["network"], gt=0, description="A typical network takes no longer.")
    queue_max_share: float = Field(
        QUEUE_SHARE, gt=0, le=1, description="Share of the server's time that may be queueing."
    )
    baseline_ratio: float = Field(BASELINE_RATIO, gt=1, description="So many times the baseline is too slow.")

    @field_validator("stage", "span", mode="before")
    @classmethod
    def _table(cls, value: Any) -> Any:
        """A config table `{preprocess = "metric"}` is as good as a list of `preprocess=metric`."""
        return tuple(f"{key}={name}" for key, name in value.items()) if isinstance(value, dict) else value


class StagesCheck(Check[StagesParams]):
    """Splits requests into preprocess, inference, postprocess, queue and network."""

    name = "stages"
    title = "Stages of a request"
    step = 3
    impact = Impact.EXEC
    symptoms = ("slow-inference", "latency-variance")
    params = StagesParams

    def missing(self, params: StagesParams, context: CheckContext) -> str:
        """Without an endpoint it can only read spans or run a pipeline."""
        endpoint = context.model.endpoint
        if params.in_pod and not params.pipeline:
            return "--in-pod is for a pipeline: name it with --pipeline module:object."
        if params.in_pod and (lacking := no_way(context)):
            return lacking
        if params.pipeline and params.pipeline_input is None and (endpoint is None or _without_input(endpoint)):
            return "No input for the pipeline: endpoint.body in the config, --body-file or --pipeline-input."
        if params.pipeline or params.spans_file is not None:
            return ""
        if endpoint is None or context.sender is None:
            return "No server to ask: endpoint.url in the config, --endpoint, --spans-file or --pipeline."
        return ""

    def impact_of(self, params: StagesParams) -> Impact:
        """Only a pipeline beside the model touches production."""
        return Impact.EXEC if params.in_pod else Impact.READ_ONLY

    def announce(self, params: StagesParams, context: CheckContext) -> str:
        """What it will do."""
        return (
            f"Imports {params.pipeline} into a Python process of its own and runs it "
            f"{params.warmup + params.requests} times, {place_of(context)}: this takes the memory and the compute of "
            "one more copy. Nothing is left behind."
        )

    async def run(self, params: StagesParams, context: CheckContext) -> Outcome:
        """Gathers every means' figures, judges them and says which are missing and how to get them."""
        named = _named_spans(params.span)
        baseline_ms = await asyncio.to_thread(read_baseline, context.baseline)
        sent = Sent()
        splits: list[Split] = []
        if params.pipeline:
            splits.append(await _pipeline(params, context))
        elif context.model.endpoint is not None and context.sender is not None:
            sent, found = await _server(params, context, context.model.endpoint, context.sender, named)
            splits.extend(found)
        if params.spans_file is not None:
            splits.insert(0, await asyncio.to_thread(read_spans, params.spans_file, named))
        if not any(split.figures for split in splits):
            raise CheckError(_nothing(params, splits, sent))
        limits = limits_by(params.model_dump(include=params.model_fields_set), baseline_ms)
        judged = await asyncio.to_thread(judge, splits, sent.client_ms, limits, context.now(), _via(context))
        result = _result(judged, splits, sent)
        artifact = context.folder / "stages.json"
        await asyncio.to_thread(artifact.write_text, json.dumps(result, indent=2), encoding="utf-8")
        return Outcome(
            verdict_of(judged),
            summary_of(judged),
            tuple(item.evidence for item in judged),
            result,
            (artifact,),
            charts_of(judged, baseline_ms),
        )


def _named_spans(choices: Iterable[str]) -> dict[str, Stage]:
    named: dict[str, Stage] = {}
    for choice in choices:
        try:
            stage, name = named_stage(choice, "--span")
        except ChoiceError as error:
            raise CheckError(str(error)) from error
        named[name] = stage
    return named


def _own_metrics(params: StagesParams, context: CheckContext) -> Server | None:
    """The metrics that the operator named, for this check or for the model as such."""
    try:
        return configured(params.stage or context.model.metrics.choices, params.stage_unit)
    except ChoiceError as error:
        raise CheckError(str(error)) from error


async def _pipeline(params: StagesParams, context: CheckContext) -> Split:
    context.report(Progress(f"running {one_line(clean(params.pipeline), 60)}"))
    if params.pipeline_input is not None:
        given = await known_good(Endpoint(url="http://unused", body_file=params.pipeline_input))
    else:
        endpoint = context.model.endpoint
        given = await known_good(endpoint) if endpoint is not None else None
    return await run_pipeline(
        params.pipeline,
        given,
        runs=params.requests,
        warmup=params.warmup,
        folder=params.pipeline_dir,
        python=params.python,
        timeout_s=params.pipeline_timeout_s,
        remote=context.remote if params.in_pod else None,
    )


async def _server(
    params: StagesParams, context: CheckContext, endpoint: Endpoint, sender: Sender, named: dict[str, Stage]
) -> tuple[Sent, list[Split]]:
    """The client's times, and what the server tells of them."""
    own = _own_metrics(params, context)
    servers = (*((own,) if own else ()), *await asyncio.to_thread(known_servers))
    model = params.served_model or context.model.metrics.served_model or served_model(endpoint.url, endpoint.model)
    body = await known_good(endpoint)
    watching = params.observe_s > 0
    if params.warmup and not watching:
        context.report(Progress("warming up"))
        warm = await send(
            sender, body, params.warmup, interval_s=0, timeout_s=endpoint.timeout_s, report=lambda _: None
        )
        if not warm.client_ms and len(warm.failures) == params.warmup:
            raise _unanswered(warm, endpoint)
    context.report(Progress("reading the server's metrics"))
    watch = await _begin(sender, servers, endpoint, model, params, context)
    sent = Sent()
    if watching:
        await _observe(params.observe_s, context)
    else:
        sent = await send(
            sender,
            body,
            params.requests,
            interval_s=params.interval_s,
            timeout_s=endpoint.timeout_s,
            report=context.report,
            after_each=lambda: server_metrics.between(sender, watch),
        )
        if not sent.client_ms:
            raise _unanswered(sent, endpoint)
    splits = list(await server_metrics.finish(sender, watch, len(sent.client_ms)))
    timing = await asyncio.to_thread(server_timing.split_of, list(sent.timings), named)
    if timing is not None:
        # Of exactly these requests; only what the operator named by hand comes before.
        splits.insert(1 if own else 0, timing)
    if not splits:
        splits.append(Split("server", notes=(watch.refused,) if watch.refused else ()))
    return sent, splits


async def _begin(
    sender: Sender,
    servers: tuple[Any, ...],
    endpoint: Endpoint,
    model: str,
    params: StagesParams,
    context: CheckContext,
) -> server_metrics.Watch:
    """The replicas' metrics, where they can be reached one by one; else those behind the endpoint."""
    parts = urlsplit(endpoint.url)
    origin = f"{parts.scheme}://{parts.netloc}"
    replicas = tuple(replica.url for replica in context.replicas[:_MAX_REPLICAS])
    watch: server_metrics.Watch | None = None
    for bases in (replicas, (origin,)) if replicas and not params.metrics_url else ((origin,),):
        targets = server_metrics.Targets(servers, bases, params.metrics_url, model, min(endpoint.timeout_s, 5.0))
        watch = await server_metrics.begin(sender, targets)
        if watch.found:
            break
    if watch is None:
        raise AssertionError("there is always the endpoint's own address to look at")
    return watch


async def _observe(seconds: float, context: CheckContext) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (gone := loop.time() - began) < seconds:
        context.report(Progress("watching the server's own traffic", gone / seconds))
        await asyncio.sleep(min(1.0, seconds - gone))


def _unanswered(sent: Sent, endpoint: Endpoint) -> CheckError:
    reason = sent.failures[-1] if sent.failures else "no answer"
    stop = "" if reason.endswith((".", "?")) else "."
    return CheckError(
        one_line(clean(f"{endpoint.url} answered none of {len(sent.failures)} known-good requests: {reason}{stop}")),
        unreachable=True,
    )


def _without_input(endpoint: Endpoint) -> bool:
    return endpoint.body is None and endpoint.body_file is None


def _nothing(params: StagesParams, splits: list[Split], sent: Sent) -> str:
    reasons = [reason for split in splits for _, reason in split.not_offered] or [
        note for split in splits for note in split.notes
    ]
    mean = f" A request takes the client {sum(sent.client_ms) / len(sent.client_ms):.3g} ms." if sent.client_ms else ""
    where = params.metrics_url or "the places where model servers have their metrics"
    first = f" ({reasons[0]})" if reasons else ""
    return one_line(
        clean(
            f"The server tells nothing of its stages at {where}{first}.{mean} Name its metrics with --metrics-url or"
            " --stage, or give --spans-file or --pipeline."
        ),
        500,
    )


def _via(context: CheckContext) -> Via:
    return Via.DIRECT if context.model.endpoint is None else context.model.endpoint.via


def _result(judged: list[Judged], splits: list[Split], sent: Sent) -> dict[str, Any]:
    return {
        "stages": {
            item.stage: {
                "ms": item.ms,
                "n": item.evidence.sample_size,
                "low": item.evidence.low,
                "high": item.evidence.high,
                "verdict": item.evidence.verdict.value,
                "means": item.means,
            }
            for item in judged
        },
        "details": [
            {
                "means": split.means,
                "name": figure.name,
                "stage": figure.stage,
                "ms": figure.mean_ms,
                "n": figure.n,
                "p95_ms": figure.p95_ms,
                "source": one_line(clean(figure.source), 200),
                "note": figure.note,
            }
            for split in splits
            for figure in split.figures
        ],
        "not_offered": [
            {"means": split.means, "stage": stage, "reason": one_line(clean(reason), 300)}
            for split in splits
            for stage, reason in split.not_offered
        ],
        "notes": [one_line(clean(note), 300) for split in splits for note in split.notes],
        "metrics_urls": list(dict.fromkeys(one_line(clean(url), 300) for split in splits for url in split.places)),
        "client_ms": client_result(sent.client_ms),
        "failures": len(sent.failures),
    }


CHECK = StagesCheck()
