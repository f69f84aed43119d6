"""Each scenario of model, data and pipeline, the pairs and the healthy ones: its facts show, nothing is left of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from infdiag_tui.knowledge.causes import causes
from infdiag_tui.lab.faults import LAB_KINDS
from infdiag_tui.lab.scenarios import all_scenarios
from infdiag_tui.lab.server.faults import KINDS as SERVER_KINDS
from tests.lab import test_scenarios_infrastructure as infrastructure
from tests.lab.facts import Facts, Overrides, facts_of

Proof = Callable[[Facts], Awaitable[None]]

_BUSY: Overrides = {"traffic_rps": 20.0}


async def _well(facts: Facts) -> None:
    replies = [await facts.ask() for _ in range(20)]
    assert {reply.status for reply in replies} == {200}
    assert statistics.median(reply.took_s for reply in replies) * 1000 < facts.config["endpoint"]["objective_p99_ms"]
    said = "".join(path.read_text() for path in facts.lab.log_files)
    assert " ERROR " not in said
    assert (await facts.container())["restartCount"] == 0


async def _busy_and_well(facts: Facts) -> None:
    async def busy() -> bool:
        return (await facts.gpu("GPU_UTIL"))[0] > 40

    await facts.until(busy, "the card is busy")
    await _well(facts)


async def _slow(facts: Facts, stage: str, least_ms: float) -> None:
    async def slow() -> bool:
        await facts.ask()
        return await facts.mean_ms(f"request_{stage}_seconds") > least_ms

    await facts.until(slow, f"the time goes into {stage}")


def _slow_in(stage: str, least_ms: float) -> Proof:
    return lambda facts: _slow(facts, stage, least_ms)


async def _batches(facts: Facts, wanted: Callable[[float], bool]) -> None:
    async def seen() -> bool:
        before = await facts.metrics()
        await facts.ask_together(12)
        after = await facts.metrics()
        batches, requests = (
            after[f"fraud_scorer_batch_size_{part}"] - before[f"fraud_scorer_batch_size_{part}"]
            for part in ("count", "sum")
        )
        return wanted(requests / batches)

    await facts.until(seen, "batches have another size")


async def _one_by_one(facts: Facts) -> None:
    await _batches(facts, lambda size: size == 1)


async def _all_at_once(facts: Facts) -> None:
    await _batches(facts, lambda size: size >= 6)


async def _wrong_answers(facts: Facts) -> None:
    cases = json.loads(Path(facts.config["checks"]["reproduce"]["cases"]).read_text())

    async def wrong() -> bool:
        reply = await facts.ask(body=cases[0]["input"])
        expected = [row["fraud_probability"] for row in cases[0]["expected"]["predictions"]]
        return any(
            score is None or abs(score - right) > 1e-4 for score, right in zip(reply.scores, expected, strict=True)
        )

    await facts.until(wrong, "known inputs get other answers than when the model was released")


def _model_file(facts: Facts) -> Path:
    return Path(facts.config["checks"]["version"]["file"][0])


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def _older_everywhere(facts: Facts) -> None:
    await _wrong_answers(facts)
    assert (await facts.health())[1]["model_version"] != facts.config["checks"]["version"]["expected"]


async def _older_on_one(facts: Facts) -> None:
    async def skewed() -> bool:
        return len({(await facts.health(index))[1]["model_version"] for index in range(3)}) == 2

    await facts.until(skewed, "replicas state different versions")
    assert [_hash(_model_file(facts))] == facts.config["checks"]["version"]["expected_hash"]


async def _another_file(facts: Facts) -> None:
    await _wrong_answers(facts)
    assert [_hash(_model_file(facts))] != facts.config["checks"]["version"]["expected_hash"]
    assert (await facts.health())[1]["model_version"] == facts.config["checks"]["version"]["expected"]


def _accuracy(rows: list[dict[str, Any]]) -> float:
    return statistics.fmean((row["prediction"] > 0.5) == row["label"] for row in rows)


async def _of_long_ago(facts: Facts) -> None:
    age_days = (time.time() - _model_file(facts).stat().st_mtime) / 86_400
    assert age_days > facts.config["checks"]["version"]["max_age_days"]
    assert [_hash(_model_file(facts))] == facts.config["checks"]["version"]["expected_hash"]
    assert _accuracy(facts.rows("labels", "historical")) > 0.94
    assert _accuracy(facts.rows("labels", "current")) < 0.9


async def _nulls(facts: Facts) -> None:
    async def null() -> bool:
        return None in (await facts.ask()).scores

    await facts.until(null, "answers are no numbers")


async def _logged(facts: Facts, check: str, key: str, rows: int = 60) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]] | None:
        found = facts.since_the_fault(facts.rows(check, key))
        return found if len(found) >= rows else None

    found: list[dict[str, Any]] = await facts.until(enough, "enough rows are logged")
    return found


async def _other_inputs(facts: Facts) -> None:
    now = await _logged(facts, "drift", "production")
    training = Path(facts.config["checks"]["drift"]["reference"]).read_text().splitlines()[1:]
    usual = statistics.median(float(line.split(",")[1]) for line in training)
    assert statistics.median(row["amount"] for row in now) > 1.8 * usual
    assert statistics.fmean(row["hour"] < 6 for row in now) > 0.6


async def _other_meaning(facts: Facts) -> None:
    now = await _logged(facts, "labels", "current", 120)
    assert _accuracy(now) < 0.85
    assert _accuracy(facts.rows("labels", "historical")) > 0.94
    assert statistics.fmean(row["label"] for row in now) < 0.4


async def _other_outcomes(facts: Facts) -> None:
    now = await _logged(facts, "labels", "current")
    before = facts.rows("labels", "historical")
    assert statistics.fmean(row["label"] for row in now) > 0.5 > 2 * statistics.fmean(row["label"] for row in before)


async def _other_form(facts: Facts) -> None:
    now = await _logged(facts, "pipeline", "records")
    assert all("account_age_days" not in row and "customer_age_days" in row for row in now)
    assert statistics.median(row["amount"] for row in now) > 1_000
    assert "lack account_age_days" in await facts.log()


async def _other_features(facts: Facts) -> None:
    await _wrong_answers(facts)
    settings = facts.config["checks"]["pipeline"]
    code: dict[str, Any] = {}
    exec((Path(settings["workdir"]) / "features.py").read_text(), code)
    golden = json.loads(Path(settings["golden"]).read_text())
    assert all(code["to_features"](one["input"]) != one["expected"] for one in golden)


def _both(*proofs: Proof) -> Proof:
    async def proof(facts: Facts) -> None:
        for one in proofs:
            await one(facts)

    return proof


_infrastructure = {name: proof for name, (_, proof) in infrastructure.PROOFS.items()}
PROOFS: dict[str, tuple[Overrides, Proof]] = {
    "healthy": ({"traffic_rps": 2.0}, _well),
    "healthy-busy": ({"traffic_rps": 18.0}, _busy_and_well),
    "model-compute-bound": ({}, _slow_in("predict", 200)),
    "no-batching": ({}, _one_by_one),
    "batch-too-large": ({}, _all_at_once),
    "wrong-model-version": ({}, _older_everywhere),
    "replica-version-skew": ({"replicas": 3}, _older_on_one),
    "model-file-mismatch": ({}, _another_file),
    "stale-model": ({}, _of_long_ago),
    "nan-outputs": ({}, _nulls),
    "data-drift": (_BUSY, _other_inputs),
    "concept-drift": (_BUSY, _other_meaning),
    "label-drift": (_BUSY, _other_outcomes),
    "upstream-data-change": (_BUSY, _other_form),
    "preprocessing-mismatch": ({}, _other_features),
    "preprocessing-slow": ({}, _slow_in("preprocess", 40)),
    "postprocessing-slow": ({}, _slow_in("postprocess", 20)),
    "serialization-slow": ({}, _slow_in("serialization", 20)),
    "overheated-and-drifted": ({"traffic_rps": 4.0}, _both(_infrastructure["gpu-throttled"], _other_inputs)),
    "leaking-and-unfed": (
        {"kept_bytes_per_request": 8 * 2**20},
        _both(_infrastructure["dependency-failure"], _infrastructure["memory-leak"]),
    ),
    "skewed-and-pausing": (
        {"replicas": 3, "pause_s": 0.05, "collect_every_s": 0.5},
        _both(_older_on_one, _infrastructure["gc-pauses"]),
    ),
}


@pytest.mark.parametrize("name", PROOFS)
async def test_the_facts_show(name: str) -> None:
    overrides, proof = PROOFS[name]
    async with asyncio.timeout(120), facts_of(name, overrides) as facts:
        await proof(facts)


def test_every_scenario_is_proven_and_names_known_causes_and_faults() -> None:
    assert all_scenarios().keys() == PROOFS.keys() | infrastructure.PROOFS.keys()
    for scenario in all_scenarios().values():
        assert set(scenario.causes) <= causes().keys()
        assert {fault.kind for fault in scenario.faults} <= LAB_KINDS | SERVER_KINDS.keys()
        assert bool(scenario.causes) == bool(scenario.faults)
    covered = {cause for scenario in all_scenarios().values() for cause in scenario.causes}
    assert covered == causes().keys()
