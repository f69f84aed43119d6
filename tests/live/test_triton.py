"""The checks against a real Triton."""

from __future__ import annotations

import json

import pytest

from tests.live.conftest import TOKEN
from tests.live.judging import assert_agrees_with_another_client, assert_reproduces, stage
from tests.live.serving import Operator, Served, evidence

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
INFER_MS = 150.0
QUEUE_MS = 30.0
QUIET = ("--network-max-ms", "1000")
"""A busy machine's network is none to judge."""


def test_stages_finds_the_slow_stage_in_tritons_metrics(operator: Operator, triton: Served) -> None:
    where = ("--metrics-url", triton.metrics)
    code, found = operator.v2("check", "stages", *where, *QUIET, url=triton.url("slow"))

    assert (code, found["status"]) in {(1, "warn"), (1, "fail")}
    assert found["result"]["summary"].startswith("inference is slow: ")
    assert INFER_MS <= stage(found, "inference")["ms"] < 5 * INFER_MS
    assert QUEUE_MS * 0.95 <= stage(found, "queue")["ms"] < QUEUE_MS + INFER_MS
    assert 0 < stage(found, "preprocess")["ms"] < INFER_MS / 2
    assert 0 < stage(found, "postprocess")["ms"] < INFER_MS / 2
    assert {stage(found, name)["n"] for name in ("preprocess", "inference", "postprocess", "queue")} == {20}
    assert stage(found, "inference")["means"] == "Triton"
    client_ms = found["result"]["client_ms"]["mean"]
    assert client_ms >= stage(found, "inference")["ms"] + stage(found, "queue")["ms"]
    assert found["result"]["metrics_urls"] == [triton.metrics]


def test_stages_blames_none_of_a_fast_model(operator: Operator, triton: Served) -> None:
    where = ("--metrics-url", triton.metrics)
    code, found = operator.v2("check", "stages", *where, *QUIET, url=triton.url("fast"))

    assert (code, found["status"]) == (0, "ok"), found["result"]["summary"]
    assert stage(found, "inference")["n"] == 20  # the other model's requests are not among them


def test_stages_reads_tritons_statistics_with_the_token_that_they_want(operator: Operator, triton: Served) -> None:
    code, refused = operator.v2("check", "stages", url=triton.url("slow"))
    assert (code, refused["status"]) == (2, "error")
    assert "triton-access-token" in refused["result"]["summary"]

    body = json.dumps(str(operator.home / "input.json"))
    (operator.home / "infdiag.toml").write_text(
        f'[models.slow.endpoint]\nurl = "{triton.url("slow")}"\nprotocol = "v2"\nbody_file = {body}\n'
        f'headers = {{ triton-access-token = "{TOKEN}" }}\n'
    )
    code, found = operator.infdiag("check", "stages", "slow", *QUIET)

    assert code == 1
    assert stage(found, "inference")["means"] == "Triton statistics"
    assert INFER_MS <= stage(found, "inference")["ms"] < 5 * INFER_MS
    assert QUEUE_MS * 0.95 <= stage(found, "queue")["ms"] < QUEUE_MS + INFER_MS
    assert TOKEN not in json.dumps(found)


def test_version_is_the_one_that_triton_serves(operator: Operator, triton: Served) -> None:
    code, found = operator.v2("check", "version", "--expected", "1", url=triton.url("slow"))
    assert (code, found["status"]) == (0, "ok")
    assert [(one["version"], one["source"], one["model"]) for one in found["result"]["replicas"]] == [
        ("1", "v2", "slow")
    ]

    code, found = operator.v2("check", "version", "--expected", "2", url=triton.url("slow"))
    assert (code, found["status"]) == (1, "fail")
    assert evidence(found, "version.mismatch")["value"] == "1"


def test_reproduce_tells_the_case_that_fails(operator: Operator, triton: Served) -> None:
    assert_reproduces(operator, triton.url("fast"), version="1")


def test_triage_measures_what_another_client_does(operator: Operator, triton: Served) -> None:
    assert_agrees_with_another_client(operator, triton.url("slow"), at_least_ms=INFER_MS + QUEUE_MS)
