"""The load check against real servers that have the fault and one that has not."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme
from aiohttp import web

from checks.load import CHECK
from checks.load_params import LoadParams
from checks.running import run_check
from infdiag_tui.config import Protocol
from infdiag_tui.model import CheckResult, CheckStatus, Evidence, Progress, Verdict
from tests.checks.load_servers import Model, context, serving

QUICK = {"alone": 5, "warm_up": 4}


def load_params(**values: Any) -> LoadParams:
    return LoadParams(**values)


def evidence(result: CheckResult, name: str) -> Evidence:
    return next(one for one in result.evidence if one.id == name)


def generators() -> list[int]:
    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "checks.load_gen" in child.cmdline()
    ]


async def until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_closed_loop_sends_exactly_the_requests_at_the_concurrency_and_reports_the_fixed_shape(
    tmp_path: Path,
) -> None:
    model = Model(delay_s=0.02)
    async with serving(model) as url:
        result = await run_check(CHECK, load_params(requests=60, concurrency=6, **QUICK), context(tmp_path, url))
    found = result.result
    assert found["requests"] == 60
    assert found["errors"] == 0
    assert model.seen == 1 + 5 + 4 + 60 == found["requests_sent_in_all"]
    assert model.most_busy == 6
    assert set(found["latency_ms"]) >= {"p50", "p90", "p95", "p99", "max"}
    assert 20 <= found["latency_ms"]["p50"] <= found["latency_ms"]["p99"] <= found["latency_ms"]["max"]
    assert found["throughput_rps"] == pytest.approx(60 / found["elapsed_s"])
    assert found["throughput_rps"] <= 6 / 0.02
    assert found["mode"] == "closed"
    assert "omit" in found["coordinated_omission"]
    assert found["warm_up_discarded"] == 4
    assert result.status in (CheckStatus.OK, CheckStatus.WARN)  # a busy test machine may make the run invalid
    assert (result.status is CheckStatus.OK) == found["valid"]
    assert Path(result.artifacts[0]).read_text().startswith("       Value")


async def test_requests_are_those_of_the_config_and_tagged(tmp_path: Path) -> None:
    model = Model()
    async with serving(model) as url:
        where = context(tmp_path, url, method="put", headers={"X-Tenant": "a"}, body={"x": 1})
        await run_check(CHECK, load_params(requests=3, concurrency=1, alone=0, warm_up=0), where)
    method, headers, body = model.requests[-1]
    assert (method, body) == ("PUT", b'{"x":1}')
    assert headers["X-Tenant"] == "a"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "infdiag/test (load check)"


async def test_without_a_body_it_gets(tmp_path: Path) -> None:
    model = Model()
    async with serving(model) as url:
        result = await run_check(
            CHECK, load_params(requests=3, concurrency=1, alone=0, warm_up=0), context(tmp_path, url, body=None)
        )
    assert model.requests[-1][0] == "GET"
    assert result.result["requests"] == 3


async def test_open_loop_keeps_to_its_schedule_and_counts_a_stall_for_every_request_that_it_delayed(
    tmp_path: Path,
) -> None:
    # 100/s for 2 s; everything stands still for 0.5 s: some 50 requests were due meanwhile and must show the wait.
    model = Model(stall=(60, 0.5))
    async with serving(model) as url:
        params = load_params(rate=100, duration="2s", alone=0, warm_up=0)
        result = await run_check(CHECK, params, context(tmp_path, url))
    found = result.result
    assert found["requests"] == 200
    assert found["mode"] == "open"
    assert found["latency_ms"]["max"] >= 490
    assert found["latency_ms"]["p90"] >= 150  # a closed loop with one worker would have had one slow request of 200
    assert found["lateness_ms"]["p99"] is not None


async def test_errors_that_come_only_together_are_named(tmp_path: Path) -> None:
    model = Model(delay_s=0.02, places=4)
    async with serving(model) as url:
        params = load_params(requests=60, concurrency=8, alone=20, warm_up=0, stop_at_errors=1.0)
        result = await run_check(CHECK, params, context(tmp_path, url))
    assert result.status is CheckStatus.FAIL
    assert set(result.result["errors_by_kind"]) == {"http-503"}
    assert result.result["alone"]["errors"] == 0
    assert "no free connection in the pool" in result.result["error_examples"]["http-503"]
    concurrent = evidence(result, "load.errors_only_concurrent")
    assert (concurrent.verdict, concurrent.value) == (Verdict.FAIL, True)
    assert "only under concurrency" in result.summary
    assert evidence(result, "load.error_rate").verdict is Verdict.FAIL


async def test_a_server_that_dies_under_load_is_not_said_to_fail_only_under_concurrency(tmp_path: Path) -> None:
    model = Model(delay_s=0.005, fails_after=30)
    async with serving(model) as url:
        params = load_params(requests=40, concurrency=4, alone=20, warm_up=0, stop_at_errors=1.0)
        result = await run_check(CHECK, params, context(tmp_path, url))
    concurrent = evidence(result, "load.errors_only_concurrent")
    assert "stayed" in concurrent.statement
    assert "only under" not in concurrent.statement
    assert result.result["alone_after"]["errors"] == result.result["alone_after"]["requests"]


async def test_errors_that_come_one_at_a_time_are_not_blamed_on_concurrency(tmp_path: Path) -> None:
    model = Model(fails_after=3)
    async with serving(model) as url:
        params = load_params(requests=40, concurrency=4, alone=20, warm_up=0)
        result = await run_check(CHECK, params, context(tmp_path, url))
    assert result.status is CheckStatus.FAIL
    assert all(one.id != "load.errors_only_concurrent" for one in result.evidence)
    assert model.most_busy == 1
    assert model.seen < 15  # stopped in the phase of lone requests, the load was never sent


async def test_it_stops_when_too_many_of_the_latest_fail(tmp_path: Path) -> None:
    model = Model(delay_s=0.005, fails_after=200)
    async with serving(model) as url:
        params = load_params(requests=5_000, concurrency=8, **QUICK)
        result = await run_check(CHECK, params, context(tmp_path, url))
    assert result.result["stopped"] == "errors"
    assert result.status is CheckStatus.FAIL
    assert model.seen < 300
    assert result.summary.startswith("Stopped after")


async def test_a_hanging_server_gives_timeouts_as_lower_bounds(tmp_path: Path) -> None:
    async with serving(Model(hangs_after=1)) as url:
        params = load_params(requests=12, concurrency=12, alone=0, warm_up=0)
        result = await run_check(CHECK, params, context(tmp_path, url, timeout_s=0.3))
    assert result.result, result.summary
    found = result.result
    assert found["errors_by_kind"] == {"timeout": 12}
    assert found["latency_ms"]["p50"] >= 300
    assert {"p50", "p99", "max"} <= set(found["latency_at_least"])
    assert found["throughput_rps"] == 0
    assert result.status is CheckStatus.FAIL


async def test_the_time_limit_ends_a_run_that_a_hanging_server_would_stretch(tmp_path: Path) -> None:
    model = Model(hangs_after=0)
    async with serving(model) as url:
        began = time.monotonic()
        result = await run_check(CHECK, load_params(time_limit="500ms", **QUICK), context(tmp_path, url, timeout_s=60))
    assert result.status is CheckStatus.ERROR
    assert "time limit" in result.summary
    assert time.monotonic() - began < 30


async def test_refused_connections_are_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/predict"
    result = await run_check(CHECK, load_params(), context(tmp_path, url))
    assert result.status is CheckStatus.ERROR
    assert result.unreachable
    assert "No load was sent" in result.summary


async def test_cancelling_ends_the_process_and_the_load_at_once(tmp_path: Path) -> None:
    model = Model(delay_s=0.01)
    async with serving(model) as url:
        params = load_params(requests=100_000, concurrency=20, **QUICK)
        running = asyncio.create_task(run_check(CHECK, params, context(tmp_path, url)))
        await until(lambda: model.seen > 100)
        assert len(generators()) == 1
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert generators() == []
        await until(lambda: model.busy == 0)  # its connections were closed with it
        seen = model.seen
        await asyncio.sleep(0.05)
        assert model.seen == seen


async def test_without_consent_nothing_is_sent_and_the_sentence_says_what_would_be(tmp_path: Path) -> None:
    model = Model()
    async with serving(model) as url:
        secret = url.replace("http://", "http://user:hunter2@")
        result = await run_check(CHECK, load_params(rate=20, duration="3s"), context(tmp_path, secret, confirmed=False))
    assert result.status is CheckStatus.SKIPPED
    assert model.seen == 0
    assert "20 requests/s for 3 s (60 requests), to 127.0.0.1:" in result.summary
    assert "hunter2" not in result.summary


async def test_progress_tells_the_phase_and_the_share(tmp_path: Path) -> None:
    told: list[Progress] = []
    async with serving(Model(delay_s=0.02)) as url:
        params = load_params(requests=200, concurrency=4, **QUICK)
        await run_check(CHECK, params, context(tmp_path, url, report=told.append))
    assert any(one.text.startswith("alone:") for one in told)
    assert any(one.text.startswith("load:") and one.share and 0 < one.share < 1 for one in told)


async def test_an_objective_that_is_missed_beyond_doubt_fails(tmp_path: Path) -> None:
    async with serving(Model(delay_s=0.03)) as url:
        params = load_params(requests=60, concurrency=6, **QUICK)
        result = await run_check(CHECK, params, context(tmp_path, url, objective_p99_ms=10))
    found = evidence(result, "load.p99")
    if result.result["valid"]:
        assert (found.verdict, found.threshold, found.threshold_source) == (
            Verdict.FAIL,
            10,
            "endpoint.objective_p99_ms",
        )
        assert result.status is CheckStatus.FAIL
    else:
        assert found.verdict is Verdict.UNKNOWN


async def test_arrivals_beyond_what_may_be_unanswered_are_dropped_and_the_run_is_invalid(tmp_path: Path) -> None:
    async with serving(Model(delay_s=0.5)) as url:
        params = load_params(rate=50, duration=1, max_in_flight=5, alone=0, warm_up=0)
        result = await run_check(CHECK, params, context(tmp_path, url))
    assert result.result["dropped"] > 0
    assert result.result["requests"] + result.result["dropped"] == 50
    assert not result.result["valid"]
    assert result.status is CheckStatus.WARN
    assert "Invalid run" in result.summary
    p99 = evidence(result, "load.p99")
    assert (p99.value, p99.verdict) == (None, Verdict.UNKNOWN)


async def test_the_knee_of_a_server_with_known_capacity_is_found(tmp_path: Path) -> None:
    # Two workers of 20 ms: 100/s at most. Beyond that a queue grows without end.
    model = Model(delay_s=0.02, workers=2)
    async with serving(model) as url:
        params = load_params(knee=True, rate=50, max_rate=400, step=1.5, alone=0, warm_up=5, max_in_flight=60)
        result = await run_check(CHECK, params, context(tmp_path, url))
    knee = result.result["knee"]
    assert result.result["mode"] == "knee"
    spoiled = [step for step in knee["steps"] if step["invalid"]]
    if knee["limited_by"]:
        assert spoiled, "only a busy test machine can end this search, and it is said, not hidden"
    elif knee["rate_per_s"] is None:
        assert knee["steps"][0]["beyond"], "a server that a busy machine starves leaves its plateau at once"
    else:
        assert 50 <= knee["rate_per_s"] <= 105
        assert knee["rate_per_s"] < knee["beyond_per_s"] <= 130
        assert evidence(result, "load.knee").value == knee["rate_per_s"]


@pytest.mark.parametrize(
    ("protocol", "reply", "sound"),
    [
        (Protocol.V2, {"outputs": []}, True),
        (Protocol.V2, {"answer": 1}, False),
        (Protocol.OPENAI, {"choices": [{"text": "a"}]}, True),
        (Protocol.OPENAI, {"error": {"message": "no such model"}}, False),
    ],
)
async def test_a_reply_must_be_what_its_protocol_promises(
    tmp_path: Path, protocol: Protocol, reply: object, sound: bool
) -> None:
    model = Model(reply=reply)
    async with serving(model) as url:
        params = load_params(requests=4, concurrency=2, alone=0, warm_up=0)
        result = await run_check(CHECK, params, context(tmp_path, url, protocol=protocol, model="m"))
    assert result.result["errors_by_kind"] == ({} if sound else {"bad-reply": 4})
    if protocol is Protocol.OPENAI:
        assert b'"stream":true' in model.requests[-1][2]


@pytest.mark.parametrize(("end", "sound"), [("data: [DONE]\n\n", True), ("", False)])
async def test_an_event_stream_must_come_to_its_end(tmp_path: Path, end: str, sound: bool) -> None:
    text = 'data: {"choices": [{"delta": {"content": "a"}}]}\n\n' + end
    model = Model(reply=lambda: web.Response(text=text, content_type="text/event-stream"))
    async with serving(model) as url:
        params = load_params(requests=4, concurrency=2, alone=0, warm_up=0)
        result = await run_check(CHECK, params, context(tmp_path, url, protocol=Protocol.OPENAI))
    assert result.result["errors"] == (0 if sound else 4)


async def test_without_keep_alive_every_request_opens_a_connection(tmp_path: Path) -> None:
    async with serving(Model()) as url:
        params = load_params(requests=20, concurrency=2, alone=0, warm_up=0)
        kept = await run_check(CHECK, params, context(tmp_path, url))
        fresh = await run_check(CHECK, params.model_copy(update={"keep_alive": False}), context(tmp_path, url))
    assert kept.result["connections_opened"] <= 2
    assert fresh.result["connections_opened"] == 20


async def test_tls_settings_are_honoured(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    params = load_params(requests=4, concurrency=2, alone=0, warm_up=0)
    async with serving(Model(), tls) as url:
        strange = await run_check(CHECK, params, context(tmp_path, url))
        trusted = await run_check(CHECK, params, context(tmp_path, url, ca_file=ca_file))
        unverified = await run_check(CHECK, params, context(tmp_path, url, verify_tls=False))
        absent = await run_check(CHECK, params, context(tmp_path, url, ca_file=tmp_path / "none.pem"))
    assert strange.status is CheckStatus.ERROR
    assert "certificate" in strange.summary
    assert trusted.result["errors"] == 0
    assert unverified.result["errors"] == 0
    assert absent.status is CheckStatus.ERROR
    assert "endpoint.ca_file" in absent.summary


async def test_what_is_missing_is_said(tmp_path: Path) -> None:
    no_body = context(tmp_path, "http://127.0.0.1:1/x", body=None, protocol=Protocol.V2)
    assert "body_file" in (await run_check(CHECK, load_params(), no_body)).summary
    absent = context(tmp_path, "http://127.0.0.1:1/x", body=None, body_file=tmp_path / "none.json")
    result = await run_check(CHECK, load_params(), absent)
    assert result.status is CheckStatus.ERROR
    assert "none.json cannot be read" in result.summary
    nothing = context(tmp_path, "http://127.0.0.1:1/x")
    nothing.model = nothing.model.model_copy(update={"endpoint": None})
    assert "--endpoint" in (await run_check(CHECK, load_params(), nothing)).summary
