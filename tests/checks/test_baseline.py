"""The baseline check: what it saves of a healthy model, when it refuses, and that it never leaves half a file."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checks import baseline_parts
from checks.base import CheckContext
from checks.baseline import CHECK, BaselineParams
from checks.running import run_check
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import (
    CheckResult,
    CheckStatus,
    Container,
    Evidence,
    GpuDevice,
    IncidentInfo,
    LatencyView,
    LatencyWindow,
    Pod,
    PodUsage,
    Quantile,
    Reply,
    Snapshot,
    Verdict,
)

NOW = 1_700_000_000.0
TARGET = "http://model/predict"


def _window(answered: int = 400, window_s: float | None = None) -> LatencyWindow:
    return LatencyWindow(
        window_s,
        answered,
        answered,
        (),
        0.0,
        0.0,
        p50=Quantile(10, 9, 11),
        p95=Quantile(20, 18, 25),
        p99=Quantile(40, 30, None),
    )


def _healthy(**fields: Any) -> Snapshot:
    pod = Pod("prod", "m-0", "u", "Running", NOW, containers=(Container("server", digest="sha256:abc"),))
    view = LatencyView(TARGET, (_window(120, 60.0), _window()), Reply(TARGET, NOW, NOW, 10.0, model_version="v7"), None)
    base = Snapshot(NOW, 1, IncidentInfo("fraud", "", NOW - 900), pods=(pod,), latency=(view,))
    usage = {pod.key: PodUsage("prod", "m-0", NOW - 15, 15.0, 0.5, 1_000)}
    gpu = GpuDevice("GPU-1", 0, "H200", NOW, "nvml", memory_used_bytes=5_000)
    return replace(base, usage=usage, gpus=(gpu,), **fields)


_SICK = Evidence("pods.oom_killed", "m-0 was OOMKilled", Verdict.FAIL, "pods", NOW)


async def _save(folder: Path, snapshot: Snapshot | None, **params: Any) -> CheckResult:
    (folder / "incident").mkdir(exist_ok=True)
    context = CheckContext(
        "fraud",
        ModelConfig(),
        folder / "incident",
        lambda: NOW + 5,
        lambda _: None,
        snapshot=snapshot,
        baseline=folder / "state" / "fraud.json",
    )
    return await run_check(CHECK, BaselineParams(**params), context)


def _kept(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "state/fraud.json").read_bytes())
    return found


def _document(path: Path, check: str, result: dict[str, Any], status: str = "ok") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"check": check, "status": status, "evidence": [], "result": result, "artifacts": []}))
    return path


async def test_a_healthy_model_is_saved_with_times_and_sample_sizes(tmp_path: Path) -> None:
    result = await _save(tmp_path, _healthy())

    kept = _kept(tmp_path)
    assert result.status is CheckStatus.OK, result.summary
    assert kept["latency"][TARGET]["p50_ms"] == 10
    assert kept["latency"][TARGET]["sample_size"] == 400
    assert kept["memory"]["pods"]["prod/m-0"] == {"bytes": 1_000, "at": NOW - 15}
    assert kept["memory"]["gpus"]["GPU-1"]["bytes"] == 5_000
    assert kept["version"]["replies"] == {TARGET: "v7"}
    assert kept["version"]["digests"] == {"prod/m-0/server": "sha256:abc"}
    assert (kept["model"], kept["saved_at"]) == ("fraud", NOW + 5)
    assert stat.S_IMODE((tmp_path / "state/fraud.json").stat().st_mode) == 0o600


async def test_a_quantile_that_the_sample_does_not_bound_is_null_with_a_reason(tmp_path: Path) -> None:
    await _save(tmp_path, _healthy())

    latency = _kept(tmp_path)["latency"][TARGET]
    assert latency["p99_ms"] is None
    assert latency["missing"] == {"p99_ms": "400 replies do not bound it"}


async def test_what_was_not_measured_is_absent_with_a_reason(tmp_path: Path) -> None:
    bare = Snapshot(NOW, 1, IncidentInfo("fraud", "", NOW - 900), latency=_healthy().latency)

    await _save(tmp_path, bare)

    kept = _kept(tmp_path)
    assert "memory" not in kept
    assert kept["missing"]["memory"] == "no source gave memory in use"
    assert "check stages" in kept["missing"]["stages"]
    assert kept["missing"]["schema"] == "give --schema-file"


async def test_too_few_replies_are_no_baseline(tmp_path: Path) -> None:
    snapshot = Snapshot(
        NOW, 1, IncidentInfo("fraud", "", NOW), latency=(LatencyView(TARGET, (_window(50),), None, None),)
    )

    result = await _save(tmp_path, snapshot)

    assert result.status is CheckStatus.ERROR
    assert "50 answered probe requests are too few" in result.summary
    assert not (tmp_path / "state/fraud.json").exists()


async def test_it_refuses_while_something_is_wrong_unless_forced(tmp_path: Path) -> None:
    sick = _healthy(evidence=(_SICK,))

    refused = await _save(tmp_path, sick)
    written = (tmp_path / "state/fraud.json").exists()
    forced = await _save(tmp_path, sick, force=True)

    assert refused.status is CheckStatus.SKIPPED
    assert "OOMKilled" in refused.summary
    assert "--force" in refused.summary
    assert not written
    assert forced.status is CheckStatus.OK
    assert _kept(tmp_path)["findings_when_saved"] == ["m-0 was OOMKilled"]


async def test_results_in_the_folder_and_named_ones_are_kept(tmp_path: Path) -> None:
    stages = {"inference": {"ms": 12.5, "n": 40}, "postprocess": {"ms": None, "n": None}}
    _document(tmp_path / "incident/one.json", "stages", {"stages": stages})
    named = _document(tmp_path / "two.json", "predictions", {"column": "score", "current": {"mean": 0.5}})
    other = _document(tmp_path / "three.json", "load", {"latency_ms": {"p99": 30}})

    result = await _save(tmp_path, _healthy(), results=(named, other))

    kept = _kept(tmp_path)
    assert result.status is CheckStatus.OK, result.summary
    assert kept["stages"] == {"inference": {"ms": 12.5, "n": 40}}
    assert kept["predictions"]["current"] == {"mean": 0.5}
    assert kept["checks"]["load"]["result"]["latency_ms"] == {"p99": 30}
    assert kept["from"]["predictions"]["source"] == str(named)


async def test_the_newest_result_of_a_check_counts(tmp_path: Path) -> None:
    old = _document(tmp_path / "incident/a.json", "stages", {"stages": {"inference": {"ms": 1.0}}}, status="fail")
    os.utime(old, (NOW, NOW))
    _document(tmp_path / "incident/b.json", "stages", {"stages": {"inference": {"ms": 2.0}}})

    result = await _save(tmp_path, _healthy())

    assert result.status is CheckStatus.OK, result.summary
    assert _kept(tmp_path)["stages"]["inference"]["ms"] == 2.0


async def test_a_failed_result_is_not_healthy(tmp_path: Path) -> None:
    failed = _document(tmp_path / "stages.json", "stages", {"stages": {"inference": {"ms": 900.0}}}, status="fail")

    result = await _save(tmp_path, _healthy(), results=(failed,))

    assert result.status is CheckStatus.SKIPPED
    assert "stages ended with fail" in result.summary


@pytest.mark.parametrize("content", ["", "[1]", '{"check": 1}', '{"check": "x", "result": {"value": NaN}}', "{"])
async def test_a_named_file_that_is_no_result_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)

    result = await _save(tmp_path, _healthy(), results=(tmp_path / "x.json",))

    assert result.status is CheckStatus.ERROR
    assert "is no result of a check" in result.summary


async def test_the_hash_of_a_schema_changes_with_its_content_only(tmp_path: Path) -> None:
    first, same, other = tmp_path / "1.json", tmp_path / "2.json", tmp_path / "3.json"
    first.write_text('{"a": 1, "b": 2}')
    same.write_text('{ "b":2,\n"a":1 }')
    other.write_text('{"a": 1, "b": 3}')

    hashes = [baseline_parts.schema(path)["sha256"] for path in (first, same, other)]
    await _save(tmp_path, None, schema_file=first)

    assert hashes[0] == hashes[1] != hashes[2]
    assert _kept(tmp_path)["schema"]["sha256"] == hashes[0]


async def test_a_schema_that_is_absent_is_a_sentence(tmp_path: Path) -> None:
    result = await _save(tmp_path, _healthy(), schema_file=tmp_path / "none.json")

    assert result.status is CheckStatus.ERROR
    assert "none.json cannot be read" in result.summary


async def test_the_baseline_before_is_kept_beside(tmp_path: Path) -> None:
    await _save(tmp_path, _healthy())
    before = (tmp_path / "state/fraud.json").read_bytes()

    result = await _save(tmp_path, _healthy(), force=True)

    assert Path(result.result["previous"]).read_bytes() == before


def test_a_write_that_fails_leaves_the_old_baseline_whole(tmp_path: Path) -> None:
    path = tmp_path / "fraud.json"
    baseline_parts.write(path, {"model": "old"})

    with pytest.raises(ValueError, match="JSON"):
        baseline_parts.write(path, {"model": float("nan")})

    assert json.loads(path.read_bytes()) == {"model": "old"}
    assert [one.name for one in tmp_path.iterdir()] == ["fraud.json"]


async def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")

    result = await _save(tmp_path, _healthy())

    assert result.status is CheckStatus.ERROR
    assert "cannot be written" in result.summary


async def test_the_stages_check_reads_what_was_saved(tmp_path: Path) -> None:
    from checks.stages_parts.judging import read_baseline

    _document(tmp_path / "incident/one.json", "stages", {"stages": {"inference": {"ms": 12.5, "n": 40}}})
    await _save(tmp_path, _healthy())

    assert read_baseline(tmp_path / "state/fraud.json") == {"inference": 12.5}


async def test_without_anything_to_save_it_says_what_gives_it(tmp_path: Path) -> None:
    result = await _save(tmp_path, None)

    assert result.status is CheckStatus.SKIPPED
    assert "endpoint.url" in result.summary
