"""The checks against a real KServe, which tells its stages, and a real LitServe, which tells nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.live.judging import stage
from tests.live.serving import Operator, Served, evidence

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
PREPROCESS_MS, PREDICT_MS = 60.0, 20.0
LITSERVE_MS = 20.0


def test_stages_finds_kserves_slow_preprocessing(operator: Operator, kserve: Served) -> None:
    words = ("--network-max-ms", "1000", "--inference-max-ms", "500")
    code, found = operator.v2("check", "stages", *words, url=kserve.url("slow"))

    assert (code, found["status"]) == (1, "fail")  # six times the typical 10 ms
    assert found["result"]["summary"].startswith("preprocess is slow: ")
    assert stage(found, "preprocess")["means"] == "KServe"
    assert PREPROCESS_MS <= stage(found, "preprocess")["ms"] < 8 * PREPROCESS_MS
    assert PREDICT_MS <= stage(found, "inference")["ms"] < 8 * PREPROCESS_MS
    assert stage(found, "postprocess")["ms"] < PREPROCESS_MS
    assert found["result"]["metrics_urls"] == [kserve.metrics]  # found without being told


@pytest.fixture(name="adder")
def _adder(operator: Operator) -> Operator:
    (operator.home / "input.json").write_text(json.dumps({"features": [1, 2, 3]}))
    return operator


def test_stages_says_what_a_server_without_metrics_needs(adder: Operator, litserve: Served) -> None:
    code, found = adder.infdiag("check", "stages", "--endpoint", litserve.predict, "--body-file", "input.json")

    assert (code, found["status"]) == (2, "error")
    assert "tells nothing of its stages" in found["result"]["summary"]
    assert "--metrics-url or --stage" in found["result"]["summary"]


def test_load_cannot_exceed_what_one_worker_bears(adder: Operator, litserve: Served) -> None:
    requests, concurrency = 100, 4
    target = ("--endpoint", litserve.predict, "--body-file", "input.json", "--yes")
    _, found = adder.infdiag("check", "load", *target, "-n", str(requests), "-c", str(concurrency))

    result = found["result"]
    assert (result["requests"], result["errors"]) == (requests, 0)
    # At most those in flight were begun before the first counted one was sent.
    assert 1 < result["throughput_rps"] <= 1000 / LITSERVE_MS * requests / (requests - concurrency)
    assert result["alone"]["latency_ms"]["p50"] >= LITSERVE_MS
    # Each waits for those before it.
    assert result["latency_ms"]["p50"] >= 2 * LITSERVE_MS
    assert evidence(found, "load.error_rate")["verdict"] == "ok"


def test_reproduce_holds_plain_json_against_what_is_expected(adder: Operator, litserve: Served) -> None:
    cases: list[dict[str, Any]] = [
        {"input": {"features": [1, 2, 3]}, "expected": {"sum": 6.0}},
        {"input": {"features": []}},
    ]
    (adder.home / "cases.json").write_text(json.dumps(cases))
    code, found = adder.infdiag("check", "reproduce", "--endpoint", litserve.predict, "--cases", "cases.json")
    assert (code, found["status"]) == (0, "ok"), found["result"]["summary"]

    cases[0]["expected"] = {"sum": 7.0}
    (adder.home / "cases.json").write_text(json.dumps(cases))
    code, found = adder.infdiag("check", "reproduce", "--endpoint", litserve.predict, "--cases", "cases.json")
    assert (code, found["status"]) == (1, "fail")
    assert found["result"]["cases"][0]["differences"][0]["path"] == "$.sum"
