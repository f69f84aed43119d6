"""Judges stage times against typical ones and this model's own baseline, and puts it into words."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.base import CheckError
from checks.stages_parts.figures import Figure, Split, figure_of
from infdiag_tui.config import Via
from infdiag_tui.model import CheckStatus, Evidence, Verdict
from infdiag_tui.servers.stages import MIN_SAMPLE, STAGES, TOLD, Limits, Stage, read_baseline_ms
from infdiag_tui.servers.stages import judge as judge_stage
from infdiag_tui.text import clean, one_line

SOURCE = "stages"


@dataclass(frozen=True, slots=True)
class Judged:
    """One stage with its time and verdict; `ms` is None where nobody tells it."""

    stage: str
    evidence: Evidence
    means: str = ""

    @property
    def ms(self) -> float | None:
        """Its mean time."""
        return self.evidence.value if isinstance(self.evidence.value, float) else None


def read_baseline(path: Path | None) -> dict[str, float]:
    """The stage times in ms of the baseline. Blocking; empty without a file.

    Raises:
        CheckError: the file is there and cannot be read.
    """
    try:
        return read_baseline_ms(path)
    except (OSError, ValueError) as error:
        raise CheckError(
            one_line(clean(f"The baseline {path} cannot be read: run `infdiag check baseline`."))
        ) from error


def judge(
    splits: Sequence[Split], client_ms: Sequence[float], limits: Limits, at: float, via: Via = Via.DIRECT
) -> list[Judged]:
    """Every stage and the network, told by the first of `splits` that knows it. Blocking (scipy).

    `via` is the way that the requests went; `client_ms` holds no more of it than could not be told apart.
    """
    chosen = {stage: found for stage in TOLD if (found := _chosen(splits, stage)) is not None}
    total = _total(splits, chosen)
    judged = []
    for stage in TOLD:
        if stage in chosen:
            figure, means = chosen[stage]
            judged.append(Judged(stage, _evidence(stage, figure, limits, total.mean_ms if total else None, at), means))
        elif stage in STAGES:
            judged.append(_absent(stage, splits, at))
    if client_ms:
        network = _network(client_ms, total, limits, at)
        judged.append(network if via is Via.DIRECT else _of_another_way(network, via))
    return judged


def _chosen(splits: Sequence[Split], stage: Stage) -> tuple[Figure, str] | None:
    for split in splits:
        parts = [figure for figure in split.figures if figure.stage == stage]
        if len(parts) == 1:
            return parts[0], split.means
        if parts:
            names = " + ".join(part.name for part in parts)
            mean_ms = sum(part.mean_ms for part in parts)
            whole = any(part.whole_server for part in parts)
            figure = Figure(names, stage, mean_ms, min(part.n for part in parts), parts[0].source, whole_server=whole)
            return figure, split.means
    return None


def _total(splits: Sequence[Split], chosen: Mapping[Stage, tuple[Figure, str]]) -> Figure | None:
    """The server's own time for a request; without one, the sum of its stages when inference is among them."""
    whole = _chosen([split for split in splits if split.means != "spans"], "total")
    if whole is not None:
        return whole[0]
    parts = [figure for figure, means in chosen.values() if means != "spans"]
    if "inference" not in chosen or not parts:
        return None
    return Figure("sum of its stages", "total", sum(part.mean_ms for part in parts), min(part.n for part in parts), "")


def _absent(stage: str, splits: Sequence[Split], at: float) -> Judged:
    reasons = [reason for split in splits for of, reason in split.not_offered if of == stage]
    reason = reasons[0] if reasons else "nothing that answered tells it"
    return Judged(
        stage, Evidence(f"stages.{stage}", _printable(f"{stage}: {reason}"), Verdict.UNKNOWN, SOURCE, at, unit="ms")
    )


def _evidence(stage: str, figure: Figure, limits: Limits, total_ms: float | None, at: float) -> Evidence:
    against = judge_stage(stage, figure.mean_ms, limits, total_ms)
    limit, source, verdict = against.limit_ms, against.source, against.verdict
    if figure.n < MIN_SAMPLE:
        verdict = Verdict.UNKNOWN
    words = f"{stage} takes {figure.mean_ms:.3g} ms ({figure.n} requests, {figure.source or figure.name})"
    if figure.note:
        words += f", {figure.note}"
    if limit is not None:
        words += f"; limit {limit:.3g} ms by the {source}"
    if figure.n < MIN_SAMPLE:
        words += f"; fewer than {MIN_SAMPLE} requests are not judged"
    return Evidence(
        f"stages.{stage}",
        _printable(words),
        verdict,
        SOURCE,
        at,
        value=figure.mean_ms,
        unit="ms",
        sample_size=figure.n,
        low=figure.low,
        high=figure.high,
        threshold=limit,
        threshold_source=source,
    )


def _network(client_ms: Sequence[float], total: Figure | None, limits: Limits, at: float) -> Judged:
    """Client time less server time: the network, and what the server does outside its own count."""

    def unknown(reason: str) -> Judged:
        evidence = Evidence("stages.network", _printable(f"network: {reason}"), Verdict.UNKNOWN, SOURCE, at, unit="ms")
        return Judged("network", evidence)

    if total is None:
        return unknown("the server does not tell its own time of a request")
    client = figure_of("client", "", client_ms, "client")
    ms = client.mean_ms - total.mean_ms
    if total.n > math.ceil(len(client_ms) * 1.05):
        return unknown(
            f"the server's figures cover {total.n} requests, of which {len(client_ms)} are this check's: client and"
            " server times of different requests cannot be subtracted"
        )
    if total.n < len(client_ms):
        return unknown(
            f"the server counted {total.n} of {len(client_ms)} requests: is --metrics-url another replica's, or is the"
            " cache answering?"
        )
    if ms < 0:
        return unknown(
            f"the server counts {total.mean_ms:.3g} ms for a request that took the client {client.mean_ms:.3g} ms"
        )
    shift = total.mean_ms
    figure = Figure(
        "network",
        "",
        ms,
        len(client_ms),
        f"client {client.mean_ms:.3g} ms less server {total.mean_ms:.3g} ms, {total.name}",
        low=None if client.low is None else client.low - shift,
        high=None if client.high is None else client.high - shift,
    )
    return Judged("network", _evidence("network", figure, limits, None, at), "client less server")


def _of_another_way(network: Judged, via: Via) -> Judged:
    """Without the verdict that time is lost in the network: what remains may be the rest of a way no client goes."""
    evidence = network.evidence
    if evidence.verdict not in (Verdict.WARN, Verdict.FAIL):
        return network
    said = f'{evidence.statement}; the requests went by endpoint.via = "{via}", which may have a part in it'
    held = dataclasses.replace(evidence, verdict=Verdict.UNKNOWN, statement=said)
    return dataclasses.replace(network, evidence=held)


def verdict_of(judged: Sequence[Judged]) -> CheckStatus:
    """The worst verdict; unknown everywhere is a warning."""
    verdicts = {item.evidence.verdict for item in judged}
    for verdict, status in (
        (Verdict.FAIL, CheckStatus.FAIL),
        (Verdict.WARN, CheckStatus.WARN),
        (Verdict.OK, CheckStatus.OK),
    ):
        if verdict in verdicts:
            return status
    return CheckStatus.WARN


def summary_of(judged: Sequence[Judged]) -> str:
    """One sentence: what is slow, then every stage's time."""
    told = [item for item in judged if item.ms is not None]
    slow = [item for item in told if item.evidence.verdict in (Verdict.FAIL, Verdict.WARN)]
    times = ", ".join(f"{item.stage} {item.ms:.3g}" for item in told)
    lead = "No stage is slower than it should be"
    if slow:
        worst = max(slow, key=_concern)
        lead = f"{worst.stage} is slow: {worst.ms:.3g} ms against {worst.evidence.threshold:.3g} ms"
    elif all(item.evidence.verdict is Verdict.UNKNOWN for item in told):
        lead = "Too little was counted to judge a stage"
    untold = [item.stage for item in judged if item.ms is None]
    rest = f"; not told: {', '.join(untold)}" if untold else ""
    return _printable(f"{lead} (mean ms: {times}{rest}).")


def _concern(item: Judged) -> tuple[bool, float]:
    """A failure before a warning, then the milliseconds that are too many: what there is to gain by mending it."""
    return item.evidence.verdict is Verdict.FAIL, (item.ms or 0.0) - (item.evidence.threshold or 0.0)


def client_result(client_ms: Sequence[float]) -> dict[str, Any] | None:
    """The client's own figures for the JSON result."""
    if not client_ms:
        return None
    return {"n": len(client_ms), "mean": statistics.fmean(client_ms), "p50": statistics.median(client_ms)}


def _printable(text: str) -> str:
    return one_line(clean(text), 500)
