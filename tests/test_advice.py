"""The guidance page and the companions follow the hypothesis at hand."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from infdiag_tui.advice import Advice
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.config.schema import Kubernetes
from infdiag_tui.diagnosis import diagnose
from infdiag_tui.knowledge.causes import causes
from infdiag_tui.knowledge.guidance import Guidance
from infdiag_tui.model import Snapshot
from infdiag_tui.streams.threads import SoleThread
from infdiag_tui.targets import Target
from tests.diagnosis.test_diagnose import evidence
from tests.screens.scripted import incident_snapshot


def seen(*ids: str) -> Snapshot:
    found = [evidence(one) for one in ids]
    return dataclasses.replace(incident_snapshot(), diagnosis=diagnose(found, causes()))


async def test_the_page_is_the_symptoms_until_a_cause_stands_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "kubectl"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    thread = SoleThread("advice", time.monotonic)
    model = ModelConfig(kubernetes=Kubernetes(namespace="shop", selector="app=m"))
    advice = Advice(Target("m", "", model, Config()), Guidance(causes()), thread)
    pages = []
    for ids in ((), ("pods.oom_killed",), ("pods.oom_killed", "pods.memory_slope")):
        await advice.follow(seen(*ids))
        pages.append(advice.view)
    first, second, third = pages
    assert first is None
    assert second is not None
    assert second.name in ("oom", "memory-limit-exceeded")
    assert third is not None
    assert third.name == "memory-leak"
    assert third.text.startswith("# ")
    assert {one.tool for one in third.offers} == {"kubectl"}
    assert all("kubectl" in one.command for one in third.offers)
    thread.close()
