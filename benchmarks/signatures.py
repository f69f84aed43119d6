"""How many log lines a second are held against every signature, on one core, by the share of lines that have one.

python -m benchmarks.signatures     # prints the figures
"""

from __future__ import annotations

import random
import time

from infdiag_tui.knowledge.signature_match import Matcher
from infdiag_tui.knowledge.signatures import families, signatures

LINES, RUNS = 20_000, 5
SHARES = (0.0, 0.01, 0.2)
GOAL_PER_S = 50_000
_ORDINARY = (
    '2025-06-12 10:00:{n:02d},123 INFO uvicorn.access: 10.0.0.{n}:41234 - "POST /v1/predict HTTP/1.1" 200 OK',
    "2025-06-12T10:00:{n:02d}.123Z INFO predict request_id=req-{n:08x} model=fraud version=7 latency_ms={n}.4 batch=8",
    '{{"ts":"2025-06-12T10:00:{n:02d}Z","level":"info","msg":"request served","path":"/predict","status":200}}',
    "INFO 06-12 10:00:{n:02d} [loggers.py:116] Engine 000: Avg prompt throughput: {n}.1 tokens/s, Running: {n} reqs",
    "[2025-06-12 10:00:{n:02d}] Decode batch. #running-req: {n}, #token: 34012, token usage: 0.31, gen throughput: 812",
    "I0612 10:00:{n:02d}.123456 1 grpc_server.cc:2466] Started GRPCInferenceService at 0.0.0.0:8001, worker {n}",
    '10.0.0.{n} - - [12/Jun/2025:10:00:{n:02d} +0000] "GET /health HTTP/1.1" 200 2 "-" "kube-probe/1.31"',
    "DEBUG cache lookup for user {n} took 0.4 ms, 13 features found, 2 defaults used",
)


def measure() -> list[str]:
    """The section of the results, measured here."""
    known = Matcher(families())
    header = f"### Log signatures ({len(signatures())} patterns, one core; goal: {GOAL_PER_S:,} lines/s)"
    rows = ["| lines with a signature | lines per second |", "|---|---|"]
    rows += [f"| {share:.0%} | {per_second(known, share):,.0f} |" for share in SHARES]
    return [header, "", *rows]


def per_second(known: Matcher, share: float) -> float:
    """Lines per second of processor time: the best of some runs, so that other work on the machine counts little."""
    lines = mix(share)
    best = 0.0
    for _ in range(RUNS):
        started = time.process_time()
        for line in lines:
            known.match(line)
        best = max(best, LINES / (time.process_time() - started))
    return best


def mix(share: float) -> list[str]:
    """Ordinary lines of several servers, among them that share of the library's own examples."""
    chance = random.Random(1)
    examples = [line for one in signatures().values() for line in one.positive]
    return [
        chance.choice(examples) if chance.random() < share else chance.choice(_ORDINARY).format(n=chance.randrange(60))
        for _ in range(LINES)
    ]


if __name__ == "__main__":
    print("\n".join(measure()))
