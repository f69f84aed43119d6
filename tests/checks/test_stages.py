from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from checks.base import Replica
from checks.running import run_check
from checks.stages import CHECK, StagesParams
from infdiag_tui.model import CheckResult, CheckStatus, Progress, Verdict
from tests.checks.beside import Beside
from tests.checks.stage_servers import StageServer, context_for, histograms, running
from tests.support import eventually

FAST: dict[str, Any] = {"requests": 6, "interval_s": 0, "warmup": 1}


async def run_on(server: StageServer, folder: Path, baseline: Path | None = None, **params: Any) -> CheckResult:
    async with running(server), context_for(folder, server.url, baseline=baseline) as context:
        return await run_check(CHECK, StagesParams(**{**FAST, **params}), context)


def verdicts(result: CheckResult) -> dict[str, Verdict]:
    return {item.id.removeprefix("stages."): item.verdict for item in result.evidence}


def value(result: CheckResult, stage: str) -> float:
    (evidence,) = (item for item in result.evidence if item.id == f"stages.{stage}")
    assert isinstance(evidence.value, float), evidence.statement
    return evidence.value


KSERVE = {
    "preprocess": "request_preprocess_seconds",
    "inference": "request_predict_seconds",
    "postprocess": "request_postprocess_seconds",
}


async def test_a_planted_slow_stage_is_named_and_the_others_are_not_blamed(tmp_path: Path) -> None:
    server = StageServer(histograms(KSERVE, 'model_name="tiny"'), {"preprocess": 60, "inference": 20, "postprocess": 1})
    result = await run_on(server, tmp_path)
    assert result.status is CheckStatus.FAIL, result.summary
    assert "preprocess is slow" in result.summary
    found = verdicts(result)
    assert found["preprocess"] is Verdict.FAIL
    assert (found["inference"], found["postprocess"]) == (Verdict.OK, Verdict.OK)
    assert 59 <= value(result, "preprocess") < 200
    (evidence,) = (item for item in result.evidence if item.id == "stages.preprocess")
    assert (evidence.sample_size, evidence.unit, evidence.threshold) == (6, "ms", 10)
    assert json.loads(Path(result.artifacts[0]).read_text()) == result.result


async def test_a_server_without_the_fault_is_ok(tmp_path: Path) -> None:
    server = StageServer(histograms(KSERVE), {"preprocess": 1, "inference": 20, "postprocess": 1})
    # The network of a loaded test machine is none to judge.
    result = await run_on(server, tmp_path, network_max_ms=1000)
    assert result.status is CheckStatus.OK, result.summary
    assert result.result["client_ms"]["n"] == 6
    assert value(result, "network") > 0
    reasons = {item["stage"]: item["reason"] for item in result.result["not_offered"]}
    assert "KServe has no figure for it; --stage queue=" in reasons["queue"]


async def test_what_the_client_waits_for_outside_the_servers_count_is_network(tmp_path: Path) -> None:
    server = StageServer(histograms(KSERVE), {"inference": 5, "wire": 80})
    result = await run_on(server, tmp_path)
    assert verdicts(result)["network"] is Verdict.FAIL
    assert value(result, "network") > 70


async def test_triton_is_split_by_its_statistics(tmp_path: Path) -> None:
    server = StageServer(None, {"queue": 1, "compute_input": 1, "compute_infer": 40, "compute_output": 45}, stats=True)
    result = await run_on(server, tmp_path)
    assert verdicts(result)["postprocess"] is Verdict.FAIL
    assert 39 <= value(result, "inference") < 120
    assert result.result["stages"]["inference"]["means"] == "Triton statistics"
    assert result.result["metrics_urls"] == [f"{server.base}/v2/models/tiny/stats"]


async def test_vllm_prefill_and_decode_are_inference_and_the_rest_before_the_first_token_is_the_tokenizer(
    tmp_path: Path,
) -> None:
    metrics = {
        "queue": "vllm:request_queue_time_seconds",
        "prefill": "vllm:request_prefill_time_seconds",
        "decode": "vllm:request_decode_time_seconds",
        "ttft": "vllm:time_to_first_token_seconds",
        "total": "vllm:e2e_request_latency_seconds",
    }

    def render(server: StageServer) -> str:
        before = sum(server.sums_s.get(stage, 0.0) for stage in ("tokenizer", "queue", "prefill"))
        counted = replace(server, sums_s={**server.sums_s, "ttft": before})
        text = histograms({key: name for key, name in metrics.items() if key != "total"})(counted)
        return text + "\n" + histograms({"total": metrics["total"]})(server)

    server = StageServer(render, {"tokenizer": 35, "queue": 2, "prefill": 10, "decode": 20})
    result = await run_on(server, tmp_path)
    assert verdicts(result)["preprocess"] is Verdict.FAIL
    assert 34 <= value(result, "preprocess") < 100
    assert 29 <= value(result, "inference") < 100
    details = {item["name"]: item["ms"] for item in result.result["details"]}
    assert 1.9 < details["queue"] < details["prefill"] < details["decode"] < details["end to end"]


@pytest.mark.parametrize(
    ("metrics", "unit", "stages_ms", "slow"),
    [
        (
            {"queue": "sglang:queue_time_seconds", "total": "sglang:e2e_request_latency_seconds"},
            1.0,
            {"queue": 60, "inference": 20},
            "queue",
        ),
        (
            {
                "preprocess": "tgi_request_validation_duration",
                "queue": "tgi_request_queue_duration",
                "inference": "tgi_request_inference_duration",
                "total": "tgi_request_duration",
            },
            1.0,
            {"preprocess": 40, "queue": 1, "inference": 20},
            "preprocess",
        ),
        (
            {
                "queue": ":tensorflow:serving:batching_session:queuing_latency",
                "inference": ":tensorflow:serving:runtime_latency",
                "total": ":tensorflow:serving:request_latency",
            },
            1e6,
            {"queue": 60, "inference": 5},
            "queue",
        ),
        (
            {
                "queue": "ray_serve_request_router_fulfillment_time_ms",
                "inference": "ray_serve_deployment_processing_latency_ms",
                "total": "ray_serve_http_request_latency_ms",
            },
            1e3,
            {"queue": 1, "inference": 120},
            "inference",
        ),
        (
            {
                "inference": "bentoml_runner_request_duration_seconds",
                "total": "bentoml_service_request_duration_seconds",
            },
            1.0,
            {"inference": 120},
            "inference",
        ),
    ],
    ids=["SGLang", "TGI", "TensorFlow Serving", "Ray Serve", "BentoML"],
)
async def test_every_known_server_is_read_by_the_names_that_it_uses(
    tmp_path: Path, metrics: dict[str, str], unit: float, stages_ms: dict[str, float], slow: str
) -> None:
    path = "/monitoring/prometheus/metrics" if "tensorflow" in metrics["total"] else "/metrics"
    server = StageServer(histograms(metrics, unit=unit), stages_ms, metrics_path=path)
    result = await run_on(server, tmp_path, network_max_ms=1000)
    found = verdicts(result)
    assert found[slow] in (Verdict.WARN, Verdict.FAIL), result.summary
    assert all(found[stage] is Verdict.OK for stage in stages_ms if stage != slow), result.summary
    for stage, ms in stages_ms.items():
        assert ms * 0.95 <= value(result, stage) < ms * 2 + 60
    assert "network" in found


async def test_torchserves_gauges_are_read_after_each_request(tmp_path: Path) -> None:
    def render(server: StageServer) -> str:
        spent_us = sum(server.sums_s.values()) * 1e6
        return (
            f'ts_inference_requests_total{{model_name="tiny",model_version="default"}} {server.count}\n'
            f'ts_inference_latency_microseconds{{model_name="tiny",model_version="default"}} {spent_us}\n'
            f'ts_queue_latency_microseconds{{model_name="tiny"}} {server.sums_s.get("queue", 0) * 1e6}\n'
            f'HandlerTime{{ModelName="tiny",Level="Model"}} {server.last_s.get("handler", 0) * 1000}\n'
        )

    server = StageServer(render, {"queue": 2, "handler": 150}, predict_path="/predictions/tiny")
    async with running(server), context_for(tmp_path, server.url) as context:
        params = StagesParams(**FAST, metrics_url=f"{server.base}/metrics")
        result = await run_check(CHECK, params, context)
    assert verdicts(result)["inference"] is Verdict.WARN
    assert 149 <= value(result, "inference") < 300
    assert result.result["stages"]["inference"]["n"] == 6
    assert verdicts(result)["queue"] is Verdict.OK


async def test_a_metric_of_ones_own_is_used_before_the_servers(tmp_path: Path) -> None:
    names = {**KSERVE, "queue": "app_wait_milliseconds"}

    def render(server: StageServer) -> str:
        waits = f'app_wait_milliseconds_sum{{pool="a"}} {server.sums_s.get("queue", 0) * 1000}\n'
        others = f'app_wait_milliseconds_sum{{pool="b"}} 99\napp_wait_milliseconds_count{{pool="b"}} {server.count}\n'
        return f'{histograms(KSERVE)(server)}\n{waits}app_wait_milliseconds_count{{pool="a"}} {server.count}\n{others}'

    server = StageServer(render, {"queue": 30, "inference": 20})
    result = await run_on(server, tmp_path, stage=(f'queue={names["queue"]}{{pool="a"}}',), network_max_ms=1000)
    assert 29 <= value(result, "queue") < 80
    assert result.result["stages"]["queue"]["means"] == "configured metrics"
    assert result.result["stages"]["inference"]["means"] == "KServe"


async def test_two_counters_may_be_named_as_a_sum_and_a_count(tmp_path: Path) -> None:
    def render(server: StageServer) -> str:
        return f"busy_us_total {sum(server.sums_s.values()) * 1e6}\nanswered_total {server.count}\n"

    server = StageServer(render, {"inference": 130})
    result = await run_on(server, tmp_path, stage={"inference": "busy_us_total/answered_total"})
    assert 129 <= value(result, "inference") < 300
    assert verdicts(result)["inference"] is Verdict.WARN


async def test_a_metric_that_is_not_there_is_named_with_what_would_offer_it(tmp_path: Path) -> None:
    def render(server: StageServer) -> str:
        spent = sum(server.sums_s.values()) * 1e6
        return (
            f":tensorflow:serving:runtime_latency_sum {spent}\n"
            f":tensorflow:serving:runtime_latency_count {server.count}\n"
            f":tensorflow:serving:request_count {server.count}\n"
        )

    server = StageServer(render, {"inference": 20}, metrics_path="/monitoring/prometheus/metrics")
    result = await run_on(server, tmp_path, stage=("preprocess=no_such_seconds",))
    reasons = {(item["means"], item["stage"]): item["reason"] for item in result.result["not_offered"]}
    assert "--enable_batching" in reasons["TensorFlow Serving", "queue"]
    assert "no_such_seconds" in reasons["configured metrics", "preprocess"]
    (evidence,) = (item for item in result.evidence if item.id == "stages.queue")
    assert evidence.value is None
    assert evidence.verdict is Verdict.UNKNOWN


async def test_server_timing_splits_each_request(tmp_path: Path) -> None:
    server = StageServer(None, {"preprocess": 1, "model": 20, "postprocess": 50, "cdn-thing": 1}, server_timing=True)
    result = await run_on(server, tmp_path, network_max_ms=1000)
    assert verdicts(result)["postprocess"] is Verdict.FAIL
    assert verdicts(result)["inference"] is Verdict.OK
    (evidence,) = (item for item in result.evidence if item.id == "stages.postprocess")
    assert evidence.low is not None
    assert evidence.high is not None
    assert evidence.low <= value(result, "postprocess") <= evidence.high
    assert "cdn-thing" in {item["name"] for item in result.result["details"]}


async def test_a_span_that_does_not_say_its_stage_is_named_by_the_operator(tmp_path: Path) -> None:
    server = StageServer(None, {"stage-a": 30, "stage-b": 20}, server_timing=True)
    result = await run_on(server, tmp_path, span={"preprocess": "stage-a", "inference": "stage-b"})
    assert verdicts(result)["preprocess"] is Verdict.WARN or value(result, "preprocess") > 30


async def test_the_models_own_baseline_is_judged_against_instead_of_typical_times(tmp_path: Path) -> None:
    server = StageServer(histograms(KSERVE), {"preprocess": 2, "inference": 150, "postprocess": 12})
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"stages": {"inference": 150.0, "postprocess": {"ms": 1.5}}}))
    result = await run_on(server, tmp_path, baseline, network_max_ms=1000)
    found = verdicts(result)
    assert found["inference"] is Verdict.OK  # slow by typical times, but always so
    assert found["postprocess"] is Verdict.FAIL
    (evidence,) = (item for item in result.evidence if item.id == "stages.postprocess")
    assert evidence.threshold == 3.0
    assert "baseline" in evidence.threshold_source


async def test_a_broken_baseline_is_an_error_in_words(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text("{")
    result = await run_on(StageServer(histograms(KSERVE)), tmp_path, baseline)
    assert result.status is CheckStatus.ERROR
    assert "infdiag check baseline" in result.summary


async def test_a_restart_in_between_counts_what_happened_since_and_is_told(tmp_path: Path) -> None:
    server = StageServer(histograms(KSERVE), {"inference": 20})
    server.count, server.sums_s = 1000, {"inference": 1000 * 5.0}

    def report(progress: Progress) -> None:
        if progress.text == "request 2 of 8":
            server.count, server.sums_s = 0, {}

    async with running(server), context_for(tmp_path, server.url) as context:
        context.report = report
        result = await run_check(CHECK, StagesParams(requests=8, interval_s=0, warmup=1), context)
    assert 19 <= value(result, "inference") < 100
    assert result.result["stages"]["inference"]["n"] == 6
    assert any("began anew" in note for note in result.result["notes"])


async def test_other_clients_requests_make_the_network_unknown_instead_of_wrong(tmp_path: Path) -> None:
    def render(server: StageServer) -> str:
        return histograms(KSERVE)(replace(server, count=server.count * 3))

    result = await run_on(StageServer(render, {"inference": 20}), tmp_path)
    (evidence,) = (item for item in result.evidence if item.id == "stages.network")
    assert evidence.verdict is Verdict.UNKNOWN
    assert evidence.value is None
    assert "18 requests, of which 6" in evidence.statement


async def test_replicas_are_scraped_one_by_one_and_added_up(tmp_path: Path) -> None:
    stages_ms = {"inference": 20.0}
    first, second = StageServer(histograms(KSERVE), stages_ms), StageServer(histograms(KSERVE), stages_ms)
    async with running(first), running(second):
        replicas = (Replica("a", first.base), Replica("b", second.base))
        async with context_for(tmp_path, first.url, replicas=replicas) as context:
            # What another client sends to the second replica is the model's work as well.
            async def meanwhile() -> None:
                await eventually(lambda: first.count >= 3)
                assert context.sender is not None
                await context.sender.predict({}, base_url=second.base)

            other = asyncio.create_task(meanwhile())
            result = await run_check(CHECK, StagesParams(**FAST), context)
            await other
    assert result.result["stages"]["inference"]["n"] == 7
    assert len(result.result["metrics_urls"]) == 2


async def test_watching_sends_nothing(tmp_path: Path) -> None:
    server = StageServer(histograms(KSERVE), {"inference": 20})
    async with running(server), context_for(tmp_path, server.url) as context:
        assert context.sender is not None
        sender = context.sender

        async def production() -> None:
            while True:
                await sender.predict({})

        traffic = asyncio.create_task(production())
        await eventually(lambda: server.count > 2)
        result = await run_check(CHECK, StagesParams(observe_s=0.5), context)
        traffic.cancel()
        await asyncio.wait([traffic])
    assert 19 <= value(result, "inference") < 100
    assert result.result["client_ms"] is None
    assert "network" not in verdicts(result)


async def test_a_server_that_tells_nothing_ends_in_a_sentence_with_what_would_help(tmp_path: Path) -> None:
    result = await run_on(StageServer(None, {"inference": 1}), tmp_path)
    assert result.status is CheckStatus.ERROR
    assert "--metrics-url" in result.summary
    assert "A request takes the client" in result.summary


async def test_metrics_that_are_forbidden_are_told_with_the_servers_words(tmp_path: Path) -> None:
    server = StageServer(None, {"inference": 1}, stats=True, forbidden="expecting header triton-access")
    result = await run_on(server, tmp_path)
    assert result.status is CheckStatus.ERROR
    assert "/v2/models/tiny/stats: HTTP 403 Forbidden: expecting header" in result.summary


async def test_a_failing_server_ends_early_in_a_sentence(tmp_path: Path) -> None:
    server = StageServer(histograms(KSERVE), fail=True)
    result = await run_on(server, tmp_path, warmup=0, requests=50)
    assert result.status is CheckStatus.ERROR
    assert "none of 3 known-good requests: HTTP 500 Internal Server Error: broken" in result.summary
    assert result.summary.endswith("look at the server's log.")
    assert result.unreachable


async def test_missing_inputs_are_named(tmp_path: Path) -> None:
    async with context_for(tmp_path) as context:
        result = await run_check(CHECK, StagesParams(), context)
        assert result.status is CheckStatus.SKIPPED
        assert "endpoint.url" in result.summary
        result = await run_check(CHECK, StagesParams(pipeline="a:B"), context)
        assert "--pipeline-input" in result.summary
        result = await run_check(CHECK, StagesParams(pipeline="a:B", in_pod=True), context)
        assert "kubernetes.selector" in result.summary


@pytest.mark.parametrize("choice", ["nonsense", "warmup=a", "queue=", "queue=a b", "queue=a{b}"])
async def test_a_metric_that_cannot_be_read_is_explained(tmp_path: Path, choice: str) -> None:
    result = await run_on(StageServer(histograms(KSERVE)), tmp_path, stage=(choice,))
    assert result.status is CheckStatus.ERROR
    assert "--stage" in result.summary


PIPELINE = """
import sys, time
print("noise on standard output")
class Scorer:
    def __init__(self):
        self.scale = 2
    def preprocess(self, raw):
        time.sleep(0.04)
        return raw["x"]
    def predict(self, x):
        return x * self.scale
    def postprocess(self, y):
        assert y == 6
        return {"score": y}
def broken(value):
    raise RuntimeError("no weights")
def hangs(value):
    import subprocess
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("started", "w").close()
    time.sleep(600)
"""


@pytest.fixture
def pipeline_dir(tmp_path: Path) -> Path:
    (tmp_path / "scorer.py").write_text(PIPELINE)
    (tmp_path / "input.json").write_text('{"x": 3}')
    return tmp_path


async def run_pipeline(folder: Path, pipeline: str, **params: Any) -> CheckResult:
    given = {"requests": 5, "pipeline_dir": folder, "pipeline_input": folder / "input.json", **params}
    async with context_for(folder) as context:
        return await run_check(CHECK, StagesParams(pipeline=pipeline, **given), context)


async def test_a_pipelines_slow_stage_is_found_in_a_process_of_its_own(pipeline_dir: Path) -> None:
    result = await run_pipeline(pipeline_dir, "scorer:Scorer")
    assert result.status is CheckStatus.FAIL, result.summary
    assert verdicts(result)["preprocess"] is Verdict.FAIL
    assert verdicts(result)["inference"] is Verdict.OK
    assert 39 <= value(result, "preprocess") < 150
    assert result.result["stages"]["preprocess"]["n"] == 5


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [("scorer:broken", "no weights"), ("scorer:absent", "absent"), ("nowhere:x", "nowhere")],
)
async def test_a_pipeline_that_does_not_run_is_an_error_in_words(pipeline_dir: Path, pipeline: str, words: str) -> None:
    result = await run_pipeline(pipeline_dir, pipeline)
    assert result.status is CheckStatus.ERROR
    assert words in result.summary


class Container(Beside):
    """Runs a command in `folder`, as exec does in a container."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.folder)
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(stdin)
        return process.returncode or 0, out, err


async def test_a_pipeline_runs_beside_the_model_once_agreed_to(pipeline_dir: Path) -> None:
    params = StagesParams(
        pipeline="scorer:Scorer", in_pod=True, requests=4, pipeline_input=pipeline_dir / "input.json",
        python=sys.executable,
    )  # fmt: skip
    async with context_for(pipeline_dir) as context:
        context.remote = Container(pipeline_dir)
        result = await run_check(CHECK, params, context)
        assert result.status is CheckStatus.SKIPPED
        assert context.remote.where in result.summary
        assert "--yes" in result.summary
        context.confirmed = True
        result = await run_check(CHECK, params, context)
    assert verdicts(result)["preprocess"] is Verdict.FAIL
    assert result.result["stages"]["preprocess"]["n"] == 4


async def test_cancelling_ends_the_pipeline_and_what_it_started(pipeline_dir: Path) -> None:
    task = asyncio.create_task(run_pipeline(pipeline_dir, "scorer:hangs"))
    await eventually((pipeline_dir / "started").exists)
    children = psutil.Process().children(recursive=True)
    assert len(children) >= 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children))


async def test_a_pipeline_that_takes_too_long_is_ended(pipeline_dir: Path) -> None:
    result = await run_pipeline(pipeline_dir, "scorer:hangs", pipeline_timeout_s=1)
    assert result.status is CheckStatus.ERROR
    assert "longer than 1 s" in result.summary


async def test_cancelling_between_requests_leaves_no_task_behind(tmp_path: Path) -> None:
    server = StageServer(histograms(KSERVE), {"inference": 5})
    async with running(server), context_for(tmp_path, server.url) as context:
        task = asyncio.create_task(run_check(CHECK, StagesParams(requests=200, interval_s=1), context))
        await eventually(lambda: server.count >= 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [task for task in asyncio.all_tasks() if "/checks/stages" in repr(task.get_stack())]
