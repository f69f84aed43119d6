"""Runs a check so that whatever happens comes back as a result in words."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import Any

from checks.base import Check, CheckContext, CheckError, Params
from infdiag_tui.model import CheckResult, CheckStatus, Impact

log = logging.getLogger(__name__)


async def run_check(check: Check[Any], params: Params, context: CheckContext) -> CheckResult:
    """The check's result: `skipped` when it may or can not start, `error` with a sentence when it can't finish.

    Cancellation passes through.
    """
    started_at, began = context.now(), time.monotonic()

    def result(status: CheckStatus, summary: str, **more: Any) -> CheckResult:
        return CheckResult(check.name, status, summary, started_at, time.monotonic() - began, **more)

    lacking = check.missing(params, context)
    if lacking:
        return result(CheckStatus.SKIPPED, lacking)
    impact = check.impact_of(params)
    if impact is not Impact.READ_ONLY and not context.confirmed:
        return result(
            CheckStatus.SKIPPED, f"Not run without consent: {check.announce(params, context)} Agree with --yes."
        )
    if impact is not Impact.EXEC:
        # It was not asked whether it may run a command beside the model: then it can not.
        context = dataclasses.replace(context, remote=None)
    try:
        outcome = await check.run(params, context)
    except CheckError as error:
        return result(CheckStatus.ERROR, str(error), unreachable=error.unreachable)
    except Exception as error:
        # A defect of one check must not take the console along; the incident's log has the details.
        log.exception("check %s failed", check.name)
        return result(CheckStatus.ERROR, f"unexpected {type(error).__name__}: {error}")
    return result(
        outcome.status,
        outcome.summary,
        evidence=outcome.evidence,
        result=outcome.result,
        artifacts=tuple(str(path) for path in outcome.artifacts),
        charts=outcome.charts,
    )
