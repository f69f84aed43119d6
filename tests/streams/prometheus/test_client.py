"""The PromQL client against a real Prometheus, and against servers that are none or refuse."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.config import Prometheus
from infdiag_tui.model import SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.http_api import HttpApiError
from infdiag_tui.streams.prometheus.client import PrometheusClient, quoted, selector
from infdiag_tui.streams.prometheus.questions import questions
from infdiag_tui.streams.prometheus.recognise import Whose, look
from infdiag_tui.streams.prometheus.results import UnreadableError, read_result
from tests.streams.prometheus.fake import Says, saying
from tests.streams.prometheus.native import CONTENT_TYPE, family
from tests.streams.prometheus.real import Exporter, RealPrometheus, prometheus
from tests.support import eventually_blocking

NATIVE = "vllm:e2e_request_latency_seconds"
PAGE = """\
# TYPE jobs gauge
jobs{queue="a \\"b\\" \\\\ c"} 7
jobs{queue="plain"} 3
# TYPE nothing gauge
nothing NaN
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    exporter, native = Exporter(PAGE), Exporter(growing_histogram(), CONTENT_TYPE)
    targets = {exporter.address: "page", native.address: "native"}
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets) as running:
        eventually_blocking(lambda: running.ask("jobs") and running.ask(f"rate({NATIVE}[1m])"), 20)
        yield running
    exporter.close()
    native.close()


def growing_histogram() -> Callable[[], bytes]:
    """A native histogram of a model's latency: of a hundred new requests at each scrape 2 take a second, 98 30 ms."""
    scrapes = itertools.count(1)

    def page() -> bytes:
        n = next(scrapes)
        # Buckets up to 2**(-40/8) = 31 ms and 2**(0/8) = 1 s.
        return family(NATIVE, {"model_name": "fraud"}, {-40: 98 * n, 0: 2 * n}, n * (98 * 0.03 + 2 * 0.98))

    return page


@pytest.fixture
async def says() -> AsyncIterator[Says]:
    async with saying() as server:
        yield server


def client(url: str, **settings: object) -> PrometheusClient:
    return PrometheusClient(Prometheus.model_validate({"url": url, **settings}), "infdiag-test")


async def refusal(url: str, **settings: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        async with client(url, **settings) as asked:
            await asked.query("up")
    assert caught.value.remedy
    return caught.value


async def test_a_real_server_answers_queries_and_ranges(real: RealPrometheus) -> None:
    async with client(real.url) as asked:
        whole = await asked.query("sum(jobs)")
        chosen = await asked.query(selector("jobs", {"queue": 'a "b" \\ c'}))
        raw = await asked.query("jobs[1m]")
        now = time.time()
        ranged = await asked.query_range("jobs", start=now - 5, end=now, step_s=1)
        scalar = await asked.query("scalar(sum(jobs))")
        nothing = await asked.query("nothing")
    assert whole.series[0].points[0][1] == 10
    assert [one.points[0][1] for one in chosen.series] == [7]
    assert {one.labels["queue"] for one in raw.series} == {'a "b" \\ c', "plain"}
    assert raw.series[0].name == "jobs"
    assert {one.points[-1][1] for one in ranged.series} == {7, 3}
    assert scalar.series[0].points[0][1] == 10
    assert nothing.series[0].points == ()


async def test_a_native_histogram_is_recognised_and_its_quantiles_are_computed_there(real: RealPrometheus) -> None:
    async with client(real.url) as asked:
        known = await look(asked, Whose({"job": "native"}), "fraud", None)
        assert known.servers[0].name == "vLLM"
        assert known.page.natives == {NATIVE}
        wanted = questions(known.servers, known.page, "fraud", {"job": "native"}, "", known.window_s)
        answers = {
            metric: result.series[0].points[0][1]
            for metric, promql in wanted.items()
            if (result := await asked.query(promql)).series
        }
    assert 28.6 <= answers["server.p50_ms"] <= 31.3
    assert 917 <= answers["server.p99_ms"] <= 1000
    assert answers["server.request_ms"] == pytest.approx(10 * (98 * 0.03 + 2 * 0.98), rel=1e-6)


async def test_a_query_that_it_does_not_take_is_named_with_its_own_words(real: RealPrometheus) -> None:
    async with client(real.url) as asked:
        with pytest.raises(HttpApiError, match="parse error") as caught:
            await asked.query("sum(")
        assert "sum(" in caught.value.remedy
        with pytest.raises(HttpApiError, match="resolution"):
            await asked.query_range("up", start=0, end=1e9, step_s=1)


async def test_a_long_query_is_posted(real: RealPrometheus, says: Says) -> None:
    many = "|".join(f"queue-{number}" for number in range(2_000))
    async with client(real.url) as asked:
        assert (await asked.query(f'jobs{{queue!~"{many}"}}')).series
    async with client(says.url) as asked:
        await asked.query(many)
        await asked.query("up")
    assert [method for method, *_ in says.asked] == ["POST", "GET"]
    assert says.asked[0][2]["query"] == many


async def test_credentials_and_headers_reach_it_and_a_token_is_read_anew(says: Says, tmp_path: Path) -> None:
    token, password = tmp_path / "token", tmp_path / "password"
    token.write_text("first\n")
    password.write_text("open sesame")
    async with client(says.url + "/prometheus/", token_file=token, headers={"X-Scope-OrgID": "ml"}) as asked:
        await asked.query("up")
        token.write_text("second")
        await asked.query("up")
    async with client(says.url, user="me", password_file=password) as asked:
        await asked.query("up")
    sent = [headers["authorization"] for *_, headers in says.asked]
    assert sent == ["Bearer first", "Bearer second", "Basic " + base64.b64encode(b"me:open sesame").decode()]
    assert says.asked[0][1] == "/prometheus/api/v1/query"
    assert says.asked[0][3]["x-scope-orgid"] == "ml"
    assert says.asked[0][3]["user-agent"] == "infdiag-test"


async def test_a_secret_that_cannot_be_read_is_named(says: Says, tmp_path: Path) -> None:
    error = await refusal(says.url, token_file=tmp_path / "gone")
    assert "prometheus.token_file" in error.reason
    assert error.state is SourceState.FORBIDDEN
    (tmp_path / "odd").write_text("two\nlines")
    assert "no usable secret" in (await refusal(says.url, token_file=tmp_path / "odd")).reason
    assert "prometheus.ca_file" in (await refusal(says.url, ca_file=tmp_path / "gone.pem")).reason
    assert says.asked == []


@pytest.mark.parametrize(
    ("status", "body", "words", "state"),
    [
        (401, "<html>log in</html>", "status 401", SourceState.FORBIDDEN),
        (403, '{"status":"error","error":"no org id"}', "no org id", SourceState.FORBIDDEN),
        (404, "404 page not found", "status 404", SourceState.UNAVAILABLE),
        (302, "", "redirects to https://sso/login", SourceState.UNAVAILABLE),
        (422, '{"status":"error","error":"query processing would load too many samples"}', "too many samples", None),
        (429, "slow down", "slow down", None),
        (503, "Service Unavailable", "Service Unavailable", None),
        (200, "<!doctype html><title>Grafana</title>", "a web page", None),
        (200, "", "nothing", None),
        (200, "[1]", "no JSON object", None),
        (200, '{"status":"success","data":{"resultType":"streams","result":[]}}', "streams", None),
        (200, '{"status":"success","data":{"resultType":"vector","result":[7]}}', "no labels", None),
        (200, '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}', "pair", None),
        (200, '{"status":"success"}', "no vector or matrix", None),
        (200, "\\u001b[2J", "no JSON object", None),
    ],
)
async def test_other_answers_are_named(
    says: Says, status: int, body: str, words: str, state: SourceState | None
) -> None:
    says.status, says.body = status, body
    says.headers = {"Location": "https://sso/login"} if status == 302 else {"Retry-After": "7"}
    error = await refusal(says.url)
    assert words in error.reason
    assert error.state is (state or SourceState.UNAVAILABLE)
    assert error.reason.isprintable()
    if status == 429:
        assert error.retry_after_s == 7


async def test_a_reply_too_long_and_one_that_never_comes(says: Says) -> None:
    says.body = b" " * 2_000_000
    settings = Prometheus(url=says.url)
    with pytest.raises(HttpApiError, match="larger than 1 MiB"):
        async with PrometheusClient(settings, "infdiag", max_reply_bytes=2**20) as asked:
            await asked.query("up")
    says.hang = asyncio.Event()
    assert "does not answer within 0.1 s" in (await refusal(says.url, timeout_s=0.1)).reason


async def test_nobody_there() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        error = await refusal(f"http://127.0.0.1:{held.getsockname()[1]}")
    assert "cannot be reached" in error.reason


async def test_warnings_of_partial_data_are_kept(says: Says) -> None:
    says.body = json.dumps(
        {
            "status": "success",
            "data": {"resultType": "vector", "result": []},
            "warnings": ["store \x1b[31m10.0.0.1 timed out", *(["more"] * 50)],
        }
    )
    async with client(says.url) as asked:
        result = await asked.query("up")
    assert result.warnings[0].isprintable()
    assert "timed out" in result.warnings[0]
    assert len(result.warnings) == 5


@given(st.recursive(st.none() | st.floats() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)))
def test_any_json_is_a_result_or_unreadable(found: object) -> None:
    for data in (found, {"resultType": "matrix", "result": found}, {"resultType": "vector", "result": [found]}):
        try:
            result = read_result({"status": "success", "data": data, "warnings": found})
        except UnreadableError:
            continue
        assert all(math.isfinite(value) for one in result.series for _, value in one.points)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("up", 'up{job="a"}'),
        ("vllm:e2e_seconds", 'vllm:e2e_seconds{job="a"}'),
        ("", '{job="a"}'),
        ("odd.name", '{__name__="odd.name", job="a"}'),
    ],
)
def test_selectors(name: str, wanted: str) -> None:
    assert selector(name, {"job": "a"}) == wanted
    assert quoted('a"\\\n') == '"a\\"\\\\\\n"'
