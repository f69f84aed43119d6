"""The checks against a real MLServer."""

from __future__ import annotations

import pytest

from tests.live.judging import assert_agrees_with_another_client, assert_reproduces, stage
from tests.live.serving import Operator, Served, evidence

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
INFER_MS = 150.0
QUIET = ("--network-max-ms", "1000")


def test_stages_finds_the_slow_stage_in_mlservers_metrics(operator: Operator, mlserver: Served) -> None:
    where = ("--metrics-url", mlserver.metrics)
    code, found = operator.v2("check", "stages", *where, *QUIET, url=mlserver.url("slow"))

    assert (code, found["status"]) in {(1, "warn"), (1, "fail")}
    assert found["result"]["summary"].startswith("inference is slow: ")
    assert (stage(found, "inference")["means"], stage(found, "inference")["n"]) == ("MLServer", 20)
    assert INFER_MS <= stage(found, "inference")["ms"] < 5 * INFER_MS
    assert stage(found, "network")["ms"] < INFER_MS
    # Missing is told as missing, with what to do about it.
    assert stage(found, "queue")["ms"] is None
    assert {one["stage"] for one in found["result"]["not_offered"]} == {"preprocess", "postprocess", "queue"}


def test_stages_blames_none_of_a_fast_model(operator: Operator, mlserver: Served) -> None:
    where = ("--metrics-url", mlserver.metrics)
    code, found = operator.v2("check", "stages", *where, *QUIET, url=mlserver.url("fast"))

    assert (code, found["status"]) == (0, "ok"), found["result"]["summary"]
    assert stage(found, "inference")["n"] == 20


def test_version_is_read_in_the_reply_where_metadata_has_none(operator: Operator, mlserver: Served) -> None:
    code, found = operator.v2("check", "version", "--expected", "v7", url=mlserver.url("slow"))
    assert (code, found["status"]) == (0, "ok"), found["result"]["summary"]
    assert [(one["version"], one["source"]) for one in found["result"]["replicas"]] == [("v7", "reply")]

    code, found = operator.v2("check", "version", "--expected", "v8", url=mlserver.url("slow"))
    assert (code, found["status"]) == (1, "fail")
    assert evidence(found, "version.mismatch")["value"] == "v7"


def test_reproduce_tells_the_case_that_fails(operator: Operator, mlserver: Served) -> None:
    assert_reproduces(operator, mlserver.url("fast"), version="v7")


def test_triage_measures_what_another_client_does(operator: Operator, mlserver: Served) -> None:
    assert_agrees_with_another_client(operator, mlserver.url("slow"), at_least_ms=INFER_MS)
