"""The model servers: they compute, speak both protocols, and say how they are."""

from __future__ import annotations

import tomllib
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infdiag_tui.lab import Lab
from infdiag_tui.lab.world import FEATURES

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _known_good(lab: Lab) -> dict[str, Any]:
    config = tomllib.loads(lab.config_path.read_text())
    body: dict[str, Any] = config["models"]["fraud-scorer"]["endpoint"]["body"]
    return body


async def _post(url: str, body: object) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as reply:
        return reply.status, await reply.json()


async def _get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        return reply.status, await reply.json()


async def test_the_same_input_gets_the_same_answer_from_every_replica(healthy: Lab) -> None:
    body = _known_good(healthy)
    answers = [await _post(f"{replica.url}/predict", body) for replica in await healthy.replicas()]
    assert len(answers) == 2
    assert answers[0] == answers[1]
    status, answer = answers[0]
    assert status == 200
    assert answer["model_version"] == "2.4.1"
    scores = [row["fraud_probability"] for row in answer["predictions"]]
    assert len(scores) == len(body["instances"])
    assert len(set(scores)) > 1
    assert all(0 < score < 1 for score in scores)


async def test_the_answer_depends_on_the_input(healthy: Lab) -> None:
    body = _known_good(healthy)
    _, before = await _post(healthy.endpoint_url, body)
    body["instances"][0]["amount"] += 400
    _, after = await _post(healthy.endpoint_url, body)
    assert before["predictions"][0] != after["predictions"][0]
    assert before["predictions"][1:] == after["predictions"][1:]


@pytest.mark.parametrize(
    ("body", "word"),
    [({}, "instances"), ({"instances": []}, "empty"), ({"instances": [{}]}, "country"), ({"instances": [7]}, "object")],
)
async def test_bad_input_is_refused_with_what_is_wrong(healthy: Lab, body: object, word: str) -> None:
    status, answer = await _post(healthy.endpoint_url, body)
    assert status == 422
    assert word in answer["error"]


async def test_the_open_inference_protocol_is_spoken(healthy: Lab) -> None:
    base = healthy.endpoint_url.removesuffix("/predict")
    assert (await _get(f"{base}/v2/health/live"))[0] == 200
    assert (await _get(f"{base}/v2/health/ready"))[0] == 200
    status, metadata = await _get(f"{base}/v2/models/fraud-scorer")
    assert (status, metadata["inputs"][0]["shape"]) == (200, [-1, FEATURES])
    tensor = {"name": "features", "datatype": "FP32", "shape": [2, FEATURES], "data": [0.5] * (2 * FEATURES)}
    status, answer = await _post(f"{base}/v2/models/fraud-scorer/infer", {"id": "7", "inputs": [tensor]})
    assert status == 200
    assert (answer["id"], answer["model_version"]) == ("7", "2.4.1")
    assert answer["outputs"][0]["shape"] == [2]
    status, answer = await _post(f"{base}/v2/models/other/infer", {"inputs": [tensor]})
    assert status == 404
    assert "unknown model" in answer["error"]


async def test_health_names_the_model_version(healthy: Lab) -> None:
    status, answer = await _get(healthy.endpoint_url.replace("/predict", "/health"))
    assert (status, answer["model_version"]) == (200, "2.4.1")


async def test_metrics_count_requests_and_time_the_stages(healthy: Lab) -> None:
    replica = (await healthy.replicas())[0]

    async def page() -> dict[str, float]:
        async with aiohttp.ClientSession() as session, session.get(f"{replica.url}/metrics") as reply:
            families = text_string_to_metric_families(await reply.text())
        samples = [sample for family in families for sample in family.samples]
        return {
            sample.name: sample.value
            for sample in samples
            if sample.labels.get("route", "/predict") == "/predict" and sample.labels.get("status", "200") == "200"
        }

    before = await page()
    for _ in range(5):
        await _post(f"{replica.url}/predict", _known_good(healthy))
    after = await page()
    assert after["fraud_scorer_requests_total"] >= before["fraud_scorer_requests_total"] + 5
    for stage in ("preprocess", "predict", "postprocess"):
        assert after[f"request_{stage}_seconds_count"] >= before[f"request_{stage}_seconds_count"] + 5
        assert after[f"request_{stage}_seconds_sum"] > before[f"request_{stage}_seconds_sum"]
    assert after["process_resident_memory_bytes"] > 30e6


async def test_gpu_metrics_bear_the_exporters_names_units_and_labels(healthy: Lab) -> None:
    async with aiohttp.ClientSession() as session, session.get(healthy.dcgm_url) as reply:
        families = list(text_string_to_metric_families(await reply.text()))
    samples = {(sample.name, sample.labels["gpu"]): sample for family in families for sample in family.samples}
    pods = {replica.name for replica in await healthy.replicas()}
    for gpu in ("0", "1"):
        used, free, reserved = (samples[f"DCGM_FI_DEV_FB_{part}", gpu].value for part in ("USED", "FREE", "RESERVED"))
        assert used + free + reserved == 24_576
        assert 0 <= samples["DCGM_FI_DEV_GPU_UTIL", gpu].value <= 100
        labels = samples["DCGM_FI_DEV_POWER_USAGE", gpu].labels
        assert labels["UUID"].startswith("GPU-")
        assert labels["namespace"] == healthy.namespace
    assert {samples["DCGM_FI_DEV_GPU_UTIL", gpu].labels["pod"] for gpu in ("0", "1")} == pods
