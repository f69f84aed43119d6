"""Compares the latency probe with an independent client on the same server at the same rate.

    python benchmarks/latency_agreement.py URL --body '{"input": 4}' --rate 10 --seconds 30

The other client is the standard library's http.client in a process of its own, on one kept-alive connection, counting
from the scheduled send as the probe does; it must get its reply within one interval. By default both run at once, half
an interval apart, so that both meet the same moods of the server; with --in-turn one after the other. Prints both and
exits with 1 when p50, p95 or p99 differ by more than 5 % and more than 1 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import subprocess
import sys
import time
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np

from infdiag_tui.config import Endpoint, Protocol
from infdiag_tui.model import Reply
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.latency import LatencyStream

WARM_UP = 5
"""First replies of either client that do not count: connections and caches are new."""
TOLERANCE_SHARE, TOLERANCE_MS = 0.05, 1.0


async def probe(args: argparse.Namespace) -> list[float]:
    """Totals of the probe's replies, in milliseconds."""
    endpoint = Endpoint(
        url=args.url,
        body=json.loads(args.body) if args.body else None,
        protocol=Protocol(args.protocol),
        rate_per_s=args.rate,
        headers=dict(header.split(":", 1) for header in args.header),
    )
    totals: list[float] = []
    wanted = round(args.rate * args.seconds) + WARM_UP
    async with aclosing(cast("Any", LatencyStream(endpoint, StreamContext()).observe())) as observations:
        async for observation in observations:
            if isinstance(observation, Reply):
                if not observation.ok:
                    sys.exit(f"the probe failed: {observation.error_text}")
                totals.append(observation.total_ms)
                if len(totals) == wanted:
                    break
    return totals[WARM_UP:]


def plain_client(args: argparse.Namespace) -> list[float]:
    """Totals of http.client's replies, in milliseconds."""
    parts = urlsplit(args.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=30)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = dict(header.split(":", 1) for header in args.header)
    body = args.body.encode() if args.body else None
    if body:
        headers["Content-Type"] = "application/json"
    totals: list[float] = []
    start = time.monotonic() + 0.5 / args.rate
    for slot in range(round(args.rate * args.seconds) + WARM_UP):
        due = start + slot / args.rate
        while (left_s := due - time.monotonic()) > 0:
            time.sleep(max(0.0, left_s - 0.001))
        connection.request("POST" if body else "GET", path, body, headers)
        response = connection.getresponse()
        text = response.read()
        totals.append((time.monotonic() - due) * 1e3)
        if response.status != 200:
            sys.exit(f"the independent client got HTTP {response.status}: {text[:200]!r}")
    return totals[WARM_UP:]


def compare(ours: list[float], theirs: list[float]) -> bool:
    """Prints both and says whether they agree."""
    print(f"{'ms':>5} {'probe':>9} {'http.client':>12} {'difference':>11}   ({len(ours)} and {len(theirs)} replies)")
    agree = True
    for q in (50, 95, 99):
        mine, other = float(np.percentile(ours, q)), float(np.percentile(theirs, q))
        apart = abs(mine - other)
        within = apart <= max(TOLERANCE_MS, TOLERANCE_SHARE * other)
        agree = agree and within
        print(f"  p{q} {mine:9.2f} {other:12.2f} {mine - other:+11.2f}   {'agrees' if within else 'DIFFERS'}")
    return agree


def main() -> int:
    """Compares both clients on one server; 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--body", default="", help="JSON to post; without it both send GET")
    parser.add_argument("--rate", type=float, default=10.0, help="requests per second of each client")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--protocol", default="json", choices=[protocol.value for protocol in Protocol])
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE")
    parser.add_argument("--in-turn", action="store_true", help="run the clients one after the other")
    parser.add_argument("--plain-client", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plain_client:
        json.dump(plain_client(args), sys.stdout)
        return 0
    command = [sys.executable, __file__, *sys.argv[1:], "--plain-client"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        if args.in_turn:
            theirs = child.communicate()[0]
            ours = asyncio.run(probe(args))
        else:
            ours = asyncio.run(probe(args))
            theirs = child.communicate()[0]
    if child.returncode:
        return child.returncode
    return 0 if compare(ours, json.loads(theirs)) else 1


if __name__ == "__main__":
    sys.exit(main())
