"""The stages of requests by the server's own metrics, against the protocol's typical times or the baseline."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

from infdiag_tui.findings.known import Known
from infdiag_tui.findings.series import Weighted, weighted_mean
from infdiag_tui.findings.server import SOURCE, View
from infdiag_tui.model import Evidence, LatencyView, Snapshot, Verdict
from infdiag_tui.servers.stages import MIN_SAMPLE, TOLD, Limits, judge

WINDOW_S = 30.0
"""Short, so that what happened just now shows; a server without traffic but the probe's has thirty requests in it."""
NETWORK_WINDOW_S = 60.0
LEAST_PROBES = 20
SAME_REQUESTS = 1.05
"""Up to this many of the server's requests for each of the probe's they are the same requests."""


def assess(snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """`stages.*` as far as the server tells them, and the network as what is left of the client's time."""
    view = View(snapshot.series, snapshot.at)
    rate = view.of("server.request_rate")
    means = {stage: weighted_mean(view.of(f"stages.{stage}_ms"), rate, WINDOW_S) for stage in TOLD}
    told: dict[str, Weighted] = {stage: found for stage, found in means.items() if found is not None}
    total = weighted_mean(view.of("server.request_ms"), rate, WINDOW_S)
    whole_ms = total.mean if total else _sum_of(told)
    for stage, found in told.items():
        series = view.of(f"stages.{stage}_ms")
        yield _evidence(stage, found, known.stages, whole_ms, series.times[-1])
    for probe in snapshot.latency:
        yield from _network(view, probe, known.stages)


def _sum_of(told: Mapping[str, Weighted]) -> float | None:
    return sum(one.mean for one in told.values()) if "inference" in told else None


def _evidence(stage: str, found: Weighted, limits: Limits, whole_ms: float | None, at: float) -> Evidence:
    judged = judge(stage, found.mean, limits, whole_ms)
    n = round(found.n)
    limit = f"; limit {judged.limit_ms:.3g} ms by the {judged.source}" if judged.limit_ms is not None else ""
    return Evidence(
        id=f"stages.{stage}",
        statement=f"{stage} takes {found.mean:.3g} ms ({n} requests by the server's own metrics){limit}",
        verdict=judged.verdict if n >= MIN_SAMPLE else Verdict.UNKNOWN,
        source=SOURCE,
        at=at,
        value=found.mean,
        unit="ms",
        window_s=found.window_s,
        sample_size=n,
        threshold=judged.limit_ms,
        threshold_source=judged.source,
    )


def _network(view: View, probe: LatencyView, limits: Limits) -> Iterator[Evidence]:
    """The client's time less the server's.

    Where the server has served hardly anybody but the probe both are times of the same requests, and the difference is
    what is spent outside. Where it has, the times are of different requests: a difference is then a hint and no more,
    and none says that the network is fast, unless the server counts more time than the client waits.
    """
    rate = view.of("server.request_rate")
    total = weighted_mean(view.of("server.request_ms"), rate, NETWORK_WINDOW_S)
    if total is None or not probe.replies:
        return
    newest = probe.replies[-1].at
    sent = [one for one in probe.replies if one.ok and newest - one.at <= NETWORK_WINDOW_S]
    if len(sent) < LEAST_PROBES:
        return
    client_ms = statistics.fmean(one.own_ms for one in sent)
    interval_s = (sent[-1].scheduled_at - sent[0].scheduled_at) / (len(sent) - 1)
    per_probe = total.n / total.window_s * interval_s
    same = 1 / SAME_REQUESTS <= per_probe <= SAME_REQUESTS
    ms = max(0.0, client_ms - total.mean)
    judged = judge("network", ms, limits, None)
    verdict = judged.verdict
    if not same:
        # The middle of either is what most requests meet, whatever a few long ones do to the means.
        middle_ms = statistics.median(one.own_ms for one in sent)
        far = middle_ms - total.mean > (judged.limit_ms or 0.0) * 3 and middle_ms > 3 * total.mean
        verdict = Verdict.WARN if far and verdict is not Verdict.OK else Verdict.UNKNOWN
    less = ""
    if probe.through:
        less = f"; what {probe.through} adds is left out"
        if verdict is not Verdict.OK:
            # What remains may be the rest of that way, which no client of the model goes.
            verdict = Verdict.UNKNOWN
            less += ", and not all of it is known, so that nothing is said of the clients' network"
    whose = "of the same requests" if same else f"of all requests ({per_probe:.1f} for each of the probe's)"
    yield Evidence(
        id="stages.network",
        statement=(
            f"the client waits {client_ms:.1f} ms, the server counts {total.mean:.1f} ms {whose}:"
            f" {ms:.1f} ms are spent outside of it{less}"
        ),
        verdict=verdict,
        source=SOURCE,
        at=newest,
        value=ms,
        unit="ms",
        subject=probe.target,
        window_s=NETWORK_WINDOW_S,
        sample_size=len(sent),
        threshold=judged.limit_ms,
        threshold_source=judged.source,
    )
