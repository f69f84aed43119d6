"""Which pods count as replicas of the model."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.model import Pod, Verdict
from tests.findings.test_findings import EMPTY, NOW, findings


def pod(name: str, phase: str, *, ready: bool) -> Pod:
    return Pod("prod", name, name, phase, NOW, ready=ready)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_remains_of_evicted_or_finished_pods_are_no_unready_replicas(phase: str) -> None:
    pods = (pod("a", "Running", ready=True), pod("b", phase, ready=False))
    ready = findings(dataclasses.replace(EMPTY, pods=pods))["pods.ready"]
    assert (ready.verdict, ready.statement) == (Verdict.OK, "1 of 1 pods are ready")


def test_when_nothing_but_remains_is_left_none_is_ready() -> None:
    found = findings(dataclasses.replace(EMPTY, pods=(pod("a", "Failed", ready=False),)))
    assert found["pods.none_ready"].verdict is Verdict.FAIL
