"""The server's own metrics over real sockets: found, differenced, told by replica and together, failures in words."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator

import pytest

from infdiag_tui.config import Endpoint, Kubernetes, ModelConfig
from infdiag_tui.model import Sample, SeriesKey, SourceState
from infdiag_tui.streams import server_metrics, server_pages, server_watch
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.registry import build_streams
from infdiag_tui.streams.server_metrics import build
from infdiag_tui.streams.server_pages import metrics_in
from tests.servers.texts import SAMPLES, UNKNOWN, VLLM
from tests.streams.metrics_server import MetricsServer, Pods, pod, served, watching


@pytest.fixture(autouse=True)
def looks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watch, "LOOK_AGAIN_S", 0.2)
    monkeypatch.setattr(server_metrics, "PODS_AGAIN_S", 0.3)


def alternating(turns: Iterator[Callable[[], str]]) -> Callable[[], str]:
    """A page that each process in its turn answers."""

    def page() -> str:
        return next(turns)()

    return page


def endpoint(server: MetricsServer, path: str = "/predict") -> Endpoint:
    return Endpoint(url=f"{server.base}{path}")


def counting(ms: float = 20.0, per_scrape: int = 10, start: float | None = 1.0e9) -> Callable[[], str]:
    """A page whose requests go on from scrape to scrape, each of `ms`."""
    numbers = itertools.count(1)

    def page() -> str:
        n = next(numbers) * per_scrape
        return (
            ("" if start is None else f"process_start_time_seconds {start}\n")
            + f"# TYPE app_http_requests_total counter\n"
            f'app_http_requests_total{{route="/predict",status="200"}} {n}\n'
            f"# TYPE app_request_duration_seconds histogram\n"
            f'app_request_duration_seconds_sum{{route="/predict"}} {n * ms / 1000}\n'
            f'app_request_duration_seconds_count{{route="/predict"}} {n}\n'
        )

    return page


async def test_an_endpoints_metrics_become_series_of_it_and_of_the_whole() -> None:
    async with served() as server:
        server.pages["/metrics"] = counting()
        async with watching(endpoint(server)) as watched:
            await watched.until(lambda: len(watched.values("server.request_ms")) >= 3)
            assert watched.last("server.request_ms") == pytest.approx(20)
            assert watched.last("server.request_ms", f"127.0.0.1:{server.port}") == pytest.approx(20)
            told = [
                one for one in watched.told if isinstance(one, Sample) and one.key == SeriesKey("server.request_rate")
            ]
            counted = [now.value * (now.at - before.at) for before, now in itertools.pairwise(told)]
            assert counted == [pytest.approx(10, rel=0.05)] * len(counted)
            assert watched.health.state is SourceState.LIVE


@pytest.mark.parametrize("sample", ["triton-metrics.txt", "mlserver-metrics.txt", "kserve-metrics.txt"])
async def test_recorded_pages_that_stand_still_are_live_with_a_rate_of_nothing(sample: str) -> None:
    async with served() as server:
        server.pages["/metrics"] = (SAMPLES / sample).read_text()
        async with watching(urls=[f"{server.base}/metrics"]) as watched:
            if sample == "kserve-metrics.txt":  # counts nothing but stages, and there was none
                await watched.until(lambda: server.asked.count("/metrics") > 3)
            else:
                await watched.until(lambda: watched.last("server.request_rate") == 0)
            await watched.until_state(SourceState.LIVE)
            assert watched.last("server.request_ms") is None


async def test_tritons_statistics_are_read_where_they_are_offered() -> None:
    import json

    recorded = json.loads((SAMPLES / "triton-stats.json").read_text())
    numbers = itertools.count()

    def stats() -> str:
        step = next(numbers) * 10
        model = recorded["model_stats"][0]
        inner = {
            kind: {"count": of["count"] + step, "ns": of["ns"] + step * 5_000_000}
            for kind, of in model["inference_stats"].items()
        }
        return json.dumps({"model_stats": [{**model, "inference_stats": inner}]})

    async with served() as server:
        server.pages["/v2/models/tiny/stats"] = stats
        async with watching(endpoint(server, "/v2/models/tiny/infer")) as watched:
            await watched.until(lambda: watched.last("stages.inference_ms") is not None)
            assert watched.last("stages.inference_ms") == pytest.approx(5)
            assert watched.last("stages.queue_ms") == pytest.approx(5)


async def test_every_ready_replica_is_a_series_and_one_that_goes_leaves_the_whole() -> None:
    async with served("127.0.0.2") as one, served("127.0.0.3") as other:
        one.pages["/metrics"], other.pages["/metrics"] = counting(20), counting(200)
        roster = Pods(
            pod("a", "127.0.0.2", one.port), pod("b", "127.0.0.3", other.port), pod("c", "127.0.0.4", 1, ready=False)
        )
        async with watching(Endpoint(url=f"http://127.0.0.1:{one.port}/predict"), roster) as watched:
            await watched.until(lambda: {"ml/a", "ml/b"} <= watched.entities())
            assert watched.last("server.request_ms", "ml/a") == pytest.approx(20)
            assert watched.last("server.request_ms", "ml/b") == pytest.approx(200)
            await watched.until(lambda: 100 < (watched.last("server.request_ms") or 0) < 130, "both together")
            del roster.pods["ml/b"]
            await watched.until(lambda: watched.last("server.request_ms") == pytest.approx(20), "one alone")
            assert watched.entities() == {"", "ml/a", "ml/b"}, "no pod that is not ready, no endpoint beside the pods"


async def test_a_replica_that_stops_answering_is_named_and_the_others_go_on() -> None:
    async with served("127.0.0.2") as one, served("127.0.0.3") as other:
        one.pages["/metrics"], other.pages["/metrics"] = counting(), counting()
        roster = Pods(pod("a", "127.0.0.2", one.port), pod("b", "127.0.0.3", other.port))
        async with watching(None, roster) as watched:
            await watched.until(lambda: {"ml/a", "ml/b"} <= watched.entities())
            del other.pages["/metrics"]
            health = await watched.until_state(SourceState.DEGRADED, "1 of 2 replicas give no metrics: ml/b")
            assert "status 404" in health.reason
            before = len(watched.values("server.request_ms", "ml/a"))
            await watched.until(lambda: len(watched.values("server.request_ms", "ml/a")) > before)
            other.pages["/metrics"] = counting()
            await watched.until_state(SourceState.LIVE)


async def test_counters_that_begin_anew_give_no_wild_figures() -> None:
    async with served() as server:
        server.pages["/metrics"] = counting(20)
        async with watching(endpoint(server)) as watched:
            await watched.until(lambda: len(watched.values("server.request_rate")) >= 3)
            server.pages["/metrics"] = counting(80)
            await watched.until(lambda: watched.last("server.request_ms") == pytest.approx(80))
            assert min(watched.values("server.request_rate")) >= 0
            # No interval mixes the two: the time of one process was never set against the count of the other.
            assert all(ms == pytest.approx(20) or ms == pytest.approx(80) for ms in watched.values("server.request_ms"))
            assert watched.health.state is SourceState.LIVE


async def test_processes_in_turn_that_cannot_be_told_apart_give_nothing_and_it_says_so() -> None:
    turns = itertools.cycle([counting(per_scrape=1000, start=None), counting(per_scrape=1, start=None)])
    async with served() as server:
        server.pages["/metrics"] = alternating(turns)
        async with watching(urls=[f"{server.base}/metrics"]) as watched:
            await watched.until_state(SourceState.UNAVAILABLE, "several processes answer in turn")
            assert not watched.values("server.request_rate")


async def test_processes_that_take_turns_at_one_address_are_told_apart() -> None:
    pages = [counting(20, start=1.0), counting(200, start=2.0)]
    turns = itertools.cycle(pages)
    async with served() as server:
        server.pages["/metrics"] = alternating(turns)
        async with watching(endpoint(server)) as watched:
            await watched.until(lambda: len(watched.entities()) == 3)
            named = sorted(watched.entities() - {""})
            assert all(name.startswith(f"127.0.0.1:{server.port} process") for name in named)
            found = {round(watched.last("server.request_ms", name) or 0) for name in named}
            assert found == {20, 200}


async def test_a_server_without_metrics_switches_the_source_off_and_says_why() -> None:
    async with served() as server, watching(endpoint(server)) as watched:
        health = await watched.until_state(SourceState.OFF)
        assert f"{server.base}/metrics answers with status 404" in health.reason
        assert "metrics.urls" in health.remedy
        server.pages["/metrics"] = counting()
        await watched.until_state(SourceState.LIVE)


async def test_a_place_that_was_named_and_gives_nothing_is_a_fault() -> None:
    async with served() as server:
        server.pages["/metrics"] = "<!doctype html>\n<html>\n<p>hello 1\n</html>\n"
        async with watching(urls=[f"{server.base}/metrics"]) as watched:
            health = await watched.until_state(SourceState.UNAVAILABLE, "answers something that is no metrics text")
            assert "metrics.urls" in health.remedy


async def test_metrics_that_tell_nothing_known_say_how_to_name_them() -> None:
    async with served() as server:
        server.pages["/metrics"] = "# TYPE my_thing gauge\nmy_thing 4\n# TYPE my_other gauge\nmy_other 5\n"
        async with watching(endpoint(server)) as watched:
            health = await watched.until_state(SourceState.OFF, "tells nothing of requests that infdiag knows")
            assert "metrics.names" in health.remedy
        async with watching(endpoint(server), names={"queue_depth": "my_thing"}) as watched:
            await watched.until(lambda: watched.last("server.queue_depth") == 4)


async def test_a_server_that_is_not_there_is_a_fault() -> None:
    async with served() as server:
        port = server.port
    async with watching(Endpoint(url=f"http://127.0.0.1:{port}/predict")) as watched:
        await watched.until_state(SourceState.UNAVAILABLE, "cannot be reached")


async def test_a_page_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_pages, "TIMEOUT_S", 0.3)
    async with served() as server:
        server.pages["/metrics"] = counting()
        async with watching(urls=[f"{server.base}/metrics"]) as watched:
            await watched.until(lambda: watched.values("server.request_ms"))
            server.hang = asyncio.Event()
            await watched.until_state(SourceState.UNAVAILABLE, "does not answer within 0.3 s")
            server.hang.set()
            server.hang = None
            await watched.until_state(SourceState.LIVE)


async def test_a_page_of_many_megabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_pages, "MAX_PAGE_BYTES", 10_000)
    async with served() as server:
        server.pages["/metrics"] = "a 1\n" * 10_000
        async with watching(urls=[f"{server.base}/metrics"]) as watched:
            await watched.until_state(SourceState.UNAVAILABLE, "is larger than")


async def test_redirects_are_followed_within_the_server_and_credentials_stay_there() -> None:
    async with served() as server, served("127.0.0.2") as stranger:
        server.pages["/metrics/"] = counting()
        server.redirects["/metrics"] = "/metrics/"
        target = Endpoint(url=f"{server.base}/predict", headers={"X-Token": "s3cret"})
        async with watching(target) as watched:
            await watched.until(lambda: watched.values("server.request_ms"))
        assert all(headers.get("x-token") == "s3cret" for headers in server.headers)
        stranger.pages["/metrics"] = counting()
        server.redirects["/metrics"] = f"{stranger.base.replace('127.0.0.1', '127.0.0.2')}/metrics"
        async with watching(target) as watched:
            await watched.until_state(SourceState.OFF)
        assert not stranger.asked
        url = f"http://127.0.0.2:{stranger.port}/metrics"
        async with watching(target, urls=[url], headers={"X-Own": "mine"}) as watched:
            await watched.until(lambda: watched.values("server.request_ms"))
        assert all("x-token" not in headers and headers["x-own"] == "mine" for headers in stranger.headers)


async def test_where_a_pod_says_that_its_metrics_are_is_where_they_are_read() -> None:
    async with served("127.0.0.2") as server:
        server.pages["/stats/prom"] = counting()
        roster = Pods(pod("a", "127.0.0.2", 1, metrics_at=f":{server.port}/stats/prom"))
        async with watching(None, roster) as watched:
            await watched.until(lambda: "ml/a" in watched.entities())
        assert set(server.asked) == {"/stats/prom"}


async def test_pods_out_of_reach_are_asked_now_and_then_and_the_endpoint_instead() -> None:
    async with served() as server, served("127.0.0.5") as gone:
        silent = gone.port
    async with served() as server:
        server.pages["/metrics"] = counting()
        roster = Pods(*(pod(f"p{n}", "127.0.0.5", silent) for n in range(50)))
        async with watching(endpoint(server), roster) as watched:
            await watched.until(lambda: watched.values("server.request_ms"))
            assert watched.entities() == {"", f"127.0.0.1:{server.port}"}
        async with watching(None, roster) as watched:
            health = await watched.until_state(SourceState.OFF, "cannot be reached")
            assert "metrics.urls" in health.remedy


async def test_a_new_replicas_first_requests_are_counted_from_nothing() -> None:
    quiet = "process_start_time_seconds 5\n# TYPE process_open_fds gauge\nprocess_open_fds 9\n"
    async with served("127.0.0.2") as server:
        server.pages["/metrics"] = quiet
        async with watching(None, Pods(pod("a", "127.0.0.2", server.port))) as watched:
            await watched.until(lambda: server.asked.count("/metrics") >= 3)
            server.pages["/metrics"] = counting(50, start=5.0)
            await watched.until(lambda: watched.values("server.request_ms", "ml/a"))
            assert watched.values("server.request_ms", "ml/a")[0] == pytest.approx(50)


@pytest.mark.parametrize("text", [VLLM, UNKNOWN])
async def test_gauges_are_told_at_once(text: str) -> None:
    async with served() as server:
        server.pages["/metrics"] = text
        async with watching(endpoint(server)) as watched:
            await watched.until(lambda: watched.last("server.queue_depth") is not None)
            assert watched.last("server.queue_depth") == (7 if text is VLLM else 3)


def test_it_is_built_only_where_there_is_something_to_ask() -> None:
    assert not build(ModelConfig(), StreamContext())
    off = ModelConfig.model_validate({"endpoint": {"url": "http://m/p"}, "metrics": {"enabled": False}})
    assert not build(off, StreamContext())
    on = ModelConfig.model_validate({"endpoint": {"url": "http://m/p"}})
    (stream,) = build(on, StreamContext())
    assert stream.name == "server_metrics"


def test_the_clusters_pods_are_its_roster() -> None:
    context = StreamContext()
    streams = build_streams(ModelConfig(kubernetes=Kubernetes(selector="app=m")), context)
    assert context.roster is not None
    (stream,) = [one for one in streams if one.name == "server_metrics"]
    assert isinstance(stream, server_metrics.ServerMetricsStream)
    assert stream._roster is context.roster


@pytest.mark.parametrize(
    ("body", "is_metrics"),
    [
        (b"a 1\n", True),
        (b"<html>\nx 1\ny 2 3 z\n</html>\n", False),
        (b"", False),
        (b'{"model_stats": []}', True),
        (b'{"error": "no"}', False),
        (b"{broken", False),
        (b"\xff\xfe\x00", False),
    ],
)
def test_what_is_metrics_text_and_what_is_not(body: bytes, is_metrics: bool) -> None:
    assert (metrics_in(body) is not None) is is_metrics
