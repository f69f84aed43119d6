"""The phases of a load check in their order: cold, alone, warm-up, the load itself, alone again after errors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from checks.base import CheckError
from checks.load_gen.child import Generator
from checks.load_gen.job import LOCAL, Phase, Summary
from checks.load_knee import KneeSearch
from checks.load_params import Arrivals, LoadParams
from infdiag_tui.model import ErrorKind, Progress

_UNREACHABLE = frozenset({ErrorKind.DNS.value, ErrorKind.CONNECT.value, ErrorKind.TLS.value})
_START_SHARE = 0.5
"""The knee search starts at half of the rate that one request at a time gives: no queue forms there."""
_WARM_UP_WORKERS = 10
_AFTERWARDS, _AFTERWARDS_S = 10, 10.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What the phases gave. `load` is the one that the result speaks of; with a knee search, the step at the knee.

    `sent` counts the finished requests of every phase, `warmed_up` those before the load that do not count.
    """

    cold: Summary
    load: Summary
    alone: Summary | None = None
    alone_after: Summary | None = None
    warmed_up: int = 0
    knee: KneeSearch | None = None
    sent: int = 0


class LoadRun:
    """Drives a generator through the phases, within the check's time limit."""

    def __init__(self, params: LoadParams, generator: Generator, report: Callable[[Progress], None]) -> None:
        self._params = params
        self._generator = generator
        self._report = report
        self._sent = 0
        self._deadline = time.monotonic() + params.time_limit

    async def measure(self) -> Measured:
        """Every phase in turn; a phase that was stopped by errors is the last, and the load that is reported.

        Raises:
            CheckError: the server cannot be reached, nothing was answered in time, or the generator failed.
        """
        params = self._params
        cold = await self._phase(self._closed("cold", 1, 1))
        _refuse_unreachable(cold)
        measured = Measured(cold, cold)
        if params.alone:
            alone = await self._phase(self._closed("alone", params.alone, 1))
            measured = replace(measured, alone=alone, load=alone)
            if alone.stopped == "errors":
                return replace(measured, sent=self._sent)
        if params.warm_up:
            workers = _WARM_UP_WORKERS if self._is_open else params.concurrency
            warm_up = await self._phase(self._closed("warm-up", params.warm_up, workers))
            measured = replace(measured, warmed_up=warm_up.requests)
            if warm_up.stopped == "errors":
                return replace(measured, load=warm_up, sent=self._sent)
        if params.knee:
            measured = await self._search(measured)
        else:
            measured = replace(measured, load=await self._phase(self._main()))
        if measured.load.failed and measured.alone is not None and self._left_s() > 0:
            # A few, one at a time, as a probe would: did the server recover?
            after = await self._phase(self._closed("alone again", min(params.alone, _AFTERWARDS), 1), _AFTERWARDS_S)
            measured = replace(measured, alone_after=after)
        if not measured.load.requests:
            raise CheckError(
                f"No request was answered or given up within the time limit of {params.time_limit:g} s: "
                "is the server hung? Raise --time-limit or lower endpoint.timeout_s."
            )
        return replace(measured, sent=self._sent)

    @property
    def _is_open(self) -> bool:
        return self._params.knee or self._params.rate is not None

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()

    def _closed(self, name: str, requests: int, concurrency: int) -> Phase:
        return Phase(name, requests, concurrency, 0.0, stop_at_errors=self._params.stop_at_errors)

    def _open(self, name: str, rate_per_s: float, requests: int) -> Phase:
        params = self._params
        return Phase(
            name,
            requests,
            params.max_in_flight,
            0.0,
            rate_per_s=rate_per_s,
            poisson=params.arrivals is Arrivals.POISSON,
            stop_at_errors=params.stop_at_errors,
        )

    def _main(self) -> Phase:
        params = self._params
        if params.rate is None:
            return self._closed("load", params.requests, params.concurrency)
        return self._open("load", params.rate, params.open_requests)

    async def _phase(self, phase: Phase, limit_s: float = math.inf) -> Summary:
        left_s = min(self._left_s(), limit_s)
        if left_s <= 0:
            raise CheckError(
                f"The time limit of {self._params.time_limit:g} s ran out before the phase {phase.name!r}: "
                "raise --time-limit, or send less."
            )
        of = f" of {phase.requests:,}"

        def progress(finished: int, failed: int) -> None:
            rate = "" if phase.rate_per_s is None else f" at {phase.rate_per_s:.1f}/s"
            text = f"{phase.name}: {finished:,}{of} requests{rate}, {failed:,} failed"
            # A search's length is not known beforehand.
            self._report(Progress(text, None if self._params.knee else finished / phase.requests))

        progress(0, 0)
        summary = await self._generator.phase(replace(phase, time_limit_s=left_s), progress)
        self._sent += summary.requests
        return summary

    async def _search(self, measured: Measured) -> Measured:
        params = self._params
        search = KneeSearch(self._start_rate(measured), params.max_rate, params.max_error_rate)
        load: Summary | None = None
        while (rate_per_s := search.next_rate) is not None:
            if self._left_s() < params.step:
                search.end_early("the time limit")
                break
            summary = await self._phase(self._open("step", rate_per_s, max(2, round(rate_per_s * params.step))))
            step = search.take(rate_per_s, summary)
            if load is None or (rate_per_s == search.highest_good_per_s and not step.invalid):
                load = summary
            if summary.stopped == "errors":
                break  # a server in that state is not asked again
        return replace(measured, knee=search, load=load or measured.load)

    def _start_rate(self, measured: Measured) -> float:
        if self._params.rate is not None:
            return self._params.rate
        calm = measured.alone or measured.cold
        if calm.latency_ms is None:
            raise CheckError("The first requests failed, so that there is no rate to start from: give one with --rate.")
        return _START_SHARE * 1e3 / calm.latency_ms["p50"].value


def _refuse_unreachable(cold: Summary) -> None:
    for kind in cold.errors:
        if kind in _UNREACHABLE or kind == LOCAL:
            raise CheckError(f"No load was sent: {cold.examples[kind]}.", unreachable=kind != LOCAL)
