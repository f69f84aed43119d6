"""What to ask a Prometheus-compatible server of a model server: PromQL for each figure that its series tell.

Sums, rates and quantiles are computed there, over all replicas: `histogram_quantile` of the summed buckets, never a
mean of quantiles.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infdiag_tui.servers.adapters import Part, Server, Signal
from infdiag_tui.servers.counters import first_named
from infdiag_tui.servers.metrics_text import MetricsPage
from infdiag_tui.servers.stages import UNITS_MS
from infdiag_tui.streams.prometheus.client import quoted, selector


@dataclass(frozen=True, slots=True)
class KnownPage:
    """The series of one model as a page, and which of them are native histograms (told as `_sum` and `_count`)."""

    page: MetricsPage
    natives: frozenset[str] = frozenset()


QUANTILES = {"server.p50_ms": 0.5, "server.p95_ms": 0.95, "server.p99_ms": 0.99}
LEVELS = {"queue_depth": "server.queue_depth", "in_flight": "server.in_flight", "kv_cache": "server.kv_cache_share"}
SHARES = {"errors": "server.error_share", "rejected": "server.rejected_share"}


def questions(
    servers: Sequence[Server], page: KnownPage, model: str, matchers: Mapping[str, str], more: str, window_s: float
) -> dict[str, str]:
    """PromQL by the metric that its answer is; of several servers the first that tells a figure.

    Args:
        servers: what was recognised, in order of precedence.
        page: which series there are.
        model: the model's name in labels, or empty.
        matchers: labels of the model's series.
        more: further matchers, as written.
        window_s: what rates are over.
    """
    found: dict[str, str] = {}
    for server in servers:
        labels = dict.fromkeys(server.model_labels, model) if model else {}
        ask = _Asker(page, matchers, more, labels, window_s)
        for metric, promql in (*_of_signals(server.signals, ask), *_of_parts(server.parts, ask)):
            found.setdefault(metric, promql)
    return found


def bucket_bounds_ms(servers: Sequence[Server], known: KnownPage) -> tuple[float, ...]:
    """The upper bounds of the buckets that quantiles of the whole request come from, rising; none for a native one.

    A quantile from buckets is a guess within one of them, on common bounds up to a third off.
    """
    for server in servers:
        for part in server.parts:
            for name in part.histogram if part.stage == "total" else ():
                bounds = {_bound(sample.labels.get("le", "")) for sample in known.page.get(f"{name}_bucket")}
                if bounds and name not in known.natives:
                    return tuple(sorted(bound * UNITS_MS[part.unit] for bound in bounds if math.isfinite(bound)))
    return ()


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf


def bucket_of(value_ms: float, bounds_ms: Sequence[float]) -> tuple[float, float] | None:
    """The bucket that a quantile falls into; None above the highest bound, where the server does not tell."""
    place = bisect_left(bounds_ms, value_ms)
    if place >= len(bounds_ms):
        return None
    return (bounds_ms[place - 1] if place else 0.0), bounds_ms[place]


class _Asker:
    """Writes selectors for the series of one server."""

    def __init__(
        self,
        known: KnownPage,
        matchers: Mapping[str, str],
        more: str,
        model: Mapping[str, str],
        window_s: float,
    ) -> None:
        self.page = known.page
        self._natives = known.natives
        self._matchers = matchers
        self._more = more
        self._model = model
        self._window = f"[{window_s:.0f}s]"

    def series(self, name: str, of: Part | Signal) -> str:
        """The selector of a metric, with the labels of `of`, and the model's where its series carry them."""
        carried = {label for sample in self.page.get(name) for label in sample.labels}
        model = {} if of.whole_server else {name: value for name, value in self._model.items() if name in carried}
        where = [label_matcher(label, pattern) for label, pattern in of.where.items()]
        more = ", ".join((*where, *([self._more] if self._more else [])))
        return selector(name, {**self._matchers, **of.labels, **model}, more=more)

    def rate(self, name: str, of: Part | Signal) -> str:
        """Events per second, of all replicas."""
        return f"sum(rate({self.series(name, of)}{self._window}))"

    def mean(self, of: Part | Signal) -> str:
        """The sum of what was counted over how often it was, empty where there is neither."""
        for name in of.histogram:
            if name in self._natives:
                native = self.rate(name, of)
                return f"histogram_sum({native}) / histogram_count({native})"
            if f"{name}_sum" in self.page and f"{name}_count" in self.page:
                return f"{self.rate(f'{name}_sum', of)} / {self.rate(f'{name}_count', of)}"
        total, count = first_named(of.sum, self.page), first_named(of.count, self.page)
        return f"{self.rate(total, of)} / {self.rate(count, of)}" if total and count else ""

    def quantile(self, share: float, of: Part) -> str:
        """A quantile from a histogram, classic or native; empty without one."""
        for name in of.histogram:
            if name in self._natives:
                return f"histogram_quantile({share}, {self.rate(name, of)})"
            if f"{name}_bucket" in self.page:
                buckets = self.series(f"{name}_bucket", of)
                return f"histogram_quantile({share}, sum by (le) (rate({buckets}{self._window})))"
        return ""


_ALL_BUT = re.compile(r"(\(\?[a-z]+\))?\(\?!(.*)\)\.\*")
_LOOKS_AROUND = re.compile(r"\(\?<?[!=]")


def label_matcher(label: str, pattern: str) -> str:
    """A matcher for a label's values that match the whole of `pattern`; empty where PromQL has none.

    Go's expressions, and so Prometheus', have no lookahead: "none of these" becomes a negative matcher.
    """
    but = _ALL_BUT.fullmatch(pattern)
    positive, text = (False, f"{but[1] or ''}(?:{but[2]}).*") if but is not None else (True, pattern)
    try:
        re.compile(text)
    except re.error:  # the parenthesis that was taken off belonged to another group
        return ""
    if _LOOKS_AROUND.search(text):
        return ""
    return f"{label}{'=~' if positive else '!~'}{quoted(text)}"


def _writable(of: Part | Signal) -> bool:
    return all(label_matcher(label, pattern) for label, pattern in of.where.items())


def _of_signals(signals: Sequence[Signal], ask: _Asker) -> Iterator[tuple[str, str]]:
    by_name: dict[str, Signal] = {signal.name: signal for signal in reversed(signals) if _writable(signal)}
    requests = by_name.get("requests")
    rate = _counted(requests, ask) if requests is not None else ""
    if rate:
        yield "server.request_rate", rate
    for name, metric in SHARES.items():
        signal = by_name.get(name)
        counted = _counted(signal, ask) if signal is not None and rate else ""
        if counted:
            # A counter of errors may not be there before the first one: that is none, as long as requests are counted.
            yield metric, f"clamp_max(({counted} or vector(0)) / ({rate} > 0), 1)"
    for name, metric in LEVELS.items():
        signal = by_name.get(name)
        gauge = next((one for one in signal.gauge if one in ask.page), "") if signal is not None else ""
        if signal is not None and gauge:
            scale = f" * {signal.scale:g}" if signal.scale != 1.0 else ""
            yield metric, f"{'max' if signal.combine == 'max' else 'sum'}({ask.series(gauge, signal)}){scale}"
    batch = by_name.get("batch_size")
    if batch is not None and (mean := ask.mean(batch)):
        yield "server.batch_size", mean


def _counted(signal: Signal, ask: _Asker) -> str:
    """Events per second of all of a signal's counters, empty without any."""
    names = [first_named(one, ask.page) for one in (signal.counter, *((name,) for name in signal.add))]
    rates = [ask.rate(name, signal) for name in names if name is not None]
    if len(rates) < 2:
        return "".join(rates)
    return " + ".join(f"({rate} or vector(0))" for rate in rates)


def _of_parts(parts: Sequence[Part], ask: _Asker) -> Iterator[tuple[str, str]]:
    stages: dict[str, list[str]] = {}
    for part in parts:
        if part.computed or part.gauge or not part.stage or not _writable(part):
            continue
        if mean := ask.mean(part):
            stages.setdefault(part.stage, []).append(f"{UNITS_MS[part.unit]:g} * {mean}")
        if part.stage == "total":
            for metric, share in QUANTILES.items():
                if promql := ask.quantile(share, part):
                    yield metric, f"{UNITS_MS[part.unit]:g} * {promql}"
    for stage, means in stages.items():
        metric = "server.request_ms" if stage == "total" else f"stages.{stage}_ms"
        yield metric, " + ".join(f"({mean})" for mean in means)
