"""The load check's generator and `ab` on the same server: they must say the same."""

from __future__ import annotations

import asyncio
import csv
import re
import time
from pathlib import Path
from statistics import median

import pytest

from checks.load_gen.child import Generator
from checks.load_gen.job import Phase, Setup, Summary
from checks.load_judge import invalid_reasons
from checks.load_request import load_setup
from infdiag_tui.config import Endpoint
from tests.checks.load_servers import Model, serving
from tests.support import need_tool

REQUESTS, CONCURRENCY, DELAY_S = 200, 10, 0.02
SHARE, MS = 0.05, 1.0
FEWEST, TIME_S = 5, 45.0
QUANTILES = (50, 90)
BODY = {"x": [1, 2, 3]}


async def ab(program: str, url: str, folder: Path) -> dict[str, float]:
    """What ab says of the server: requests per second, and percentiles in milliseconds."""
    body, table = folder / "body.json", folder / "percentiles.csv"
    body.write_text('{"x":[1,2,3]}')
    counts = ("-n", str(REQUESTS), "-c", str(CONCURRENCY))
    what = ("-p", str(body), "-T", "application/json", "-e", str(table), url)
    process = await asyncio.create_subprocess_exec(
        *(program, "-k", "-q", *counts, *what), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    text = out.decode()
    assert re.search(r"^Failed requests:\s+0$", text, re.MULTILINE), text
    rate = re.search(r"^Requests per second:\s+([\d.]+)", text, re.MULTILINE)
    assert rate, text
    rows = {int(share): float(value) for share, value in list(csv.reader(table.read_text().splitlines()))[1:]}
    return {"rps": float(rate[1]), **{f"p{q}": rows[q] for q in QUANTILES}}


def request(url: str) -> Setup:
    return load_setup(Endpoint(url=url, body=BODY), "test", keep_alive=True)


def apart(ours: list[Summary], theirs: list[dict[str, float]]) -> str:
    """Where the medians of the rounds differ: by more than 5 %, 1 ms and what the generator says that it added."""
    rate, share = median(one.throughput_rps for one in ours), median(one.own_share for one in ours)
    other_rate = median(one["rps"] for one in theirs)
    if not (1 - SHARE) * rate <= other_rate <= (1 + SHARE) * rate / (1 - share):
        return f"{rate:.1f} requests/s, of a worker's time {share:.0%} its own, ab {other_rate:.1f}"
    both = [(one.latency_ms, one.own_ms) for one in ours if one.latency_ms is not None and one.own_ms is not None]
    for name in (f"p{q}" for q in QUANTILES):
        mine, own = (
            median(latency_ms[name].value for latency_ms, _ in both),
            median(own_ms[name] for _, own_ms in both),
        )
        other = median(one[name] for one in theirs)
        slack = max(MS, SHARE * other)
        if not mine - own - slack <= other <= mine + slack:
            return f"{name} {mine:.2f} ms, of it {own:.2f} ms its own, ab {other:.2f} ms"
    return ""


async def test_a_closed_loop_agrees_with_ab(tmp_path: Path) -> None:
    # The two take turns until their medians agree: a busy machine needs more rounds than a calm one.
    program = need_tool("ab", "apache2-utils")
    ours: list[Summary] = []
    theirs: list[dict[str, float]] = []
    differ = ""
    began = time.monotonic()
    async with serving(Model(delay_s=DELAY_S)) as url, Generator(request(url)) as generator:
        while len(ours) < FEWEST or (differ and time.monotonic() - began < TIME_S):
            ours.append(await generator.phase(Phase("load", REQUESTS, CONCURRENCY, 30.0), lambda *_: None))
            theirs.append(await ab(program, url, tmp_path))
            assert not ours[-1].errors
            differ = apart(ours, theirs)
    reasons = [reason for one in ours for reason in invalid_reasons(one)[:1]]
    if differ and len(reasons) > len(ours) / 2:
        pytest.skip(f"this machine is too busy, and most rounds say so: {reasons[-1]}")
    assert not differ, f"{len(ours)} rounds: {differ}"


async def test_the_generator_needs_hardly_more_cpu_for_a_request_than_a_server_on_the_same_library() -> None:
    # Else the replies that come at once queue in it, and their wait looks like the server's. It was 1.7 with a session.
    ratios: list[float] = []
    async with serving(Model()) as url, Generator(request(url)) as generator:
        await generator.phase(Phase("warm-up", 200, 10, 30.0), lambda *_: None)
        for _ in range(3):
            cpu_s = time.process_time()
            found = await generator.phase(Phase("load", 1_000, 10, 30.0), lambda *_: None)
            ratios.append(found.cpu_share * found.elapsed_s / (time.process_time() - cpu_s))
            assert not found.errors
    assert min(ratios) < 1.3, ratios
