"""What goes over the pipe between the load check and its generator: JSON lines, one message each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
"""The quantiles that are reported, by their names in the result."""
LOCAL = "generator"
"""Kind of a failure that is this machine's own: out of files or ports. It says nothing about the server."""
MAX_REQUESTS = 1_000_000
"""Requests of one phase at most: every latency is kept, 8 bytes each, so that quantiles and their bounds are exact."""
LINE_LIMIT_BYTES = 128 * 1024 * 1024
"""Longest message: a request body of 64 MiB in base64 fits."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The request, the same each time, and how to connect. `body` is base64, None without a body."""

    url: str
    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(repr=False)
    protocol: str
    timeout_s: float
    keep_alive: bool = True
    ca_file: str | None = None
    verify_tls: bool = True
    proxy: str | None = field(default=None, repr=False)
    connect_to: str = ""
    """`HOST:PORT` to connect to instead of the URL's, which stays the server's name; empty: to the URL's."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of load.

    With a `rate_per_s` requests leave on a schedule (open loop, `concurrency` unanswered at most), else that many
    workers wait for their reply before they send the next (closed loop). `stop_at_errors` ends it when this share
    of the latest outcomes failed, `time_limit_s` in any case.
    """

    name: str
    requests: int
    concurrency: int
    time_limit_s: float
    rate_per_s: float | None = None
    poisson: bool = False
    stop_at_errors: float = 1.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantile in milliseconds with its 95 % rank interval.

    `at_least`: the value touches a request that was given up, so the true one is this or more. `high` is None where the
    sample is too small for an upper bound, or the bound touches such a request.
    """

    value: float
    low: float | None
    high: float | None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What a phase met.

    Attributes:
        requests: finished requests, failed ones included.
        errors: failed ones by kind, e.g. `timeout`, `http-503`.
        examples: one sentence for each kind.
        elapsed_s: from the first send due to the last reply.
        throughput_rps: good replies per second of it.
        samples: latencies behind the quantiles: good replies and, as lower bounds, timeouts.
        latency_ms: quantiles by name, from when a request was due; None without samples.
        mean_ms: mean of the samples.
        max_ms: the largest.
        service_ms: the same quantiles, from the actual send.
        lateness_p99_ms: actual send after the due one; None in a closed loop, which has no schedule.
        lateness_max_ms: likewise.
        dropped: arrivals not sent because too many requests were unanswered.
        cpu_share: the generator's CPU time per elapsed time; 1.0 is one core, all that it can use.
        core_wait_ms: mean time that the generator waited for a core when ready to run; None where it is unknown.
        own_ms: how much of each quantile of `latency_ms` may be the generator's own, its waits for a core included, at
            most; None without samples.
        own_mean_ms: likewise, of the mean.
        turnaround_ms: in a closed loop, mean time from a reply to the same worker's next request: a client without it
            would send more. None in an open loop, or where no worker had two turns.
        stopped: why it ended early: `errors` or `time`; empty when it ran to its end.
        first_ms: the first request's latency.
        connections: connections opened.
        spectrum: (latency in ms, share at or below, count) along the distribution.
    """

    name: str
    requests: int
    errors: Mapping[str, int]
    examples: Mapping[str, str]
    elapsed_s: float
    throughput_rps: float
    samples: int
    latency_ms: Mapping[str, Figure] | None
    mean_ms: float | None
    max_ms: Figure | None
    service_ms: Mapping[str, Figure] | None
    lateness_p99_ms: float | None
    lateness_max_ms: float | None
    dropped: int
    cpu_share: float
    core_wait_ms: float | None
    own_ms: Mapping[str, float] | None
    own_mean_ms: float | None
    turnaround_ms: float | None
    stopped: str
    first_ms: float | None
    connections: int
    spectrum: tuple[tuple[float, float, int], ...] = ()

    @property
    def failed(self) -> int:
        """Failed requests of every kind."""
        return sum(self.errors.values())

    @property
    def own_share(self) -> float:
        """At most this share of a worker's time went by in the generator: so much was the throughput too low.

        0 in an open loop, whose schedule sets the rate.
        """
        if self.mean_ms is None or self.own_mean_ms is None or self.turnaround_ms is None:
            return 0.0
        round_ms = self.mean_ms + self.turnaround_ms
        return (self.own_mean_ms + self.turnaround_ms) / round_ms if round_ms > 0 else 0.0


def summary_from(message: Mapping[str, Any]) -> Summary:
    """The summary that a generator's message holds."""
    fields = dict(message)
    for name in ("latency_ms", "service_ms"):
        if fields[name] is not None:
            fields[name] = {key: Figure(**value) for key, value in fields[name].items()}
    if fields["max_ms"] is not None:
        fields["max_ms"] = Figure(**fields["max_ms"])
    fields["spectrum"] = tuple((value, share, count) for value, share, count in fields["spectrum"])
    return Summary(**fields)
