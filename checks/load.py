"""The check `load`: sends requests in a closed or an open loop and says how the server bears them."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from checks.base import KNOWN_GOOD, NO_LOAD_BY_PROXY, Check, CheckContext, CheckError, Forwarder, Outcome, Sender
from checks.load_charts import charts_of
from checks.load_evidence import Limits, evidence_of, milliseconds
from checks.load_gen.child import Generator
from checks.load_gen.job import QUANTILES, Summary
from checks.load_judge import ENOUGH_FOR_P99, invalid_reasons
from checks.load_params import LoadParams
from checks.load_request import load_setup
from checks.load_run import LoadRun, Measured
from infdiag_tui.config import Endpoint, Protocol, Via
from infdiag_tui.model import CheckStatus, Evidence, Impact, Verdict
from infdiag_tui.text import clean, one_line

_CLOSED = (
    "closed loop: a slow reply delays the requests behind it, so these latencies omit what clients that do not wait "
    "for each other would have met; use --rate for that"
)
_OPEN = "open loop: latency counts from the scheduled send, so that no wait is omitted"


_BY_TUNNEL = (
    " The requests went through the {} way: errors are the server's, but the times hold what that way adds, and its "
    "throughput may be the limit."
)


class LoadCheck(Check[LoadParams]):
    """Load in a process of its own, bounded by rate, count and time."""

    name = "load"
    title = "Latency and errors under load"
    step = 1
    impact = Impact.LOAD
    symptoms = ("slow-inference", "latency-variance", "intermittent-failures")
    params = LoadParams

    def missing(self, params: LoadParams, context: CheckContext) -> str:
        """The endpoint, or the known-good input where the protocol needs one."""
        del params
        endpoint = context.model.endpoint
        if endpoint is None or not endpoint.url:
            return "The load check needs endpoint.url in the config, or --endpoint."
        if endpoint.via is Via.PROXY:
            return NO_LOAD_BY_PROXY
        lacks_body = endpoint.body is None and endpoint.body_file is None
        if lacks_body and endpoint.protocol is not Protocol.JSON:
            return f'The load check needs a known-good input for protocol "{endpoint.protocol}": {KNOWN_GOOD}.'
        return ""

    def announce(self, params: LoadParams, context: CheckContext) -> str:
        """How many requests go where."""
        endpoint = context.model.endpoint
        url = "" if endpoint is None else endpoint.url
        where = (
            f"{one_line(clean(urlsplit(url).netloc.rpartition('@')[2]))} (model {one_line(clean(context.model_name))})"
        )
        before = 1 + params.alone + params.warm_up
        if params.knee:
            what = f"up to {params.max_rate:g} requests/s in rising steps for at most {params.time_limit:g} s"
        elif params.rate is not None:
            what = f"{params.rate:g} requests/s for {params.duration:g} s ({params.open_requests:,} requests)"
        else:
            what = f"{params.requests:,} requests, {params.concurrency} at a time, for at most {params.time_limit:g} s"
        stop = f"It stops when more than {params.stop_at_errors:.0%} of the latest requests fail."
        return f"Sends {what}, to {where}, after {before:,} requests of preparation. {stop}"

    async def run(self, params: LoadParams, context: CheckContext) -> Outcome:
        """Starts the generator, runs the phases and judges them.

        Raises:
            CheckError: the server cannot be reached, or the generator failed.
        """
        endpoint = context.model.endpoint
        if endpoint is None:
            raise CheckError("There is no endpoint to send load to: give --endpoint.")
        agent = f"{context.user_agent} (load check)"
        setup = await asyncio.to_thread(load_setup, endpoint, agent, keep_alive=params.keep_alive)
        at = context.now()
        async with _way_of(context.sender) as connect_to:
            setup = dataclasses.replace(setup, connect_to=connect_to)
            async with Generator(setup) as generator:
                measured = await LoadRun(params, generator, context.report).measure()
        # What the way adds under load is not known: it has a part in every time, so that none is held to the objective.
        objective_ms = None if connect_to else endpoint.objective_p99_ms
        evidence = evidence_of(measured, Limits(objective_ms, params.max_error_rate, at))
        artifacts: tuple[Path, ...] = ()
        if measured.load.spectrum:
            artifacts = (await asyncio.to_thread(_write_spectrum, context.folder, at, measured.load),)
        return Outcome(
            status=_status(measured, evidence),
            summary=_summary(measured, evidence, endpoint) + (_BY_TUNNEL.format(endpoint.via) if connect_to else ""),
            evidence=evidence,
            result=_result(params, measured),
            artifacts=artifacts,
            charts=charts_of(measured, objective_ms),
        )


def _way_of(sender: Sender | None) -> AbstractAsyncContextManager[str]:
    return sender.listening() if isinstance(sender, Forwarder) else nullcontext("")


def _status(measured: Measured, evidence: tuple[Evidence, ...]) -> CheckStatus:
    verdicts = {one.verdict for one in evidence}
    if Verdict.FAIL in verdicts or measured.load.stopped == "errors":
        return CheckStatus.FAIL
    return CheckStatus.WARN if Verdict.WARN in verdicts or measured.load.stopped else CheckStatus.OK


def _summary(measured: Measured, evidence: tuple[Evidence, ...], endpoint: Endpoint) -> str:
    load = measured.load
    by_id = {one.id: one for one in evidence}
    parts = []
    if load.stopped == "errors":
        parts.append(f"stopped after {load.requests:,} requests, since too many failed")
    elif load.stopped:
        parts.append(f"ended by the time limit after {load.requests:,} requests")
    if load.failed:
        parts.append(by_id["load.error_rate"].statement)
        concurrent = by_id.get("load.errors_only_concurrent")
        if concurrent is not None and concurrent.verdict is Verdict.FAIL:
            parts.append(concurrent.statement)
    reasons = invalid_reasons(load)
    if reasons:
        parts.append(f"invalid run: {'; '.join(reasons)}")
    elif load.latency_ms is not None and load.max_ms is not None:
        enough = load.samples >= ENOUGH_FOR_P99
        tail = f"p99 {milliseconds(load.latency_ms['p99'])}" if enough else f"max {milliseconds(load.max_ms)}"
        p50 = milliseconds(load.latency_ms["p50"])
        parts.append(f"{load.throughput_rps:.1f} replies/s, p50 {p50}, {tail} of {load.samples:,}")
    if "load.knee" in by_id:
        parts.append(by_id["load.knee"].statement)
    if by_id["load.p99"].verdict in (Verdict.WARN, Verdict.FAIL):
        parts.append(f"p99 above the objective of {endpoint.objective_p99_ms:g} ms")
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _result(params: LoadParams, measured: Measured) -> dict[str, Any]:
    load, knee = measured.load, measured.knee
    is_open = params.knee or params.rate is not None
    found = {
        "mode": "knee" if params.knee else "open" if is_open else "closed",
        **_figures(load),
        "concurrency": None if is_open else params.concurrency,
        "rate_per_s": params.rate,
        "valid": not invalid_reasons(load),
        "invalid_reasons": list(invalid_reasons(load)),
        "stopped": load.stopped,
        "coordinated_omission": _OPEN if is_open else _CLOSED,
        "cold_first_ms": measured.cold.first_ms,
        "warm_up_discarded": measured.warmed_up,
        "alone": None if measured.alone is None else _figures(measured.alone),
        "alone_after": None if measured.alone_after is None else _figures(measured.alone_after),
        "requests_sent_in_all": measured.sent,
    }
    if knee is not None:
        found["knee"] = {
            "rate_per_s": knee.knee_per_s,
            "beyond_per_s": knee.first_bad_per_s,
            "plateau_ms": knee.plateau_ms,
            "limited_by": knee.limited_by,
            "steps": [dataclasses.asdict(step) for step in knee.steps],
        }
    return found


def _figures(summary: Summary) -> dict[str, Any]:
    latency, service = summary.latency_ms or {}, summary.service_ms or {}
    top = summary.max_ms
    return {
        "requests": summary.requests,
        "errors": summary.failed,
        "errors_by_kind": dict(summary.errors),
        "error_examples": dict(summary.examples),
        "elapsed_s": summary.elapsed_s,
        "throughput_rps": summary.throughput_rps,
        "latency_samples": summary.samples,
        "latency_ms": {
            **{name: latency[name].value if name in latency else None for name in QUANTILES},
            "mean": summary.mean_ms,
            "max": None if top is None else top.value,
        },
        "latency_interval_ms": {name: [one.low, one.high] for name, one in latency.items()},
        "latency_at_least": [name for name, one in latency.items() if one.at_least]
        + (["max"] if top is not None and top.at_least else []),
        "service_ms": {name: one.value for name, one in service.items()},
        "lateness_ms": {"p99": summary.lateness_p99_ms, "max": summary.lateness_max_ms},
        "dropped": summary.dropped,
        "generator_cpu_share": summary.cpu_share,
        "generator_core_wait_ms": summary.core_wait_ms,
        "generator_own_ms": {**(summary.own_ms or {}), "mean": summary.own_mean_ms},
        "generator_turnaround_ms": summary.turnaround_ms,
        "generator_own_share": summary.own_share,
        "connections_opened": summary.connections,
    }


def _write_spectrum(folder: Path, at: float, load: Summary) -> Path:
    """Writes the latency distribution in the text layout that HdrHistogram's plotters read; returns the file."""
    moment = datetime.fromtimestamp(at, UTC)
    path = folder / f"load-{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z.hgrm"
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for value_ms, share, count in load.spectrum:
        odds = "inf" if share >= 1.0 else f"{1 / (1 - share):.2f}"
        lines.append(f"{value_ms:12.3f} {share:14.12f} {count:10d} {odds:>14}")
    lines.append(f"#[Mean = {load.mean_ms or 0.0:.3f}, Total count = {load.samples}]")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


CHECK = LoadCheck()
