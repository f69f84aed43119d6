"""The saved baseline: read, followed, and never in the way."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from infdiag_tui import baselines
from infdiag_tui.baselines import Baseline, BaselineFile, baseline_path, read_baseline
from tests.support import eventually

KEPT = {
    "stages": {"inference": {"ms": 12.5}, "preprocess": 3, "queue": {"ms": None}, "odd": {"ms": True}},
    "latency": {"http://m/p": {"p50_ms": 20.0, "p95_ms": None, "p99_ms": 45.0}, "broken": 3},
}


def test_it_says_what_stages_and_latency_were(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(KEPT))
    assert read_baseline(path) == Baseline(
        {"inference": 12.5, "preprocess": 3.0}, {"http://m/p": {"p50": 20.0, "p99": 45.0}}
    )


def test_none_is_no_error_and_a_broken_one_is(tmp_path: Path) -> None:
    assert read_baseline(tmp_path / "none.json") == Baseline()
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        read_baseline(broken)


def test_a_models_name_cannot_leave_the_folder() -> None:
    path = baseline_path("../../etc/passwd")
    assert path.parent.name == "baselines"
    assert "/" not in path.name


async def test_a_baseline_that_is_saved_while_watching_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(baselines, "LOOK_AGAIN_S", 0.02)
    path = tmp_path / "m.json"
    path.write_text("{broken")
    taken: list[Baseline] = []
    task = asyncio.create_task(BaselineFile(path, time.monotonic).follow(taken.append))
    try:
        await eventually(lambda: "cannot be read" in caplog.text)
        assert not taken
        path.write_text(json.dumps(KEPT))
        await eventually(lambda: taken)
        assert taken[-1].stages_ms["inference"] == 12.5
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
