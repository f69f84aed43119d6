"""`infdiag check`: one check without a screen; data on standard output, talk on standard error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

from checks.base import Check, Params
from checks.running import run_check
from infdiag_tui import exit_codes
from infdiag_tui.check_context import check_context
from infdiag_tui.model import CheckResult, CheckStatus, Progress, Verdict
from infdiag_tui.report.document import evidence_fields
from infdiag_tui.targets import Target
from infdiag_tui.text import one_line

WATCH_S = 12.0
"""How long every source is watched for a check that needs the whole picture: metrics-server's and the probe's first
figures are there by then."""


def run(check: Check[Any], params: Params, target: Target, folder: Path, *, confirmed: bool, as_json: bool) -> int:
    """Runs the check, prints its result, returns the command's exit code."""
    result = asyncio.run(_run(check, params, target, folder, confirmed=confirmed))
    if result is None:
        return exit_codes.INTERRUPTED
    if as_json:
        print(json.dumps(document(result), indent=2, allow_nan=False))
        print(f"infdiag: {check.name}: {one_line(result.summary, 1000)}", file=sys.stderr)
    else:
        print(summary(result))
    return exit_code(result)


async def _run(
    check: Check[Any],
    params: Params,
    target: Target,
    folder: Path,
    *,
    confirmed: bool,
) -> CheckResult | None:
    said: list[str] = []

    def report(progress: Progress) -> None:
        share = "" if progress.share is None else f"{progress.share:4.0%} "
        line = f"infdiag: {share}{one_line(progress.text)}"
        if not said or said[-1] != line:
            said.append(line)
            print(line, file=sys.stderr)

    def say(text: str) -> None:
        print(f"infdiag: {one_line(text, 600)}", file=sys.stderr)

    async def work() -> CheckResult:
        watch_s = WATCH_S if check.needs_snapshot else 0.0
        async with check_context(target, folder, report, confirmed=confirmed, watch_s=watch_s, say=say) as context:
            return await run_check(check, params, context)

    task = asyncio.create_task(work(), name=f"check {check.name}")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None


def document(result: CheckResult) -> dict[str, Any]:
    """The JSON document of a check."""
    return {
        "check": result.check,
        "status": result.status.value,
        "evidence": [evidence_fields(one) for one in result.evidence],
        "result": {"summary": result.summary, **result.result},
        "artifacts": list(result.artifacts),
    }


def summary(result: CheckResult) -> str:
    """The same for human eyes."""
    lines = [f"{result.check}: {result.status.value}: {one_line(result.summary, 1000)}"]
    lines += [
        f"  {one.verdict.value:7}  {one_line(one.statement)}"
        for one in result.evidence
        if one.verdict is not Verdict.UNKNOWN
    ]
    lines += [f"  wrote {path}" for path in result.artifacts]
    return "\n".join(lines)


def exit_code(result: CheckResult) -> int:
    """0 nothing wrong, 1 a problem found, 3 a target out of reach, 2 an input that is missing or cannot be used."""
    if result.status is CheckStatus.OK:
        return exit_codes.OK
    if result.status in (CheckStatus.WARN, CheckStatus.FAIL):
        return exit_codes.PROBLEM_FOUND
    return exit_codes.UNREACHABLE if result.unreachable else exit_codes.USAGE
