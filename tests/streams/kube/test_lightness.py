"""What the API server has to bear: how often it is asked, by whom, and that it is left alone when it says so."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Kubernetes
from infdiag_tui.model import Pod, PodUsage, SourceState
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import Access, ApiError
from infdiag_tui.streams.kube.pace import Pace
from infdiag_tui.streams.kube.requests import RequestCount, RequestRate
from infdiag_tui.streams.kube.throttle import Throttle
from tests.streams.kube.fake_api import pod, usage
from tests.streams.kube.harness import HURRIED, kubeconfig, served, watching
from tests.support import FakeClock

PODS, METRICS = Access("list", "pods", "ml"), Access("list", "pods", "ml", "metrics.k8s.io")


async def test_one_watch_per_kind_whatever_reads_it_and_every_request_counted_and_signed(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.metrics = [usage("a")]
        await api.log("a", "server", ("2026-01-31T03:00:00Z", "hello"))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: "hello" in watched.texts() and watched.of(PodUsage))
            await watched.until(lambda: api.open_watches == 2)
            assert (api.count("watch", "pods"), api.count("watch", "events")) == (1, 1)
            assert {asked.agent for asked in api.asked} == {"infdiag-test"}
            sent = {(rate.verb, rate.resource): rate.total for rate in watched.client.requests.rates(0.0)}
            # The fake counts nodes and their figures as one kind and calls the pods' figures by another name.
            came = Counter((asked.verb, asked.resource) for asked in api.asked if asked.resource != "nodes")
            assert sent["watch", "pods"] == came["watch", "pods"]
            assert sent["get", "pods/log"] == came["get", "pods/log"]
            assert abs(sent["list", "pods.metrics.k8s.io"] - came["list", "metrics"]) <= 1  # one may be on its way


async def test_a_429_for_one_thing_holds_back_every_request_of_this_user(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.metrics = [usage("a")]
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: watched.of(PodUsage))
            api.answers["list", "metrics"].append((429, {"Retry-After": "1"}))
            await watched.until(lambda: not api.answers["list", "metrics"])
            refused = max(asked.at for asked in api.asked if asked.resource == "metrics")
            before = len(api.asked)
            await watched.until(lambda: len([one for one in api.asked[before:] if one.at > refused + 0.2]) > 3)
            # One that was already under way when the refusal came is forgiven; the others waited.
            assert not [one for one in api.asked if refused + 0.2 < one.at < refused + 0.99]
            await api.put_pod(pod("b"))
            await watched.until(lambda: "ml/b" in watched.table.current())


async def test_who_measures_time_is_refused_at_once_instead_of_held_back(tmp_path: Path) -> None:
    async with served() as api:
        (tmp_path / "config").write_text(kubeconfig(api.port))
        client = KubeClient(Kubernetes(kubeconfig=tmp_path / "config"), SystemClock(), "t")
        api.answers["list", "pods"].append((429, {"Retry-After": "60"}))

        async def send(_: object) -> None:
            raise AssertionError("was sent")

        async with client.connected():
            with pytest.raises(ApiError, match="HTTP 429"):
                await client.get("/api/v1/namespaces/ml/pods", {}, PODS)
            with pytest.raises(ApiError, match=r"asks to slow down .* next try in (60|59)"):
                await client.answered(send, Access("create", "services/proxy", "ml"), patient=False)
        assert client.requests.total == 1


async def test_what_fails_is_asked_ever_more_rarely_and_the_rest_as_before(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.metrics_status = 503
        pace = dataclasses.replace(HURRIED, backoff_first_s=0.1)
        async with watching(api, tmp_path, pace=pace) as watched:
            await watched.until(lambda: api.count("list", "metrics") == 5)
            times = [asked.at for asked in api.asked if asked.resource == "metrics"]
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            assert all(gap >= 0.1 * 2**number for number, gap in enumerate(gaps)), gaps
            lists = [one.at for one in api.asked if (one.verb, one.resource) == ("list", "pods")]
            assert len([at for at in lists if at > times[-2]]) >= 2  # the pulse went on meanwhile
            api.metrics = [usage("a")]
            await watched.until_state(SourceState.LIVE)


async def test_gone_and_back_with_other_credentials_a_full_queue_and_other_pods(tmp_path: Path) -> None:
    async with served() as api:
        (tmp_path / "token").write_text("first")
        api.tokens = {"first"}
        config = kubeconfig(api.port, user="{tokenFile: token}")
        for name in ("a", "b", "c"):
            await api.put_pod(pod(name))
        async with watching(api, tmp_path, config=config) as watched:
            await watched.until(lambda: api.open_watches == 2)
            await api.kill()
            await watched.until_state(SourceState.UNAVAILABLE, "connection refused")
            await api.put_pod(pod("b", restarts=1))
            await api.delete_pod("c")
            await api.put_pod(pod("d"))
            api.compact()
            api.tokens = {"second"}
            (tmp_path / "token").write_text("second")
            api.answers["list", "pods"].append((429, {"Retry-After": "0"}))
            await api.start()
            await watched.until(lambda: set(watched.table.current()) == {"ml/a", "ml/b", "ml/d"})
            await watched.until(lambda: api.open_watches == 2)
            assert [(one.name, one.restart_count) for one in watched.of(Pod)] == [
                ("a", 0),
                ("b", 0),
                ("c", 0),
                ("b", 1),
                ("d", 0),
            ]


def test_a_refusal_without_retry_after_doubles_the_pause_and_an_answer_ends_that() -> None:
    clock = FakeClock()
    throttle = Throttle(clock, Pace(backoff_first_s=0.5, backoff_most_s=3.0))
    pauses = []
    for _ in range(5):
        throttle.refused(PODS, 500, None)
        pauses.append(throttle.wait_s(PODS))
        assert throttle.wait_s(METRICS) == 0.0
        clock.advance(pauses[-1])
    assert pauses == [0.5, 1.0, 2.0, 3.0, 3.0]
    throttle.answered(PODS)
    throttle.refused(PODS, 503, None)
    assert throttle.wait_s(PODS) == 0.5


def test_what_does_not_mean_later_holds_nothing_back() -> None:
    throttle = Throttle(FakeClock(), Pace())
    for status in (400, 401, 403, 404, 410):
        throttle.refused(PODS, status, 7.0)
    throttle.refused(Access("get", "pods/log", "ml"), 500, None)  # a kubelet's failure, not the server's
    assert throttle.wait_s(PODS) == throttle.wait_s(Access("get", "pods/log", "ml")) == 0.0


@given(retry_after_s=st.floats(min_value=0.0, allow_nan=False, allow_infinity=False))
def test_a_retry_after_is_obeyed_but_never_without_end(retry_after_s: float) -> None:
    throttle = Throttle(FakeClock(), Pace())
    throttle.refused(PODS, 429, retry_after_s)
    assert min(retry_after_s, 120.0) <= throttle.wait_s(METRICS) + 1e-9 <= 120.0 + 1e-6


def test_requests_are_counted_in_all_and_over_the_last_minute() -> None:
    count = RequestCount()
    for second in range(100):
        count.note(PODS, 1000.0 + second)
    count.note(METRICS, 1099.5)
    assert count.total == 101
    assert count.rates(1100.0) == (
        RequestRate("list", "pods", 100, 59),
        RequestRate("list", "pods.metrics.k8s.io", 1, 1),
    )
    assert count.rates(9999.0)[0].last_minute == 0
