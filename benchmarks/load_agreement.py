"""Compares the load check with ab (closed loop) and with hey (a steady rate) on the same server.

    python -m benchmarks.load_agreement --delay-ms 20            # starts a server of its own
    python -m benchmarks.load_agreement --url http://127.0.0.1:8000/predict --body '{"x": 1}'

Closed loop against `ab -k`; at a rate against `hey -q`, whose workers each keep a pace, in step with each other: few of
them, so that they send little at once. hey counts from the actual send, the check from the scheduled one. The clients
take turns in many short rounds, so that both meet the same moods of the machine, and the medians over the rounds are
compared: throughput within 5 %, percentiles within 5 % or 1 ms. `its own` is what the check says that it added itself,
at most. Exits with 1 where they differ. Needs ab (Debian: apache2-utils) and hey. `make bench` keeps the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from aiohttp import web

from checks.base import CheckContext
from checks.load import CHECK
from checks.load_params import LoadParams
from checks.running import run_check
from infdiag_tui.config import Endpoint, ModelConfig

Figures = dict[str, float]
PERCENTILES = (50, 90, 95, 99)
TOLERANCE_SHARE, TOLERANCE_MS = 0.05, 1.0
_MOST_SPOILED = 10
"""Runs that may be invalid, for each that counts."""


def ours(args: argparse.Namespace, params: LoadParams) -> tuple[Figures, Figures, list[str]]:
    """The check's throughput (1/s) and percentiles (ms), its own part in each, and why it calls its run invalid."""
    endpoint = Endpoint(url=args.url, body=json.loads(args.body), timeout_s=30)
    with tempfile.TemporaryDirectory() as folder:
        context = CheckContext(
            "benchmark", ModelConfig(endpoint=endpoint), Path(folder), time.time, lambda _: None, confirmed=True
        )
        result = asyncio.run(run_check(CHECK, params, context))
    if not result.result or result.result["errors"]:
        sys.exit(f"the check failed: {result.summary}")
    latency = result.result["latency_ms"]
    rate, share, own = (result.result[name] for name in ("throughput_rps", "generator_own_share", "generator_own_ms"))
    figures = {"rps": rate, **{f"p{q}": latency[f"p{q}"] for q in PERCENTILES}}
    added = {"rps": -rate * share / (1 - share), **{f"p{q}": own[f"p{q}"] for q in PERCENTILES}}
    return figures, added, result.result["invalid_reasons"]


def ab(args: argparse.Namespace) -> Figures:
    """What ab says; its percentiles come from its own file of them, in milliseconds with decimals."""
    with tempfile.TemporaryDirectory() as folder:
        body, table = Path(folder) / "body.json", Path(folder) / "percentiles.csv"
        body.write_text(args.body)
        counts = ["-n", str(args.requests), "-c", str(args.concurrency)]
        command = ["ab", "-k", "-q", *counts, "-p", str(body), "-T", "application/json", "-e", str(table), args.url]
        text = _output(command)
        rows = list(csv.reader(table.read_text().splitlines()))[1:]
    if re.search(r"^Non-2xx", text, re.MULTILINE):
        sys.exit(f"ab met errors:\n{text}")
    served = {int(share): float(value) for share, value in rows}
    match = re.search(r"Requests per second:\s+([\d.]+)", text)
    if match is None:
        sys.exit(f"ab said something unexpected:\n{text}")
    return {"rps": float(match[1]), **{f"p{q}": served[q] for q in PERCENTILES}}


def hey(args: argparse.Namespace) -> Figures:
    """The replies to hey at the rate, warm-up left out: percentiles of its list of response times."""
    workers = args.workers
    command = ["hey", "-z", f"{args.seconds}s", "-c", str(workers), "-q", f"{args.rate / workers:g}", "-m", "POST"]
    text = _output([*command, "-T", "application/json", "-d", args.body, "-o", "csv", args.url])
    rows = [row for row in csv.DictReader(io.StringIO(text)) if float(row["offset"]) >= 1.0]
    if any(row["status-code"] != "200" for row in rows):
        sys.exit("hey met errors")
    times_ms = [float(row["response-time"]) * 1e3 for row in rows]
    span_s = max(float(row["offset"]) for row in rows) - 1.0
    return {"rps": len(rows) / span_s, **{f"p{q}": float(np.percentile(times_ms, q)) for q in PERCENTILES}}


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both: the medians of the rounds, and of what the check says that it added to its own."""

    name: str
    check: float
    own: float
    other: float

    @property
    def agrees(self) -> bool:
        """Within 5 %, percentiles within 1 ms too."""
        slack = TOLERANCE_SHARE * self.other
        return abs(self.check - self.other) <= (slack if self.name == "rps" else max(TOLERANCE_MS, slack))

    def cells(self) -> tuple[str, ...]:
        """For a table: name, check, its own, other, apart, verdict."""
        numbers = (f"{self.check:.2f}", f"{self.own:+.2f}", f"{self.other:.2f}", f"{self.check - self.other:+.2f}")
        return (self.name, *numbers, "agrees" if self.agrees else "DIFFERS")


HEADINGS = ("", "check", "its own", "other", "apart", "")


def compare(args: argparse.Namespace, params: LoadParams, other: Callable[[], Figures]) -> tuple[list[Row], int]:
    """Lets both take turns; their medians, and how many runs of the check called themselves invalid and don't count."""
    mine: list[Figures] = []
    added: list[Figures] = []
    theirs: list[Figures] = []
    spoiled = 0
    while len(mine) < args.rounds:
        figures, own, invalid = ours(args, params)
        if invalid:
            spoiled += 1
            if spoiled > _MOST_SPOILED * args.rounds:
                sys.exit(f"this machine is too busy to measure anything: {'; '.join(invalid)}")
            continue
        mine.append(figures)
        added.append(own)
        theirs.append(other())
    rows = [Row(name, *(median(run[name] for run in runs) for runs in (mine, added, theirs))) for name in mine[0]]
    return rows, spoiled


async def serve(delay_s: float) -> None:
    """A server that takes `delay_s` for each reply; prints its URL and runs until its input closes."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(delay_s)
        return web.json_response({"prediction": 0.5})

    app = web.Application()
    app.router.add_post("/predict", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/predict", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def parser() -> argparse.ArgumentParser:
    """The options, their defaults being what `make bench` measures."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--url", default="", help="default: a server of its own")
    made.add_argument("--body", default='{"x": [1, 2, 3]}', help="JSON to post")
    made.add_argument("--delay-ms", type=float, default=20.0, help="what its own server takes for a reply")
    made.add_argument("--requests", type=int, default=1_000)
    made.add_argument("--concurrency", type=int, default=10)
    made.add_argument("--rate", type=float, default=100.0)
    made.add_argument("--workers", type=int, default=4, help="hey's workers")
    made.add_argument("--seconds", type=int, default=5)
    made.add_argument("--rounds", type=int, default=11)
    made.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return made


@contextmanager
def server(delay_ms: float) -> Iterator[str]:
    """A server in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "benchmarks.load_agreement", "--serve", "--delay-ms", str(delay_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("started without pipes")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def both(args: argparse.Namespace) -> Iterator[tuple[str, list[Row], int]]:
    """Each comparison: its title, its rows, and how many runs did not count."""
    closed = LoadParams(requests=args.requests, concurrency=args.concurrency, alone=0)
    title = f"closed loop, {args.concurrency} at a time, {args.requests:,} requests: the check and ab"
    yield title, *compare(args, closed, lambda: ab(args))
    steady = LoadParams(rate=args.rate, duration=args.seconds, alone=0)
    title = f"{args.rate:g} requests/s for {args.seconds} s: the check and hey"
    yield title, *compare(args, steady, lambda: hey(args))


def measure() -> list[str]:
    """Both comparisons on a server of its own, as Markdown."""
    args = parser().parse_args([])
    lines = [
        f"### The load check beside ab and hey (a server that takes {args.delay_ms:g} ms, all on this machine)",
        "",
    ]
    if missing := [name for name in ("ab", "hey") if shutil.which(name) is None]:
        return [*lines, f"Not measured: {' and '.join(missing)} not installed (Debian: apache2-utils, hey)."]
    with server(args.delay_ms) as args.url:
        for title, rows, spoiled in both(args):
            busy = os.getloadavg()[1]
            lines += [
                f"{title[:1].upper()}{title[1:]}; medians of {args.rounds} rounds in turn. {spoiled} more runs of the",
                f"check called themselves invalid. Load average over 5 min: {busy:.1f} on {os.cpu_count()} cores.",
                "",
                *(f"| {' | '.join(cells)} |" for cells in (HEADINGS, ("---",) * 6, *(row.cells() for row in rows))),
                "",
            ]
    return lines[:-1]


def main() -> int:
    """Compares the check with ab and hey; 1 where they differ."""
    args = parser().parse_args()
    if args.serve:
        asyncio.run(serve(args.delay_ms / 1e3))
        return 0
    if args.url:
        return show(args)
    with server(args.delay_ms) as args.url:
        return show(args)


def show(args: argparse.Namespace) -> int:
    """Prints both comparisons; 0 when they agree."""
    agree = True
    for title, rows, spoiled in both(args):
        print(f"\n{title}, medians of {args.rounds} rounds; {spoiled} more were invalid; load {os.getloadavg()[1]:.1f}")
        for cells in (HEADINGS, *(row.cells() for row in rows)):
            print("".join(f"{cell:>10}" for cell in cells))
        agree = agree and all(row.agrees for row in rows)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
