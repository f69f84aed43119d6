"""PromQL for what every known server tells, held against a real Prometheus: it takes all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from infdiag_tui.config import Prometheus
from infdiag_tui.model import Pod
from infdiag_tui.servers.adapters import Part, Server, Signal, known_servers
from infdiag_tui.servers.conventions import recognised
from infdiag_tui.servers.metrics_text import MetricSample, MetricsPage
from infdiag_tui.streams.prometheus.client import PrometheusClient
from infdiag_tui.streams.prometheus.questions import (
    QUANTILES,
    KnownPage,
    bucket_bounds_ms,
    bucket_of,
    label_matcher,
    questions,
)
from infdiag_tui.streams.prometheus.recognise import Whose, pod_matchers, whose
from tests.streams.gpus.helpers import pod
from tests.streams.prometheus.real import RealPrometheus, prometheus


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), {}) as running:
        yield running


def full_page(server: Server) -> MetricsPage:
    """A page with every series that the table knows of a server."""
    names: set[str] = set()
    told: list[Part | Signal] = [*server.parts, *server.signals]
    for one in told:
        for histogram in one.histogram:
            names |= {f"{histogram}_bucket", f"{histogram}_sum", f"{histogram}_count"}
        names |= {*one.sum, *one.count, *one.gauge}
        names |= set(one.less) if isinstance(one, Part) else {*one.counter, *one.add}
    labels = dict.fromkeys(server.model_labels, "fraud")
    return MetricsPage({name: (MetricSample(name, labels, 1.0),) for name in names})


@pytest.mark.parametrize("server", known_servers(), ids=lambda server: server.name)
async def test_prometheus_takes_every_question_about_every_server(server: Server, real: RealPrometheus) -> None:
    asked = questions([server], KnownPage(full_page(server)), "fraud", {"job": 'a"b'}, "", 60.0)
    assert asked
    async with PrometheusClient(Prometheus(url=real.url), "infdiag-test") as client:
        for promql in asked.values():
            await client.query(promql)
    totals = [part for part in server.parts if part.stage == "total" and part.histogram]
    assert (QUANTILES.keys() <= asked.keys()) == bool(totals)
    assert ("server.request_rate" in asked) == any(signal.name == "requests" for signal in server.signals)


async def test_and_about_servers_that_nobody_knows(real: RealPrometheus) -> None:
    labels = {"route": "/predict", "status": "200"}
    histogram = (f"http_request_duration_seconds_{ending}" for ending in ("bucket", "sum", "count"))
    names = [*histogram, "http_requests_total", "preprocess_seconds_sum", "preprocess_seconds_count"]
    page = MetricsPage({name: (MetricSample(name, labels, 1.0),) for name in names})
    asked = questions([recognised(page)], KnownPage(page), "", {}, 'namespace="ml"', 60.0)
    assert {"server.request_rate", "server.p99_ms", "stages.preprocess_ms"} <= asked.keys()
    async with PrometheusClient(Prometheus(url=real.url), "infdiag-test") as client:
        for promql in asked.values():
            await client.query(promql)


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("BACKEND|OTHER", {"BACKEND": True, "OTHERS": False}),
        ("(?!OK$|NOT_FOUND$).*", {"OK": False, "OKAY": True, "INTERNAL": True, "": True}),
        ("(?!overloaded).*", {"overloaded": False, "overloaded now": False, "other": True}),
        (
            "(?i)(?!(?:.*/)?(?:health\\w*|metrics)(?:/.*|)$).*",
            {"/Healthz": False, "/predict": True, "/metrics/a": False},
        ),
    ],
)
def test_a_matcher_says_what_the_pattern_does(pattern: str, values: dict[str, bool]) -> None:
    matcher = label_matcher("code", pattern)
    found = re.fullmatch(r'code(=~|!~)"(.*)"', matcher)
    assert found is not None
    text = found[2].replace("\\\\", "\\")
    assert "(?!" not in text
    for value, expected in values.items():
        assert (re.fullmatch(text, value) is not None) == (expected == (found[1] == "=~"))
        assert (re.fullmatch(pattern, value) is not None) == expected


def test_what_promql_cannot_say_is_not_asked() -> None:
    assert label_matcher("code", "a(?=b).*") == ""
    signal = Signal(name="requests", counter=("a_total",), where={"code": "x(?!y).*z"})
    page = KnownPage(MetricsPage({"a_total": (MetricSample("a_total", {}, 1.0),)}))
    server = Server(name="s", known_by=(), places=(), parts=(), signals=(signal,))
    assert questions([server], page, "", {}, "", 60.0) == {}


def pods(*names: str) -> dict[str, Pod]:
    return {one.key: one for one in map(pod, names)}


def test_whose_series_are_the_models() -> None:
    replicas = pods("scorer-7d9c6b5f4-x2x9k", "scorer-7d9c6b5f4-aaaaa")
    assert whose({}, replicas).pods == 'namespace=~"ml", pod=~"scorer-[a-z0-9]{5,10}-[a-z0-9]{5}"'
    assert pod_matchers(pods("scorer-0", "scorer-1")) == 'namespace=~"ml", pod=~"scorer-[0-9]{1,5}"'
    assert whose({"app": "a"}, replicas) == Whose({"app": "a"})
    assert not whose({}, {}).known


def test_a_quantile_is_told_with_the_bucket_that_it_is_a_guess_in() -> None:
    vllm = next(server for server in known_servers() if server.name == "vLLM")
    name = "vllm:e2e_request_latency_seconds_bucket"
    page = MetricsPage({name: tuple(MetricSample(name, {"le": le}, 1.0) for le in ("+Inf", "0.5", "0.05", "odd"))})
    bounds = bucket_bounds_ms([vllm], KnownPage(page))
    assert bounds == (50.0, 500.0)
    assert bucket_of(40.0, bounds) == (0.0, 50.0)
    assert bucket_of(50.0, bounds) == (0.0, 50.0)
    assert bucket_of(300.0, bounds) == (50.0, 500.0)
    assert bucket_of(501.0, bounds) is None
    assert bucket_of(1.0, ()) is None
    assert bucket_bounds_ms([vllm], KnownPage(page, frozenset({name.removesuffix("_bucket")}))) == ()
