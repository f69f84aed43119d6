"""The names that servers gave their metrics at different times and behind different front ends."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from checks.running import run_check
from checks.stages import CHECK, StagesParams
from infdiag_tui.servers.adapters import Server, known_servers
from infdiag_tui.servers.counters import Scrape, gauge_ms, known_by, part_delta
from infdiag_tui.servers.metrics_text import parse_metrics
from infdiag_tui.servers.reading import model_labels
from tests.checks.stage_servers import StageServer, context_for, running

REQUESTS = 10


def server(name: str) -> Server:
    (found,) = (one for one in known_servers() if one.name == name)
    return found


def told_ms(name: str, after: str, model: str = "tiny") -> dict[str, float]:
    """The mean of every part that the server tells by itself, after requests that were the first."""
    of = server(name)
    page = parse_metrics(after)
    assert known_by(of, page), "the server is not recognised by these names"
    deltas = {
        part.name: part_delta(part, Scrape("", parse_metrics(""), page), model_labels(of, model)) for part in of.parts
    }
    return {part: delta.total_ms / delta.n for part, delta in deltas.items() if delta is not None and delta.n}


def histogram(name: str, mean: float, labels: str = 'model_name="tiny"', count: int = REQUESTS) -> str:
    return f"{name}_sum{{{labels}}} {mean * count}\n{name}_count{{{labels}}} {count}\n"


VLLM_MS = {"queue": 5.0, "prefill": 20.0, "decode": 300.0, "time to first token": 30.0, "end to end": 330.0}
VLLM = {
    "queue": "request_queue_time_seconds",
    "prefill": "request_prefill_time_seconds",
    "decode": "request_decode_time_seconds",
    "time to first token": "time_to_first_token_seconds",
    "end to end": "e2e_request_latency_seconds",
}


def vllm(prefix: str, labels: str, **renamed: str) -> str:
    names = {**VLLM, **renamed}
    return "".join(histogram(prefix + names[part], ms / 1e3, labels) for part, ms in VLLM_MS.items())


@pytest.mark.parametrize(
    "page",
    [
        vllm("vllm:", 'model_name="tiny",engine="0"'),
        vllm("ray_vllm_", 'model_name="tiny",WorkerId="a"'),
        vllm("vllm:", 'model_name="tiny"', queue="time_in_queue_requests"),
        # Behind Triton, which serves another model beside it.
        vllm("vllm:", 'model="tiny",version="1"') + histogram("vllm:request_queue_time_seconds", 9, 'model="b"'),
    ],
    ids=["today", "behind Ray", "before 0.8", "behind Triton"],
)
def test_vllm(page: str) -> None:
    assert told_ms("vLLM", page) == pytest.approx(VLLM_MS)


@pytest.mark.parametrize("prefix", ["sglang:", "ray_sglang_"])
def test_sglang(prefix: str) -> None:
    parts = {
        "queue": ("queue_time_seconds", 7.0),
        "time to first token": ("time_to_first_token_seconds", 40.0),
        "end to end": ("e2e_request_latency_seconds", 90.0),
    }
    page = "".join(histogram(prefix + name, ms / 1e3) for name, ms in parts.values())
    assert told_ms("SGLang", page) == pytest.approx({part: ms for part, (_, ms) in parts.items()})


def test_tgi() -> None:
    parts = {"validation (tokenizer)": "validation_", "queue": "queue_", "inference": "inference_", "request": ""}
    page = "".join(histogram(f"tgi_request_{name}duration", 0.01, "") for name in parts.values())
    assert told_ms("TGI", page) == pytest.approx(dict.fromkeys(parts, 10.0))


@pytest.mark.parametrize("ending", ["", "_total"])
@pytest.mark.parametrize("counted", ["ts_inference_requests", "ts_inference_requests_total"])
def test_torchserves_counters_with_and_without_their_ending(ending: str, counted: str) -> None:
    labels = 'model_name="tiny",model_version="default",hostname="h"'
    page = (
        f"{counted}{{{labels}}} {REQUESTS}\n"
        f"ts_queue_latency_microseconds{ending}{{{labels}}} {REQUESTS * 2_000}\n"
        f"ts_inference_latency_microseconds{ending}{{{labels}}} {REQUESTS * 50_000}\n"
    )
    assert told_ms("TorchServe", page) == pytest.approx({"queue": 2.0, "request": 50.0})


@pytest.mark.parametrize("gauge", ["HandlerTime", "PredictionTime"])
def test_torchserves_handler_time_is_the_asked_models(gauge: str) -> None:
    of = server("TorchServe")
    (handler,) = (part for part in of.parts if part.gauge)
    page = parse_metrics(
        f'{gauge}{{ModelName="tiny",Level="Model",Hostname="h"}} 42\n'
        f'{gauge}{{ModelName="other",Level="Model",Hostname="h"}} 7\n'
    )
    assert gauge_ms(handler, page, model_labels(of, "tiny")) == 42.0


@pytest.mark.parametrize("ending", ["", "_total"])
def test_triton_and_mlserver_are_known_by_counters_with_and_without_their_ending(ending: str) -> None:
    label = 'model="tiny",version="1"'
    triton = "".join(
        f"nv_inference_{name}{ending}{{{label}}} {value}\n"
        for name, value in {
            "request_success": REQUESTS,
            "queue_duration_us": 30_000,
            "compute_infer_duration_us": 9e5,
        }.items()
    )
    assert told_ms("Triton", triton) == pytest.approx({"queue": 3.0, "compute_infer": 90.0})
    cached = triton + f"nv_cache_num_hits_per_model{ending}{{{label}}} 4\n"
    assert told_ms("Triton", cached) == pytest.approx({"queue": 3.0, "compute_infer": 150.0})

    mlserver = f"model_infer_request_success{ending}{{{label}}} 10\n"
    assert known_by(server("MLServer"), parse_metrics(mlserver))


@pytest.mark.parametrize("prefix", ["bentoml_service_", "bentoml_api_server_"])
def test_bentoml_now_and_before(prefix: str) -> None:
    page = histogram(f"{prefix}request_duration_seconds", 0.08, 'endpoint="/predict",service_version="1"')
    assert told_ms("BentoML", page) == pytest.approx({"request": 80.0})


def test_tensorflow_serving_with_its_colons() -> None:
    page = (
        histogram(":tensorflow:serving:request_latency", 60_000, 'model_name="tiny",API="predict",entrypoint="REST"')
        + histogram(":tensorflow:serving:runtime_latency", 45_000, 'model_name="tiny",API="Predict",runtime="TF1"')
        + histogram(":tensorflow:serving:batching_session:queuing_latency", 10_000, "")
    )
    assert told_ms("TensorFlow Serving", page) == pytest.approx({"batching queue": 10, "runtime": 45, "request": 60})


async def test_a_server_of_an_old_name_is_read_by_the_whole_check(tmp_path: Path) -> None:
    def render(one: StageServer) -> str:
        parts = (("request_prefill_time_seconds", 0.02), ("request_decode_time_seconds", 0.2))
        text = "".join(histogram(f"vllm:{name}", mean, count=one.count) for name, mean in parts)
        queue = histogram("vllm:time_in_queue_requests", 0.4, count=one.count)
        return text + queue + histogram("vllm:e2e_request_latency_seconds", 0.63, count=one.count)

    serves = StageServer(render)
    async with running(serves), context_for(tmp_path, serves.url) as context:
        result = await run_check(CHECK, StagesParams(requests=4, interval_s=0, warmup=0), context)

    stages = result.result["stages"]
    assert math.isclose(stages["queue"]["ms"], 400.0)
    assert math.isclose(stages["inference"]["ms"], 220.0)
    assert result.summary.startswith("inference is slow: 220 ms against 100 ms")
