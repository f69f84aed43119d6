"""The stages check on metrics text recorded from real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from checks.running import run_check
from checks.stages import CHECK, StagesParams
from infdiag_tui.model import CheckResult
from tests.checks.stage_servers import StageServer, context_for, running

SAMPLES = Path(__file__).parent / "samples"
SENT = 10


def bumped(text: str, steps: dict[str, float]) -> str:
    """`text` with the lines that start so counted up."""
    lines = []
    for line in text.splitlines():
        name, _, number = line.rpartition(" ")
        step = next((step for start, step in steps.items() if name == start), None)
        lines.append(line if step is None else f"{name} {float(number) + step}")
    assert sum(a != b for a, b in zip(lines, text.splitlines(), strict=True)) == len(steps)
    return "\n".join(lines) + "\n"


async def run_between(before: str, after: str, folder: Path, model: str) -> CheckResult:
    """The check while a server's metrics change from `before` to `after`."""

    def render(server: StageServer) -> str:
        return before if server.count == 0 else after

    server = StageServer(render, predict_path=f"/v2/models/{model}/infer")
    async with running(server), context_for(folder, server.url) as context:
        params = StagesParams(requests=SENT, interval_s=0, warmup=0, metrics_url=f"{server.base}/metrics")
        return await run_check(CHECK, params, context)


def told(result: CheckResult) -> dict[str, Any]:
    return {stage: (of["ms"], of["n"]) for stage, of in result.result["stages"].items() if stage != "network"}


async def test_triton(tmp_path: Path) -> None:
    text = (SAMPLES / "triton-metrics.txt").read_text()
    label = '{model="tiny",version="1"}'
    after = bumped(
        text,
        {
            f"nv_inference_request_success{label}": 10,
            f"nv_inference_request_duration_us{label}": 300_000,
            f"nv_inference_queue_duration_us{label}": 20_000,
            f"nv_inference_compute_input_duration_us{label}": 1_000,
            f"nv_inference_compute_infer_duration_us{label}": 250_000,
            f"nv_inference_compute_output_duration_us{label}": 5_000,
        },
    )
    result = await run_between(text, after, tmp_path, "tiny")
    assert told(result) == {
        "preprocess": (pytest.approx(0.1), 10),
        "inference": (pytest.approx(25), 10),
        "postprocess": (pytest.approx(0.5), 10),
        "queue": (pytest.approx(2), 10),
    }
    assert result.result["stages"]["inference"]["means"] == "Triton"


async def test_tritons_cached_requests_do_not_water_down_the_time_of_computing(tmp_path: Path) -> None:
    label = '{model="tiny",version="1"}'
    text = (SAMPLES / "triton-metrics.txt").read_text() + f"nv_cache_num_hits_per_model{label} 3\n"
    after = bumped(
        text,
        {
            f"nv_inference_request_success{label}": 10,
            f"nv_cache_num_hits_per_model{label}": 8,
            f"nv_inference_compute_infer_duration_us{label}": 50_000,
        },
    )
    result = await run_between(text, after, tmp_path, "tiny")
    assert told(result)["inference"] == (pytest.approx(25), 2)


async def test_mlserver_and_only_the_model_asked_for(tmp_path: Path) -> None:
    text = (SAMPLES / "mlserver-metrics.txt").read_text()
    rest = 'app_name="mlserver",method="POST",path="/v2/models/{model_name}/infer",status_code="200"'
    after = bumped(
        text,
        {
            'model_infer_request_duration_count{model="slow",version="None"}': 10,
            'model_infer_request_duration_sum{model="slow",version="None"}': 0.5,
            'model_infer_request_duration_count{model="iris",version="None"}': 1000,
            'model_infer_request_duration_sum{model="iris",version="None"}': 9000,
            f"rest_server_request_duration_seconds_count{{{rest}}}": 10,
            f"rest_server_request_duration_seconds_sum{{{rest}}}": 0.6,
        },
    )
    result = await run_between(text, after, tmp_path, "slow")
    assert told(result)["inference"] == (pytest.approx(50), 10)
    details = {item["name"]: item["ms"] for item in result.result["details"]}
    assert details["REST request"] == pytest.approx(60)
    assert told(result)["queue"] == (None, None)


async def test_kserve(tmp_path: Path) -> None:
    text = (SAMPLES / "kserve-metrics.txt").read_text()
    steps: dict[str, float] = {}
    for stage, seconds in {"preprocess": 0.02, "predict": 0.3, "postprocess": 0.01}.items():
        steps[f'request_{stage}_seconds_count{{model_name="tiny"}}'] = 10
        steps[f'request_{stage}_seconds_sum{{model_name="tiny"}}'] = seconds
    result = await run_between(text, bumped(text, steps), tmp_path, "tiny")
    assert told(result) == {
        "preprocess": (pytest.approx(2), 10),
        "inference": (pytest.approx(30), 10),
        "postprocess": (pytest.approx(1), 10),
        "queue": (None, None),
    }


async def test_tritons_statistics_since_a_first_reading_that_knew_no_request(tmp_path: Path) -> None:
    recorded = json.loads((SAMPLES / "triton-stats.json").read_text())
    server = StageServer(None, stats=True)

    async with running(server), context_for(tmp_path, server.url) as context:
        assert context.sender is not None
        real_get = context.sender.get

        async def get(url: str, **options: Any) -> Any:
            answer = await real_get(url, **options)
            if server.count and answer.ok:
                object.__setattr__(answer, "body", recorded)
            return answer

        context.sender.get = get  # type: ignore[method-assign]
        result = await run_check(CHECK, StagesParams(requests=SENT, interval_s=0, warmup=0), context)
    assert told(result)["queue"] == (pytest.approx(2386370571 / 297 / 1e6), 297)
    assert told(result)["inference"] == (pytest.approx(3505356807 / 297 / 1e6), 297)
