"""Reproduction with known-good inputs, against servers that have the fault and servers that have not."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from checks.base import Replica
from checks.reproduce import CHECK, ReproduceParams
from checks.running import run_check
from infdiag_tui.config import Endpoint, ModelConfig, Protocol
from infdiag_tui.model import CheckStatus, Verdict
from tests.checks.serving import ModelServer, bare_context, context_for, evidence_of, keep_progress, serving
from tests.streams.latency_servers import raw_server


def cases_file(folder: Path, *cases: dict[str, Any]) -> Path:
    path = folder / "cases.json"
    path.write_text(json.dumps(cases))
    return path


def double(body: Any) -> Any:
    return {"predictions": [2.0 * one for one in body["x"]], "model_version": "3", "latency_ms": 1.0}


async def test_expected_outputs_that_come_every_time_are_ok(tmp_path: Path) -> None:
    cases = cases_file(
        tmp_path,
        {"name": "two", "input": {"x": [1, 2]}, "expected": {"predictions": [2, 4]}},
        {"input": {"x": [3]}, "expected": [6.0001], "compare": "numeric(0, 1e-3)", "path": "$.predictions"},
    )
    server = ModelServer(double)
    async with serving(server) as (url,), context_for(tmp_path, url) as context:
        progress = keep_progress(context)
        result = await run_check(CHECK, ReproduceParams(cases=cases, repeat=3), context)

    assert result.status is CheckStatus.OK
    assert result.summary.startswith("All 6 requests with 2 cases were answered as expected")
    assert [case["name"] for case in result.result["cases"]] == ["two", "case 2"]
    first = result.result["cases"][0]
    assert (first["ok"], first["requests"], first["deterministic"], first["identical"]) == (True, 3, True, True)
    assert first["model_versions"] == ["3"]
    assert first["latency_ms"]["n"] == 3
    assert first["latency_ms"]["max"] >= first["latency_ms"]["median"] > 0
    assert result.result["deterministic"] is True
    assert server.bodies == [{"x": [1, 2]}, {"x": [3]}] * 3
    assert [one.share for one in progress] == pytest.approx([one / 6 for one in range(1, 7)])
    json.dumps(result.result)


async def test_a_wrong_output_fails_with_path_and_values(tmp_path: Path) -> None:
    cases = cases_file(
        tmp_path,
        {"name": "good", "input": {"x": [1]}, "expected": {"predictions": [2.0]}},
        {"name": "bad", "input": {"x": [1, 2]}, "expected": {"predictions": [2.0, 5.0]}},
    )
    async with serving(ModelServer(double)) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, ReproduceParams(cases=cases, repeat=2), context)

    assert result.status is CheckStatus.FAIL
    assert result.summary == "1 of 2 cases failed: bad every time, $.predictions[1] is 4.0 instead of 5.0"
    good, bad = result.result["cases"]
    assert (good["ok"], bad["ok"]) == (True, False)
    assert bad["differences"] == [
        {"path": "$.predictions[1]", "expected": "5.0", "actual": "4.0", "distance": 1.0},
    ]
    assert bad["max_relative"] == pytest.approx(0.2)
    failed = evidence_of(result, "reproduce.failed")
    assert (failed.value, failed.unit, failed.sample_size, failed.verdict) == (1.0, "cases", 4, Verdict.FAIL)
    assert failed.threshold_source
    wrong = evidence_of(result, "reproduce.wrong")
    assert (wrong.value, wrong.verdict) == (1.0, Verdict.FAIL)
    assert wrong.statement == "Wrong answers to 1 of 2 cases: bad 2 of 2 times, $.predictions[1] is 4.0 instead of 5.0"


async def test_failed_requests_make_no_answer_wrong(tmp_path: Path) -> None:
    turn = itertools.count()

    def flaky(_body: Any) -> Any:
        return {"y": 1} if next(turn) % 2 else web.json_response({"error": "busy"}, status=503)

    cases = cases_file(tmp_path, {"name": "one", "input": {"x": 1}, "expected": {"y": 1}})
    async with serving(ModelServer(flaky)) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, ReproduceParams(cases=cases, repeat=6), context)

    assert evidence_of(result, "reproduce.failed").verdict is Verdict.FAIL
    wrong = evidence_of(result, "reproduce.wrong")
    assert (wrong.verdict, wrong.sample_size) == (Verdict.OK, 3)


async def test_a_label_is_judged_wherever_the_reply_holds_it(tmp_path: Path) -> None:
    cases = cases_file(
        tmp_path,
        {"name": "scores", "input": 0, "expected": 1, "compare": "label"},
        {"name": "named", "input": 1, "expected": "fraud", "compare": "label"},
        {"name": "wrong", "input": 1, "expected": "clean", "compare": "label"},
        {"name": "unclear", "input": 2, "expected": "a", "compare": "label"},
        {"name": "many", "input": 3, "expected": ["a", "b"], "compare": "label", "path": "predictions[*].label"},
    )
    replies = [
        {"predictions": [[0.2, 0.7, 0.1]]},
        {"predictions": [{"label": "fraud", "score": 0.3}]},
        {"x": 1.5},
        {"predictions": [{"label": "a"}, {"label": "b"}]},
    ]
    async with serving(ModelServer(lambda body: replies[body])) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, ReproduceParams(cases=cases, repeat=1), context)

    assert [case["ok"] for case in result.result["cases"]] == [True, True, False, False, True]
    assert result.result["cases"][2]["differences"][0]["actual"] == '"fraud"'
    assert "path" in result.result["cases"][3]["differences"][0]["actual"]
    assert result.result["deterministic"] is None


async def test_failures_now_and_then_are_counted(tmp_path: Path) -> None:
    turn = itertools.count()

    def flaky(_body: Any) -> Any:
        return {"y": 1} if next(turn) % 2 else web.json_response({"error": "busy"}, status=503)

    async with serving(ModelServer(flaky)) as (url,), context_for(tmp_path, url, body={"x": 1}) as context:
        result = await run_check(CHECK, ReproduceParams(repeat=6), context)

    assert result.status is CheckStatus.FAIL
    assert "known-good input 3 of 6 times, HTTP 503" in result.summary
    assert result.result["cases"][0]["errors"] == 3


async def test_an_input_that_gives_another_answer_each_time_is_not_deterministic(tmp_path: Path) -> None:
    turn = itertools.count()
    async with (
        serving(ModelServer(lambda _body: {"y": 0.5 + next(turn) / 100})) as (url,),
        context_for(tmp_path, url, body={"x": 1}) as context,
    ):
        result = await run_check(CHECK, ReproduceParams(repeat=4), context)

    assert result.status is CheckStatus.WARN
    assert "4 different outputs in 4 answers" in result.summary
    assert "$.y was 0.5, then 0.51" in result.summary
    assert result.result["deterministic"] is False
    assert evidence_of(result, "reproduce.deterministic").value is False


async def test_volatile_members_and_the_last_bits_are_no_difference_but_are_told(tmp_path: Path) -> None:
    turn = itertools.count()

    def score(_body: Any) -> Any:
        at = next(turn)
        return {"id": f"r{at}", "y": 0.5 + at * 1e-9, "meta": {"timestamp": at, "host": f"h{at}"}}

    async with serving(ModelServer(score)) as (url,), context_for(tmp_path, url, body={"x": 1}) as context:
        result = await run_check(CHECK, ReproduceParams(repeat=3, ignore=("$.meta.host",)), context)

    assert result.status is CheckStatus.OK
    assert "within the tolerance" in result.summary
    assert "no expected output was given" in result.summary
    assert result.result["ignored"] == ["$.id", "$.meta.host", "$.meta.timestamp"]
    assert result.result["cases"][0]["identical"] is False


async def test_a_replica_that_answers_differently_is_named(tmp_path: Path) -> None:
    old, new = ModelServer(lambda _body: {"y": 1.0}), ModelServer(lambda _body: {"y": 2.0})
    async with serving(old, ModelServer(old.score), new) as urls:
        replicas = tuple(Replica(f"pod-{at}", url) for at, url in enumerate(urls))
        async with context_for(tmp_path, urls[0], replicas, body={"x": 1}) as context:
            result = await run_check(CHECK, ReproduceParams(repeat=2), context)
            without = await run_check(CHECK, ReproduceParams(repeat=2, replicas=False), context)

    assert result.status is CheckStatus.FAIL
    assert result.summary.startswith("Replicas disagree on known-good input: pod-2 differs from 2 others")
    assert evidence_of(result, "reproduce.replica_skew").value is True
    assert evidence_of(result, "reproduce.deterministic").verdict is Verdict.OK
    assert [target["target"] for target in result.result["targets"]] == ["service", "pod-0", "pod-1", "pod-2"]
    assert without.status is CheckStatus.OK
    assert without.result["replica_skew"] is None


async def test_replicas_that_agree_are_ok_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    async with serving(ModelServer(double), ModelServer(double)) as urls:
        replicas = (*(Replica(f"pod-{at}", url) for at, url in enumerate(urls)),)
        async with context_for(tmp_path, urls[0], replicas, body={"x": [1]}) as context:
            well = await run_check(CHECK, ReproduceParams(repeat=2), context)
        gone = (*replicas, Replica("pod-gone", "http://127.0.0.1:1"))
        async with context_for(tmp_path, urls[0], gone, body={"x": [1]}) as context:
            partly = await run_check(CHECK, ReproduceParams(repeat=5), context)

    assert well.status is CheckStatus.OK
    assert evidence_of(well, "reproduce.replica_skew").value is False
    assert partly.status is CheckStatus.FAIL
    assert partly.summary.startswith("pod-gone does not answer: connection refused")
    assert partly.result["targets"][-1]["requests"] == 3
    assert evidence_of(partly, "reproduce.failed", "pod-gone").verdict is Verdict.FAIL


async def test_a_service_that_varies_is_told_even_where_the_known_replicas_do_not(tmp_path: Path) -> None:
    turn = itertools.count()
    async with serving(ModelServer(lambda _body: {"y": next(turn)}), ModelServer(lambda _body: {"y": 0})) as urls:
        for replicas in ((Replica("pod-0", urls[1]),), (Replica("pod-0", urls[1]), Replica("pod-1", urls[1]))):
            async with context_for(tmp_path, urls[0], replicas, body={"x": 1}) as context:
                result = await run_check(CHECK, ReproduceParams(repeat=3), context)

            assert result.status is CheckStatus.WARN
            assert result.result["deterministic"] is False


async def test_two_model_versions_behind_one_address_are_skew(tmp_path: Path) -> None:
    turn = itertools.count()
    async with (
        serving(ModelServer(lambda _body: {"y": 1, "model_version": f"v{next(turn) % 2}"})) as (url,),
        context_for(tmp_path, url, body={"x": 1}) as context,
    ):
        result = await run_check(CHECK, ReproduceParams(repeat=4), context)

    assert result.status is CheckStatus.FAIL
    assert evidence_of(result, "reproduce.replica_skew").statement.endswith("v0, v1")


async def test_a_language_model_that_samples_is_not_called_broken(tmp_path: Path) -> None:
    turn = itertools.count()

    def speak(_body: Any) -> Any:
        return {"choices": [{"message": {"content": f"word {next(turn)}"}}]}

    for body, status in (({"messages": []}, CheckStatus.OK), ({"messages": [], "temperature": 0}, CheckStatus.WARN)):
        async with (
            serving(ModelServer(speak)) as (url,),
            context_for(tmp_path, url, body=body, protocol=Protocol.OPENAI) as context,
        ):
            result = await run_check(CHECK, ReproduceParams(repeat=3), context)
        assert result.status is status

    assert result.result["deterministic"] is False


async def test_a_server_that_nobody_reaches_is_an_error(tmp_path: Path) -> None:
    async with context_for(tmp_path, "http://127.0.0.1:1", body={"x": 1}) as context:
        result = await run_check(CHECK, ReproduceParams(), context)

    assert (result.status, result.unreachable) == (CheckStatus.ERROR, True)
    assert "connection refused by 127.0.0.1:1" in result.summary


async def test_a_server_that_hangs_ends_in_time(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await never.wait()

    async with (
        asyncio.timeout(20),
        raw_server(hang) as port,
        context_for(tmp_path, f"http://127.0.0.1:{port}", body={"x": 1}) as context,
    ):
        result = await run_check(CHECK, ReproduceParams(timeout_s=0.1), context)

    assert (result.status, result.unreachable) == (CheckStatus.ERROR, True)
    assert "within 0.1 s" in result.summary


async def test_missing_inputs_name_their_flags(tmp_path: Path) -> None:
    without = await run_check(CHECK, ReproduceParams(), bare_context(tmp_path))
    async with context_for(tmp_path, "http://127.0.0.1:1") as context:
        no_input = await run_check(CHECK, ReproduceParams(), context)
        absent = await run_check(CHECK, ReproduceParams(cases=tmp_path / "none.json"), context)

    assert without.status is no_input.status is CheckStatus.SKIPPED
    assert "--endpoint" in without.summary
    assert "endpoint.url" in without.summary
    assert "--cases" in no_input.summary
    assert absent.status is CheckStatus.ERROR
    assert "none.json cannot be read" in absent.summary


async def test_more_requests_than_allowed_are_refused(tmp_path: Path) -> None:
    server = ModelServer()
    async with serving(server) as (url,), context_for(tmp_path, url, body=1) as context:
        result = await run_check(CHECK, ReproduceParams(repeat=11, max_requests=10), context)

    assert result.status is CheckStatus.ERROR
    assert "11 requests" in result.summary
    assert server.bodies == []


async def test_hostile_replies_reach_nobody_s_terminal(tmp_path: Path) -> None:
    cases = cases_file(tmp_path, {"name": "\x1b[31mred", "input": 1, "expected": {"y": "calm"}})
    evil = {"y": "\x1b]0;owned\x07 password=hunter2hunter2", "\x1b[2J": 1}
    async with serving(ModelServer(lambda _body: evil)) as (url,), context_for(tmp_path, url) as context:
        result = await run_check(CHECK, ReproduceParams(cases=cases), context)

    said = result.summary + json.dumps(result.result, ensure_ascii=False)
    assert result.status is CheckStatus.FAIL
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "hunter2" not in said


async def test_cancelling_stops_asking(tmp_path: Path) -> None:
    server = ModelServer()
    async with serving(server) as (url,), context_for(tmp_path, url, body=1) as context:
        task = asyncio.create_task(run_check(CHECK, ReproduceParams(repeat=500), context))
        while not server.bodies:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        asked = len(server.bodies)
        assert asked < 500
        assert (await context.sender.predict(1)).ok if context.sender else False
        assert len(server.bodies) <= asked + 2


async def test_the_config_s_body_file_is_the_known_good_input(tmp_path: Path) -> None:
    body_file = tmp_path / "body.json"
    body_file.write_text('{"x": [4]}')
    server = ModelServer(double)
    async with serving(server) as (url,), context_for(tmp_path, url, body_file=body_file) as context:
        result = await run_check(CHECK, ReproduceParams(repeat=1), context)
        body_file.write_text("{")
        broken = await run_check(CHECK, ReproduceParams(repeat=1), context)

    assert result.status is CheckStatus.OK
    assert server.bodies == [{"x": [4]}]
    assert broken.status is CheckStatus.ERROR
    assert "is not JSON" in broken.summary


def test_the_check_describes_itself() -> None:
    context = bare_context(Path(), sender=None)
    context.model = ModelConfig(endpoint=Endpoint(url="http://x/"))

    assert "--endpoint" in CHECK.missing(ReproduceParams(), context)
    assert (CHECK.name, CHECK.step) == ("reproduce", 1)
