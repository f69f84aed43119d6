from __future__ import annotations

import pytest

from checks.stages_parts.figures import Figure, Split
from checks.stages_parts.judging import judge, summary_of
from infdiag_tui.config import Via
from infdiag_tui.model import Verdict
from infdiag_tui.servers.stages import Limits, Stage

LIMITS = Limits(
    typical_ms={"preprocess": 10, "inference": 100, "postprocess": 10, "network": 5},
    sources={"preprocess": "", "inference": "", "postprocess": "", "network": ""},
    queue_share=0.5,
    baseline_ms={},
    baseline_ratio=2,
)


def summary(**ms: float) -> str:
    """What is said of a request whose stages take so long and whose client waits for `client` ms."""
    stages: tuple[Stage, ...] = ("preprocess", "inference", "postprocess", "queue", "total")
    figures = tuple(Figure(stage, stage, float(ms[stage]), 20, "") for stage in stages if stage in ms)
    return summary_of(judge([Split("server", figures)], [ms["client"]] * 20, LIMITS, 0.0))


@pytest.mark.parametrize(
    ("ms", "lead"),
    [
        # 2.4 times its limit is less to gain by than 1.5 times a limit of 100 ms.
        ({"inference": 150, "total": 150, "client": 162}, "inference is slow: 150 ms against 100 ms"),
        # Far above its limit comes before a little above another, whatever the milliseconds.
        ({"preprocess": 40, "inference": 150, "total": 190, "client": 192}, "preprocess is slow: 40 ms against 10 ms"),
        ({"inference": 60, "postprocess": 25, "total": 85, "client": 93}, "postprocess is slow: 25 ms against 10 ms"),
    ],
)
def test_the_stage_with_most_to_gain_is_named_first(ms: dict[str, float], lead: str) -> None:
    assert summary(**ms).startswith(lead)


@pytest.mark.parametrize(("via", "verdict"), [(Via.DIRECT, Verdict.FAIL), (Via.SSH, Verdict.UNKNOWN)])
def test_time_outside_of_the_server_is_the_networks_only_on_the_clients_own_way(via: Via, verdict: Verdict) -> None:
    figures = (Figure("inference", "inference", 20.0, 20, ""), Figure("total", "total", 20.0, 20, ""))

    network = judge([Split("server", figures)], [120.0] * 20, LIMITS, 0.0, via)[-1].evidence

    assert (network.id, network.verdict) == ("stages.network", verdict)
    assert ('endpoint.via = "ssh"' in network.statement) is (via is Via.SSH)
