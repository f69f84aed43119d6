"""Switches the torch profiler of a vLLM or SGLang server on for a few requests, and surely off again.

Both serve `POST /start_profile` and `POST /stop_profile`; vLLM only when it was started with a profiler folder. The
traces stay on the server: neither sends them over HTTP.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import Any
from urllib.parse import urlsplit

from checks.base import Answer, CheckContext, CheckError, Poster
from infdiag_tui.model import Progress

STOP_TIMEOUT_S = 600.0
"""Writing the traces of a large model takes minutes, during which the server does not answer."""

START_TIMEOUT_S = 60.0

HOW_TO_ENABLE = {
    "vllm": (
        'start vLLM with --profiler-config \'{"profiler": "torch", "torch_profiler_dir": "/tmp/traces"}\' '
        "(before 0.13: the environment variable VLLM_TORCH_PROFILER_DIR)"
    ),
    "sglang": "set SGLANG_TORCH_PROFILER_DIR for the server; it may also lack the endpoint behind a router",
}


def base_url(url: str) -> str:
    """Scheme, host and port of the predict call."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def profile(server: str, requests: int, body: Any, context: CheckContext) -> dict[str, Any]:
    """Latency of the same requests without and with the profiler, which writes its traces on the server.

    Raises:
        CheckError: no way to post, no such endpoint, or the requests fail.
    """
    sender, endpoint = context.sender, context.model.endpoint
    if sender is None or endpoint is None or not isinstance(sender, Poster):
        raise CheckError("the model server cannot be reached from here; give endpoint.url in the config")
    base = base_url(endpoint.url)
    context.report(Progress("requests without the profiler", 0.1))
    plain = [await sender.predict(body) for _ in range(requests)]
    started = await sender.post(f"{base}/start_profile", timeout_s=START_TIMEOUT_S)
    if not started.ok:
        raise CheckError(_refusal(server, base, started), unreachable=started.status is None)
    try:
        context.report(Progress("requests under the profiler", 0.4))
        profiled = [await sender.predict(body) for _ in range(requests)]
    finally:
        # A profiler left on slows every request and fills the disk: switch it off whatever happens here.
        context.report(Progress("the server writes its traces; it may answer nobody meanwhile", 0.7))
        stopping = asyncio.ensure_future(sender.post(f"{base}/stop_profile", timeout_s=STOP_TIMEOUT_S))
        stopped = await _surely(stopping)
    if not stopped.ok:
        raise CheckError(
            f"{base}/stop_profile did not succeed ({stopped.error or stopped.status}): the profiler may still run; "
            f"repeat it with curl -X POST {base}/stop_profile"
        )
    return {
        "server": server,
        "url": base,
        "requests": requests,
        "without_profiler": _latency(plain),
        "with_profiler": _latency(profiled),
        "traces": "in the server's profiler folder",
    }


async def _surely(stopping: asyncio.Future[Answer]) -> Answer:
    """Waits for the stop call even when cancelled meanwhile; the cancellation goes on afterwards."""
    try:
        return await asyncio.shield(stopping)
    except asyncio.CancelledError:
        await asyncio.wait([stopping], timeout=START_TIMEOUT_S)
        stopping.cancel()
        raise


def _refusal(server: str, base: str, answer: Answer) -> str:
    if answer.status in (404, 405):
        return f"{base} has no /start_profile (HTTP {answer.status}): {HOW_TO_ENABLE[server]}"
    if answer.status in (401, 403):
        return f"{base}/start_profile refuses (HTTP {answer.status}): give the token in endpoint.headers"
    return f"{base}/start_profile did not succeed: {answer.error or f'HTTP {answer.status}'}"


def _latency(answers: list[Answer]) -> dict[str, Any]:
    times = [answer.total_ms for answer in answers if answer.ok]
    return {
        "answered": len(times),
        "failed": len(answers) - len(times),
        "median_ms": statistics.median(times) if times else None,
        "max_ms": max(times, default=None),
    }
