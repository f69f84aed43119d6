"""Compares the load check with ab (closed loop) and with hey (a steady rate) on the same server.

    python -m benchmarks.load_agreement --delay-ms 20            # starts a server of its own
    python -m benchmarks.load_agreement --url http://127.0.0.1:8000/predict --body '{"x": 1}'

Closed loop against `ab -k`; at a rate against `hey -q`, whose workers each keep a pace. hey counts from the actual
send, the check from the scheduled one. The clients take turns, so that both meet the same moods of the machine, and the
medians over the rounds are compared: throughput within 5 %, percentiles within 5 % or 1 ms. Exits with 1 where they
differ. Needs ab (Debian: apache2-utils) and hey.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
_MOST_SPOILED = 20


def ours(args: argparse.Namespace, params: LoadParams) -> tuple[Figures, list[str]]:
    """The check's throughput (1/s) and percentiles (ms), and why it calls its run invalid."""
    endpoint = Endpoint(url=args.url, body=json.loads(args.body), timeout_s=30)
    with tempfile.TemporaryDirectory() as folder:
        context = CheckContext(
            "benchmark", ModelConfig(endpoint=endpoint), Path(folder), time.time, lambda _: None, confirmed=True
        )
        result = asyncio.run(run_check(CHECK, params, context))
    if not result.result or result.result["errors"]:
        sys.exit(f"the check failed: {result.summary}")
    latency = result.result["latency_ms"]
    figures = {"rps": result.result["throughput_rps"], **{f"p{q}": latency[f"p{q}"] for q in PERCENTILES}}
    return figures, result.result["invalid_reasons"]


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


def compare(title: str, args: argparse.Namespace, params: LoadParams, other: Callable[[], Figures]) -> bool:
    """Lets both take turns, prints their medians, and says whether they agree."""
    mine: list[Figures] = []
    theirs: list[Figures] = []
    spoiled = 0
    while len(mine) < args.rounds:
        figures, invalid = ours(args, params)
        if invalid:
            spoiled += 1
            print(f"  a run of the check called itself invalid and is repeated: {'; '.join(invalid)}")
            if spoiled > _MOST_SPOILED:
                sys.exit("this machine is too busy to measure anything")
            continue
        mine.append(figures)
        theirs.append(other())
    print(f"\n{title}, medians of {args.rounds} rounds\n{'':>6} {'check':>10} {'other':>10} {'apart':>9}")
    agree = True
    for name in mine[0]:
        one, two = median(run[name] for run in mine), median(run[name] for run in theirs)
        slack = TOLERANCE_SHARE * two if name == "rps" else max(TOLERANCE_MS, TOLERANCE_SHARE * two)
        within = abs(one - two) <= slack
        agree = agree and within
        print(f"{name:>6} {one:10.2f} {two:10.2f} {one - two:+9.2f}   {'agrees' if within else 'DIFFERS'}")
    return agree


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


def main() -> int:
    """Compares the check with ab and hey; 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="", help="default: a server of its own")
    parser.add_argument("--body", default='{"x": [1, 2, 3]}', help="JSON to post")
    parser.add_argument("--delay-ms", type=float, default=20.0, help="what its own server takes for a reply")
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--workers", type=int, default=10, help="hey's workers")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.delay_ms / 1e3))
        return 0
    if args.url:
        return run(args)
    command = [sys.executable, "-m", "benchmarks.load_agreement", "--serve", "--delay-ms", str(args.delay_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("started without pipes")
        args.url = server.stdout.readline().strip()
        try:
            return run(args)
        finally:
            server.stdin.close()


def run(args: argparse.Namespace) -> int:
    """Both comparisons; 0 when they agree."""
    closed = LoadParams(requests=args.requests, concurrency=args.concurrency, alone=0)
    steady = LoadParams(rate=args.rate, duration=args.seconds, alone=0)
    title = f"closed loop, {args.concurrency} at a time, {args.requests} requests: the check and ab"
    agree = compare(title, args, closed, lambda: ab(args))
    title = f"{args.rate:g} requests/s for {args.seconds} s: the check and hey"
    agree = compare(title, args, steady, lambda: hey(args)) and agree
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
