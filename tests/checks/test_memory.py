from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from checks.base import CheckError
from checks.memory import CHECK, MemoryParams
from checks.memory_parts.python_lines import grown
from checks.running import run_check
from infdiag_tui.model import CheckResult, CheckStatus, Verdict
from infdiag_tui.stats.growth import Growth, Series, judge
from tests.checks.beside import Beside
from tests.checks.stage_servers import context_for
from tests.support import eventually

MIB = 2**20


def series(used_mib: list[float], limit_mib: float | None = None) -> Series:
    at = tuple(10.0 * index for index in range(len(used_mib)))
    limit = None if limit_mib is None else limit_mib * MIB
    return Series("process", at, tuple(mib * MIB for mib in used_mib), limit, "limit" if limit else "")


def noisy(values: list[float], amplitude: float = 1.0) -> list[float]:
    source = random.Random(7)
    return [value + source.uniform(-amplitude, amplitude) for value in values]


def test_a_leak_is_told_with_its_pace_and_the_time_that_is_left() -> None:
    found = judge(series(noisy([500 + 2.0 * i for i in range(60)]), limit_mib=1000))
    assert found.growth is Growth.LEAK
    assert found.slope is not None
    assert found.slope.slope == pytest.approx(0.2 * MIB, rel=0.1)
    assert found.slope.low <= found.slope.slope <= found.slope.high
    assert found.time_to_limit_s == pytest.approx((1000 - 618) / 0.2, rel=0.1)
    assert found.soonest_s is not None
    assert found.latest_s is not None
    assert found.time_to_limit_s is not None
    assert found.soonest_s < found.time_to_limit_s < found.latest_s


@pytest.mark.parametrize(
    ("used", "growth"),
    [
        ([500 + 400 * (1 - math.exp(-i / 6)) for i in range(60)], Growth.WARM_UP),
        ([500.0] * 40 + [700.0] * 40, Growth.STEADY),
        ([500 + 10.0 * (i % 15) for i in range(70)], Growth.SAWTOOTH),
        ([500.0] * 60, Growth.STEADY),
        ([900 - 2.0 * i for i in range(60)], Growth.STEADY),
        ([500 + 0.001 * i for i in range(60)], Growth.STEADY),
        ([500 + 10.0 * (i % 15) + 3.0 * i for i in range(90)], Growth.LEAK),
        ([500.0, 600.0], Growth.TOO_SHORT),
        ([500.0], Growth.TOO_SHORT),
    ],
    ids=["warm-up", "step", "sawtooth", "constant", "falling", "tiny", "rising sawtooth", "two", "one"],
)
def test_what_looks_like_growth_is_told_apart(used: list[float], growth: Growth) -> None:
    assert judge(series(used)).growth is growth


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_leak(seed: int) -> None:
    source = random.Random(seed)
    assert judge(series([500 + source.gauss(0, 5) for _ in range(80)])).growth is not Growth.LEAK


def test_equal_times_are_too_short_and_the_limit_may_be_passed_already() -> None:
    flat = replace(series([1.0] * 20), at_s=(1.0,) * 20)
    assert judge(flat).growth is Growth.TOO_SHORT
    passed = judge(series([500 + 2.0 * i for i in range(60)], limit_mib=400))
    assert passed.time_to_limit_s == 0


LEAKY = "import time\nkept = []\nwhile True:\n    kept.append(b'x' * 1_000_000)\n    time.sleep(0.02)\n"
CALM = "import time\nkept = b'x' * 50_000_000\nprint('ready', flush=True)\ntime.sleep(600)\n"


@contextlib.asynccontextmanager
async def child(code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def watch(folder: Path, **params: Any) -> CheckResult:
    async with context_for(folder) as context:
        return await run_check(CHECK, MemoryParams(**{"duration_s": 2.0, "interval_s": 0.05, **params}), context)


async def test_a_leaking_process_is_caught(tmp_path: Path) -> None:
    async with child(LEAKY) as process:
        result = await watch(tmp_path, pid=process.pid, limit_bytes=100e9)
    assert result.status is CheckStatus.FAIL, result.summary
    evidence = {item.id: item for item in result.evidence}
    assert evidence["memory.leak"].value is True
    slope = evidence["memory.slope"].value
    assert isinstance(slope, float)
    assert slope > 1_000_000
    assert evidence["memory.time_to_limit"].verdict is Verdict.FAIL
    assert "leaks" in result.summary
    assert len(json.loads(Path(result.artifacts[0]).read_text())["points"]) == 1


async def test_a_process_that_does_not_leak_is_ok(tmp_path: Path) -> None:
    async with child(CALM) as process:
        assert process.stdout is not None
        await process.stdout.readline()
        result = await watch(tmp_path, pid=process.pid)
    assert result.status is CheckStatus.OK, result.summary
    assert {item.id: item.value for item in result.evidence}["memory.leak"] is False


async def test_a_process_that_ends_is_judged_by_what_was_read_and_the_end_is_told(tmp_path: Path) -> None:
    async with child(CALM) as process:
        task = asyncio.create_task(watch(tmp_path, pid=process.pid, duration_s=3.0))
        await asyncio.wait([task], timeout=0.3)
        process.kill()
        result = await task
    assert any("ended while it was watched" in note for note in result.result["notes"])


async def test_a_missing_process_is_an_error_in_words(tmp_path: Path) -> None:
    async with child("pass") as process:
        await process.wait()
        result = await watch(tmp_path, pid=process.pid)
    assert result.status is CheckStatus.ERROR
    assert "--pid" in result.summary
    result = await watch(tmp_path, process="no-such-process-here")
    assert "no process named" in result.summary


async def test_cancelling_stops_at_once(tmp_path: Path) -> None:
    async with child(CALM) as process:
        task = asyncio.create_task(watch(tmp_path, pid=process.pid, duration_s=3600, interval_s=600))
        await asyncio.wait([task], timeout=0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_nothing_to_watch_says_what_gives_it(tmp_path: Path) -> None:
    result = await watch(tmp_path)
    assert result.status is CheckStatus.SKIPPED
    assert "--pid" in result.summary
    result = await watch(tmp_path, pid=1, allocated_metric="a")
    assert "--reserved-metric" in result.summary
    result = await watch(tmp_path, in_pod=True)
    assert "kubernetes.selector" in result.summary


@contextlib.asynccontextmanager
async def metrics_server(leak_bytes: float) -> AsyncIterator[str]:
    """Metrics of a server, an exporter and a tracemalloc hook; all grow by `leak_bytes` with each scrape."""
    scrapes = 0

    async def metrics(request: web.Request) -> web.Response:
        nonlocal scrapes
        scrapes += 1
        used = 500 * MIB + leak_bytes * scrapes
        return web.Response(
            text=f"process_resident_memory_bytes {used}\n"
            f"torch_allocated {600 * MIB}\ntorch_reserved {1000 * MIB}\n"
            f'DCGM_FI_DEV_FB_USED{{gpu="0",UUID="GPU-a"}} {used / MIB}\n'
            f'DCGM_FI_DEV_FB_FREE{{gpu="0",UUID="GPU-a"}} {2000 - used / MIB}\n'
            'DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-b"} 100\nDCGM_FI_DEV_FB_FREE{gpu="1",UUID="GPU-b"} 900\n',
        )

    async def lines(request: web.Request) -> web.Response:
        rows = [{"file": f"f{i}.py", "line": i, "size": 1000 + scrapes * i, "count": 1} for i in range(30)]
        return web.json_response(rows)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/debug/tracemalloc", lines)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def watch_server(folder: Path, leak_bytes: float, **params: Any) -> CheckResult:
    async with metrics_server(leak_bytes) as base, context_for(folder, f"{base}/predict") as context:
        given = {key: value.format(base=base) if isinstance(value, str) else value for key, value in params.items()}
        return await run_check(CHECK, MemoryParams(**{"duration_s": 1.0, "interval_s": 0.03, **given}), context)


async def test_a_servers_metrics_show_the_leak_and_the_lines_that_grow(tmp_path: Path) -> None:
    result = await watch_server(tmp_path, 1 * MIB, tracemalloc_url="{base}/debug/tracemalloc")
    assert result.status is CheckStatus.WARN, result.summary
    assert "process_resident_memory_bytes leaks" in result.summary
    assert "f29.py:29" in result.summary
    assert len(result.result["lines"]) == 10


async def test_each_gpu_is_judged_by_itself(tmp_path: Path) -> None:
    result = await watch_server(tmp_path, 1 * MIB, dcgm_url="{base}/metrics", duration_s=1.5)
    growth = {item["subject"]: item["growth"] for item in result.result["series"]}
    assert growth == {"GPU 0": "leak", "GPU 1": "steady"}
    limits = {item["subject"]: item["limit_bytes"] for item in result.result["series"]}
    assert limits == {"GPU 0": pytest.approx(2000 * MIB), "GPU 1": 1000 * MIB}
    assert {item.subject for item in result.evidence if item.id == "memory.leak"} == {"GPU 0", "GPU 1"}


async def test_fragmentation_is_reserved_against_allocated(tmp_path: Path) -> None:
    result = await watch_server(tmp_path, 0, allocated_metric="torch_allocated", reserved_metric="torch_reserved")
    (evidence,) = (item for item in result.evidence if item.id == "memory.fragmentation")
    assert evidence.value == pytest.approx(0.4)
    assert evidence.verdict is Verdict.WARN


async def test_a_metric_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    result = await watch_server(tmp_path, 0, metric="absent_bytes")
    assert result.status is CheckStatus.ERROR
    assert "absent_bytes: name another with --metric" in result.summary


async def test_a_file_of_pod_usage_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    rows = [f"{i * 60},{(500 + i) * MIB},pod-a\n{i * 60},{500 * MIB},pod-b\n" for i in range(40)]
    path.write_text("time,bytes,name\n" + "".join(rows))
    result = await watch(tmp_path, file=path, limit_bytes=1000 * MIB)
    assert {item["subject"]: item["growth"] for item in result.result["series"]} == {"pod-a": "leak", "pod-b": "steady"}
    path.write_text("".join(json.dumps({"time": i, "bytes": 5e8}) + "\n" for i in range(40)))
    assert (await watch(tmp_path, file=path)).status is CheckStatus.OK


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "{broken\n", '{"time": "x", "bytes": []}\n', "time,bytes\nnan,inf\n"]
)
async def test_a_file_with_the_wrong_columns_is_an_error_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "usage"
    path.write_text(text)
    result = await watch(tmp_path, file=path)
    assert result.status is CheckStatus.ERROR
    assert "time (Unix seconds) and bytes" in result.summary


class Container(Beside):
    """A container whose control group answers; `broken` has no shell."""

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken
        self.reads = 0

    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        if self.broken:
            raise CheckError("exec is forbidden here.")
        assert command[0] == "sh"
        self.reads += 1
        return 0, f"{2000 * MIB}\nanon {(500 + self.reads) * MIB}\nfile 9999999999\n".encode(), b""


async def test_a_containers_own_memory_is_read_and_its_page_cache_is_not(tmp_path: Path) -> None:
    async with context_for(tmp_path) as context:
        context.remote = Container()
        params = MemoryParams(in_pod=True, duration_s=1, interval_s=0.03)
        asked = (await run_check(CHECK, params, context)).summary
        assert context.remote.where in asked
        assert "--yes" in asked
        context.confirmed = True
        result = await run_check(CHECK, params, context)
        assert result.result["series"][0]["growth"] == "leak"
        assert result.result["series"][0]["limit_bytes"] == 2000 * MIB
        assert result.result["series"][0]["first_bytes"] == 501 * MIB
        context.remote = Container(broken=True)
        assert "exec is forbidden" in (await run_check(CHECK, params, context)).summary


def test_lines_that_grew_most_come_first_and_shrunk_ones_are_left_out() -> None:
    found = grown({"a:1": (10, 1), "b:2": (10, 1)}, {"a:1": (5, 1), "b:2": (15, 2), "c:3": (100, 3)})
    assert [(line.where, line.grown_bytes, line.blocks) for line in found] == [("c:3", 100, 3), ("b:2", 5, 1)]


async def test_the_process_that_listens_on_a_port_is_found(tmp_path: Path) -> None:
    code = (
        "import socket, time\ns = socket.create_server(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\ntime.sleep(600)\n"
    )
    async with child(code) as process:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        results: list[CheckResult] = []
        task = asyncio.create_task(watch(tmp_path, port=port))
        task.add_done_callback(lambda done: results.append(done.result()))
        await eventually(lambda: results)
    assert results[0].result["series"][0]["subject"] == f"process {process.pid}"
