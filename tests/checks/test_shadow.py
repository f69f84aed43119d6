"""A second deployment that agrees, one that does not, and ones that fail or are slow."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from checks.running import run_check
from checks.shadow import CHECK, ShadowParams
from infdiag_tui.model import CheckStatus, Impact, Verdict
from tests.checks.serving import ModelServer, bare_context, context_for, evidence_of, keep_progress, serving


def scorer(factor: float, version: str) -> ModelServer:
    return ModelServer(lambda body: {"y": [factor * one for one in body["x"]], "model_version": version})


def inputs(folder: Path, count: int) -> Path:
    path = folder / "inputs.jsonl"
    path.write_text("\n".join(json.dumps({"input": {"x": [1.0 + at]}}) for at in range(count)))
    return path


async def test_deployments_that_agree_are_ok_whatever_their_version(tmp_path: Path) -> None:
    one, other = scorer(2, "1"), scorer(2, "2")
    async with serving(one, other) as (url, shadow), context_for(tmp_path, url, confirmed=True) as context:
        progress = keep_progress(context)
        result = await run_check(CHECK, ShadowParams(shadow_url=shadow, cases=inputs(tmp_path, 4)), context)

    assert result.status is CheckStatus.OK
    assert result.summary.startswith("The deployments agree on 4 of 4 inputs. The shadow is ")
    agreement = result.result["agreement"]
    assert (agreement["rate"], agreement["n"]) == (1.0, 4)
    assert 0 < agreement["low"] < 1
    assert result.result["latency_ms"]["difference"]["n"] == 12
    assert one.bodies == other.bodies
    assert len(progress) == 12
    json.dumps(result.result)


async def test_disagreement_is_measured(tmp_path: Path) -> None:
    async with (
        serving(scorer(2, "1"), scorer(2.2, "2")) as (url, shadow),
        context_for(tmp_path, url, confirmed=True) as context,
    ):
        cases = inputs(tmp_path, 3)
        strict = await run_check(CHECK, ShadowParams(shadow_url=shadow, cases=cases, repeat=1), context)
        loose = await run_check(CHECK, ShadowParams(shadow_url=shadow, cases=cases, rel_tolerance=0.11), context)

    assert strict.status is CheckStatus.FAIL
    assert "agree on 0 of 3 inputs; case 1: $.y[0] is 2.0 in production and 2.2 in the shadow" in strict.summary
    assert strict.result["max_relative"] == pytest.approx(0.1)
    assert strict.result["max_absolute"] == pytest.approx(0.6)
    assert evidence_of(strict, "shadow.agreement").threshold == 0.99
    assert loose.status is CheckStatus.OK


async def test_labels_may_agree_where_scores_do_not(tmp_path: Path) -> None:
    def classifier(shift: float) -> ModelServer:
        return ModelServer(lambda body: {"predictions": [{"label": "a" if body < 2 else "b", "score": body + shift}]})

    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps([{"input": at, "compare": "label"} for at in range(4)]))
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps([{"input": at} for at in range(4)]))
    async with (
        serving(classifier(0.0), classifier(0.5)) as (url, shadow),
        context_for(tmp_path, url, confirmed=True) as context,
    ):
        by_label = await run_check(CHECK, ShadowParams(shadow_url=shadow, cases=cases), context)
        by_score = await run_check(CHECK, ShadowParams(shadow_url=shadow, cases=scores), context)

    assert by_label.status is CheckStatus.OK
    assert by_score.status is CheckStatus.FAIL
    assert by_score.result["label_agreement"] == {"rate": 1.0, "n": 12}


async def test_a_path_is_compared_alone(tmp_path: Path) -> None:
    turn = itertools.count()
    noisy = ModelServer(lambda body: {"y": body, "noise": next(turn)})
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps([{"input": 3, "path": "$.y"}]))
    async with serving(noisy, noisy) as (url, shadow), context_for(tmp_path, url, confirmed=True) as context:
        result = await run_check(CHECK, ShadowParams(shadow_url=shadow, cases=cases), context)

    assert result.status is CheckStatus.OK


async def test_production_that_varies_by_itself_is_told(tmp_path: Path) -> None:
    turn = itertools.count()
    restless = ModelServer(lambda _body: {"y": next(turn)})
    async with (
        serving(restless, ModelServer(lambda _body: {"y": 0})) as (url, shadow),
        context_for(tmp_path, url, confirmed=True, body={"x": 1}) as context,
    ):
        result = await run_check(CHECK, ShadowParams(shadow_url=shadow), context)

    assert result.status is CheckStatus.FAIL
    assert "does not give the same answer twice" in result.summary
    assert result.result["cases"][0]["production_steady"] is False


async def test_each_side_s_failures_are_counted_apart(tmp_path: Path) -> None:
    turn = itertools.count()
    flaky = ModelServer(lambda _body: {"y": 1} if next(turn) % 2 else web.json_response({}, status=500))
    steady = ModelServer(lambda _body: {"y": 1})
    async with (
        serving(steady, flaky) as (good, bad),
        context_for(tmp_path, good, confirmed=True, body=1) as context,
    ):
        shadow_fails = await run_check(CHECK, ShadowParams(shadow_url=bad, repeat=4), context)
    async with (
        serving(steady, flaky) as (good, bad),
        context_for(tmp_path, bad, confirmed=True, body=1) as context,
    ):
        production_fails = await run_check(CHECK, ShadowParams(shadow_url=good, repeat=4), context)

    assert shadow_fails.status is CheckStatus.WARN
    assert evidence_of(shadow_fails, "shadow.errors", "shadow").value == 0.5
    assert production_fails.status is CheckStatus.FAIL
    assert evidence_of(production_fails, "shadow.errors", "production").verdict is Verdict.FAIL


async def test_a_shadow_may_have_a_path_of_its_own(tmp_path: Path) -> None:
    paths: list[str] = []

    def elsewhere() -> web.Response:
        paths.append("asked")
        return web.json_response({"y": 1})

    other = ModelServer(pages={"/v2/models/next/infer": elsewhere})
    async with (
        serving(ModelServer(lambda _body: {"y": 1}), other) as (url, shadow),
        context_for(tmp_path, url, confirmed=True, body=1) as context,
    ):
        result = await run_check(CHECK, ShadowParams(shadow_url=f"{shadow}/v2/models/next/infer", repeat=2), context)

    assert result.status is CheckStatus.OK
    assert len(paths) == 2


async def test_a_shadow_that_nobody_reaches_is_an_error_after_few_attempts(tmp_path: Path) -> None:
    server = ModelServer()
    async with serving(server) as (url,), context_for(tmp_path, url, confirmed=True, body=1) as context:
        result = await run_check(CHECK, ShadowParams(shadow_url="http://127.0.0.1:1", repeat=50), context)

    assert (result.status, result.unreachable) == (CheckStatus.ERROR, True)
    assert "the shadow deployment cannot be reached: connection refused by 127.0.0.1:1" in result.summary
    assert len(server.bodies) == 3


async def test_it_asks_first_and_names_what_is_missing(tmp_path: Path) -> None:
    server = ModelServer()
    async with serving(server) as (url,), context_for(tmp_path, url, body=1) as context:
        no_url = await run_check(CHECK, ShadowParams(), context)
        unasked = await run_check(CHECK, ShadowParams(shadow_url="http://user:hunter2@next:1/"), context)
    async with context_for(tmp_path, url) as context:
        no_input = await run_check(CHECK, ShadowParams(shadow_url=url), context)
    nowhere = await run_check(CHECK, ShadowParams(shadow_url=url), bare_context(tmp_path))

    assert all(one.status is CheckStatus.SKIPPED for one in (no_url, unasked, no_input, nowhere))
    assert "--shadow-url" in no_url.summary
    assert "checks.shadow.shadow_url" in no_url.summary
    assert "--yes" in unasked.summary
    assert "hunter2" not in unasked.summary
    assert "--cases" in no_input.summary
    assert "--endpoint" in nowhere.summary
    assert CHECK.impact is Impact.LOAD
    assert server.bodies == []


def test_a_shadow_url_must_be_one() -> None:
    with pytest.raises(ValidationError, match="is no http"):
        ShadowParams(shadow_url="next:8000")


async def test_cancelling_stops_sending(tmp_path: Path) -> None:
    server = ModelServer()
    async with serving(server) as (url,), context_for(tmp_path, url, confirmed=True, body=1) as context:
        task = asyncio.create_task(run_check(CHECK, ShadowParams(shadow_url=url, repeat=250), context))
        while not server.bodies:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert len(server.bodies) < 500


def test_numbers_of_pairs_are_bounded() -> None:
    params: Any = ShadowParams(shadow_url="http://x")

    assert "500 at most" in CHECK.announce(params, bare_context(Path()))
