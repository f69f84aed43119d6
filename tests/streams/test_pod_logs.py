from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from infdiag_tui.model import LogLine, Severity, SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.pod_logs import PodLogsStream
from tests.streams.kube.fake_api import FakeApi, pod
from tests.streams.kube.harness import served, watching


def stamp(second: int, nanos: int = 0) -> str:
    return f"2026-01-31T03:{second // 60:02d}:{second % 60:02d}.{nanos:09d}Z"


def restarted(name: str, restarts: int, ended: str, began: str) -> dict[str, Any]:
    raw = pod(name, restarts=restarts)
    status = raw["status"]["containerStatuses"][0]
    status["state"] = {"running": {"startedAt": began}}
    status["lastState"] = {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": ended}}
    return raw


async def test_lines_carry_source_time_and_severity(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log("a", "server", (stamp(1, 5), "INFO: ready"), (stamp(2), "ERROR: CUDA out of memory"))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: len(watched.of(LogLine)) == 2)
            first, second = watched.of(LogLine)
            assert (first.source, first.severity, first.previous) == ("ml/a/server", Severity.INFO, False)
            assert (second.text, second.severity) == ("ERROR: CUDA out of memory", Severity.ERROR)
            assert second.at == pytest.approx(1769828402.0)
            await watched.until_state(SourceState.LIVE, name="pod-logs")


async def test_a_traceback_over_a_cut_stays_one_entry(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log("a", "server", (stamp(1), "Traceback (most recent call last):"))
        await api.log("a", "server", (stamp(1), '  File "serve.py", line 3, in predict'))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: api.open_logs == 1)
            await api.cut("log")
            await api.log("a", "server", (stamp(1), "    x = 1 / 0"), (stamp(1), "ZeroDivisionError: division by zero"))
            await watched.until(lambda: any("ZeroDivisionError" in text for text in watched.texts()))
            assert all(line.severity is Severity.ERROR for line in watched.of(LogLine))
            assert "\n".join(watched.texts()).count("Traceback") == 1


async def test_cuts_neither_lose_nor_repeat_lines_also_with_equal_stamps(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        wanted = []
        async with watching(api, tmp_path, logs=True) as watched:
            for number in range(12):
                # Four lines to a stamp, two of them alike; one cut after each.
                text = f"line {number - number % 2}"
                wanted.append(text)
                await api.log("a", "server", (stamp(number // 4, 7), text))
                await watched.until(lambda: len(watched.texts()) == len(wanted))
                await api.cut("log")
            await api.log("a", "server", (stamp(9), "last"))
            await watched.until(lambda: "last" in watched.texts())
            assert watched.texts() == [*wanted, "last"]
            again = [asked for asked in api.asked if asked.resource == "pods/log" and "sinceTime" in asked.query]
            assert len(again) >= 12


async def test_a_killed_server_costs_no_line_and_repeats_none(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log("a", "server", *((stamp(1, number), f"before {number}") for number in range(5)))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: len(watched.texts()) == 5)
            await api.kill()
            await watched.until_state(SourceState.UNAVAILABLE, "connection refused", name="pod-logs")
            await api.log("a", "server", *((stamp(1, 5 + number), f"meanwhile {number}") for number in range(5)))
            await api.start()
            await watched.until(lambda: len(watched.texts()) == 10)
            await watched.until_state(SourceState.LIVE, name="pod-logs")
            assert watched.texts() == [f"before {n}" for n in range(5)] + [f"meanwhile {n}" for n in range(5)]


async def test_after_a_restart_the_missing_end_of_the_previous_run_is_read(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log("a", "server", (stamp(1), "one"), (stamp(2), "two"))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: len(watched.texts()) == 2)
            api.deny.add(("get", "pods/log"))  # nothing is read while the container dies
            await api.cut("log")
            await watched.until_state(SourceState.FORBIDDEN, name="pod-logs")
            await api.log("a", "server", (stamp(2), "dying"), (stamp(3), "dead"))
            await api.end_run("a", "server")
            await api.new_run("a", "server")
            await api.log("a", "server", (stamp(8), "born again"))
            await api.put_pod(restarted("a", 1, "2026-01-31T03:00:03Z", "2026-01-31T03:00:07Z"))
            api.deny.clear()
            await watched.until(lambda: len(watched.texts()) == 5)
            told = [(line.text, line.previous) for line in watched.of(LogLine)]
            assert sorted(told) == [
                ("born again", False),
                ("dead", True),
                ("dying", True),
                ("one", False),
                ("two", False),
            ]


async def test_a_run_followed_to_its_end_is_not_read_again(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log("a", "server", (stamp(1), "one"), (stamp(3), "dead"))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: len(watched.texts()) == 2)
            await api.new_run("a", "server")
            await api.log("a", "server", (stamp(8), "born again"))
            api.logs["a", "server"][-2].ended = True
            await api._notify()
            await watched.until(lambda: len(watched.texts()) == 3)  # before the restart is known
            await api.put_pod(restarted("a", 1, "2026-01-31T03:00:03Z", "2026-01-31T03:00:07Z"))
            await watched.until(lambda: any("previous" in asked.query for asked in api.asked))
            await api.log("a", "server", (stamp(9), "on it goes"))
            await watched.until(lambda: "on it goes" in watched.texts())
            assert watched.texts() == ["one", "dead", "born again", "on it goes"]
            assert not any(line.previous for line in watched.of(LogLine))
        assert sum("previous" in asked.query for asked in api.asked) == 1


async def test_a_restart_that_is_counted_before_the_new_run_begins_repeats_nothing(tmp_path: Path) -> None:
    began = ["2026-01-31T03:00:00Z", "2026-01-31T03:01:00Z", "2026-01-31T03:02:00Z"]
    async with served() as api:
        await api.put_pod(pod("a"))
        async with watching(api, tmp_path, logs=True) as watched:
            for run in range(3):
                await api.log("a", "server", *((stamp(60 * run + n), f"run {run} line {n}") for n in (0, 9, 40)))
                await watched.until(lambda run=run: len(watched.texts()) == 3 * (run + 1))  # type: ignore[misc]
                await api.end_run("a", "server")
                if run == 2:
                    break
                ended = f"2026-01-31T03:0{run}:41Z"
                between = restarted("a", run + 1, ended, began[run])
                died = {"startedAt": began[run], "finishedAt": ended, "exitCode": 137, "reason": "OOMKilled"}
                between["status"]["containerStatuses"][0]["state"] = {"terminated": died}
                await api.put_pod(between)
                asked = sum("previous" in one.query for one in api.asked)
                await watched.until(
                    lambda asked=asked: sum("previous" in one.query for one in api.asked) > asked  # type: ignore[misc]
                )
                await api.new_run("a", "server")
                await api.put_pod(restarted("a", run + 1, ended, began[run + 1]))
            assert watched.texts() == [f"run {run} line {n}" for run in range(3) for n in (0, 9, 40)]


async def test_a_pod_met_after_restarts_shows_how_its_previous_run_ended(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(restarted("a", 3, "2026-01-31T03:00:03Z", "2026-01-31T03:00:07Z"))
        await api.log("a", "server", (stamp(3), "RuntimeError: CUDA error"))
        await api.new_run("a", "server")
        await api.log("a", "server", (stamp(8), "loading"))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: len(watched.texts()) == 2)
            assert {(line.text, line.previous) for line in watched.of(LogLine)} == {
                ("RuntimeError: CUDA error", True),
                ("loading", False),
            }


async def test_a_container_that_waits_to_start_is_no_failure(tmp_path: Path) -> None:
    async with served() as api:
        api.log_waiting.add(("a", "server"))
        await api.put_pod(pod("a"))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: api.count("get", "pods/log") >= 3)
            assert watched.health("pod-logs").state is SourceState.LIVE
            api.log_waiting.clear()
            await api.log("a", "server", (stamp(1), "up"))
            await watched.until(lambda: watched.texts() == ["up"])


async def test_denied_logs_are_forbidden_with_the_missing_rule_until_allowed(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log("a", "server", (stamp(1), "secret of the pod"))
        api.deny.add(("get", "pods/log"))
        async with watching(api, tmp_path, logs=True) as watched:
            health = await watched.until_state(SourceState.FORBIDDEN, "not allowed to get pods/log", name="pod-logs")
            assert "kubectl auth can-i get pods --subresource=log --context lab -n ml" in health.remedy
            api.deny.clear()
            await watched.until(watched.texts)
            await watched.until_state(SourceState.LIVE, name="pod-logs")


async def test_one_unreadable_log_leaves_the_others_alone(tmp_path: Path) -> None:
    async with served() as api:
        for name in ("a", "b"):
            await api.put_pod(pod(name))
            await api.log(name, "server", (stamp(1), f"from {name}"))
        api.log_errors["a", "server"] = 500
        async with watching(api, tmp_path, logs=True) as watched:
            health = await watched.until_state(
                SourceState.DEGRADED, "the logs of 1 containers can't be read; ml/a/server", name="pod-logs"
            )
            assert "i/o timeout" in health.reason
            await watched.until(lambda: watched.texts() == ["from b"])
            api.log_errors.clear()
            await watched.until(lambda: sorted(watched.texts()) == ["from a", "from b"])
            await watched.until_state(SourceState.LIVE, name="pod-logs")


async def test_pods_that_come_are_followed_from_their_first_line_and_pods_that_go_are_let_go(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log("a", "server", *((stamp(n), f"a{n}") for n in range(9)))
        async with watching(api, tmp_path, logs=True, backlog_lines=2) as watched:
            await watched.until(lambda: watched.texts() == ["a7", "a8"])
            await api.log("b", "server", *((stamp(n), f"b{n}") for n in range(9)))
            await api.put_pod(pod("b"))
            await watched.until(lambda: len(watched.texts()) == 11)
            await api.delete_pod("a")
            await api.log("a", "server", (stamp(20), "last words"))
            await api.end_run("a", "server")
            await watched.until(lambda: "last words" in watched.texts())
            await watched.until(lambda: api.open_logs == 1)


async def test_no_more_than_the_cap_are_followed_and_the_rest_is_counted(tmp_path: Path) -> None:
    async with served() as api:
        for number in range(5):
            await api.put_pod(pod(f"p{number}"))
        api.pods["p4"]["status"]["containerStatuses"][0]["ready"] = False
        async with watching(api, tmp_path, logs=True, max_followed=3) as watched:
            health = await watched.until_state(
                SourceState.DEGRADED, "the logs of 2 of 5 containers are not followed", name="pod-logs"
            )
            assert "narrow kubernetes.selector" in health.remedy
            await watched.until(lambda: api.open_logs == 3)
            assert ("p4", "server") in api.logs  # in trouble, so it is among the followed
            for name in ("p4", "p0"):
                await api.end_run(name, "server")
                await api.delete_pod(name)
            await watched.until_state(SourceState.LIVE, name="pod-logs")
            await watched.until(lambda: api.open_logs == 3)


async def test_a_failed_init_container_is_read_too(tmp_path: Path) -> None:
    async with served() as api:
        raw = pod("a")
        raw["spec"]["initContainers"] = [{"name": "fetch"}, {"name": "fine"}]
        failed = {"terminated": {"exitCode": 1, "reason": "Error"}}
        done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        raw["status"]["initContainerStatuses"] = [
            {"name": "fetch", "state": failed, "restartCount": 0},
            {"name": "fine", "state": done, "restartCount": 0},
        ]
        await api.log("a", "fetch", (stamp(1), "403 from the model store"))
        await api.log("a", "fine", (stamp(1), "all well"))
        await api.put_pod(raw)
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: [line.source for line in watched.of(LogLine)] == ["ml/a/fetch"])
            await watched.until(lambda: ("a", "server") in api.logs)
            assert watched.texts() == ["403 from the model store"]


async def test_untrusted_bytes_and_a_line_of_ten_megabytes_are_made_harmless(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log(
            "a", "server", (stamp(1), "\x1b[31mred\x1b[0m [bold]"), (stamp(2), "x" * 10_000_000), (stamp(3), "after")
        )
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: "after" in watched.texts(), deadline_s=20)
            first, long, _ = watched.of(LogLine)
            assert first.text == "red [bold]"
            assert len(long.text) + long.cut_bytes == 10_000_000
            assert len(long.text) < 20_000


async def test_a_flood_arrives_whole_while_the_reader_is_slow(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        lines = [(stamp(n // 1000, n % 1000), f"INFO line {n}") for n in range(20_000)]
        await api.log("a", "server", *lines)
        async with watching(api, tmp_path, logs=True, backlog_lines=100_000) as watched:
            await watched.until(lambda: len(watched.texts()) > 3000, deadline_s=20)
            await api.cut("log")
            await watched.until(lambda: len(watched.texts()) >= 20_000, deadline_s=20)
            assert watched.texts() == [text for _, text in lines]


async def test_a_flapping_server_neither_loses_nor_repeats(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        number = 0

        async def write(api: FakeApi) -> None:
            nonlocal number
            while number < 300:
                await api.log("a", "server", (stamp(number // 50, number % 7), f"INFO {number}"))
                number += 1
                await asyncio.sleep(0.002)

        async with watching(api, tmp_path, logs=True) as watched:
            writer = asyncio.create_task(write(api))
            for _ in range(4):
                seen = number
                await watched.until(lambda seen=seen: number > min(seen + 30, 299))  # type: ignore[misc]
                await api.kill()
                await api.start()
            await writer
            wanted = [f"INFO {n}" for n in range(300)]
            with contextlib.suppress(AssertionError):
                await watched.until(lambda: len(watched.texts()) >= 300, deadline_s=20.0)
            assert watched.texts() == wanted


async def test_a_follower_cancelled_before_its_first_step_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assign = PodLogsStream._assign
    broken: list[bool] = []

    def break_off(self: PodLogsStream, *given: Any) -> int:
        left_out = assign(self, *given)
        if self._tasks and not broken:
            broken.append(True)
            raise SourceError("the API server is gone", remedy="wait")
        return left_out

    monkeypatch.setattr(PodLogsStream, "_assign", break_off)
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.log("a", "server", (stamp(1), "one"), (stamp(2), "two"))
        async with watching(api, tmp_path, logs=True) as watched:
            await watched.until(lambda: watched.texts() == ["one", "two"])
    assert broken
