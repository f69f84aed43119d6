"""What the tests of several servers assert alike."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from typing import Any

from tests.live.serving import V2_INPUT, Operator, evidence, latencies_ms


def stage(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One stage of the check's result."""
    found = document["result"]["stages"][name]
    assert isinstance(found, dict)
    return found


def assert_reproduces(operator: Operator, url: str, *, version: str) -> None:
    """Of two cases the one with a wrong expectation is the one that fails, with what came instead."""
    six = {"outputs": [{"name": "y", "data": [6.0]}]}
    cases = [
        {"name": "six", "input": V2_INPUT, "expected": six},
        {"name": "seven", "input": {"inputs": [{**V2_INPUT["inputs"][0], "data": [1, 2, 4]}]}, "expected": six},
    ]
    (operator.home / "cases.json").write_text(json.dumps(cases))

    code, found = operator.v2("check", "reproduce", "--cases", "cases.json", url=url)

    assert (code, found["status"]) == (1, "fail")
    right, wrong = found["result"]["cases"]
    assert (right["name"], right["ok"], right["errors"], right["mismatches"]) == ("six", True, 0, 0)
    assert (wrong["name"], wrong["ok"], wrong["errors"]) == ("seven", False, 0)
    (difference,) = wrong["differences"]
    assert (difference["path"], difference["expected"], difference["actual"]) == ("$.outputs[0].data[0]", "6.0", "7.0")
    assert right["model_versions"] == [version]
    assert found["result"]["deterministic"] is True

    (operator.home / "cases.json").write_text(json.dumps(cases[:1]))
    code, found = operator.v2("check", "reproduce", "--cases", "cases.json", url=url)
    assert (code, found["status"]) == (0, "ok")


def assert_agrees_with_another_client(operator: Operator, url: str, *, at_least_ms: float) -> None:
    """Triage's latencies are the standard library's, as near as a busy machine allows, and never below the model's."""
    code, found = operator.v2("triage", "--for", "10s", url=url)
    others_ms = latencies_ms(url, V2_INPUT, 20)

    assert code == 1  # so slow a model is a finding
    p50, slowest, errors = (evidence(found, f"latency.{name}") for name in ("p50", "max", "error_rate"))
    assert (p50["verdict"], p50["unit"]) == ("fail", "ms")
    assert 5 <= p50["sample_size"] <= 12  # one a second
    assert at_least_ms <= p50["value"] <= slowest["value"]
    assert errors["value"] == 0.0
    other_ms = statistics.median(others_ms)
    assert at_least_ms <= other_ms
    assert abs(p50["value"] - other_ms) < 0.5 * other_ms + 50
