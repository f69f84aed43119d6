"""Reproduces: known-good inputs sent in turn and repeated, to the service and to every replica."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from checks.base import KNOWN_GOOD, Check, CheckContext, CheckError, Outcome, Params
from checks.case_runs import CaseRun, Target, run_cases
from checks.cases import DEFAULT_TOLERANCE, Case, has_known_good, known_good, load_cases
from checks.json_compare import Ignored, Tolerance
from checks.reproduce_findings import SERVICE, Finding, conclude
from infdiag_tui.config import Endpoint, Protocol
from infdiag_tui.model import Progress

NO_ENDPOINT = "No model server to ask: set endpoint.url in the config, or give --endpoint URL."


class ReproduceParams(Params):
    """What is sent, how often, and what counts as the same."""

    cases: Path | None = Field(
        None,
        description="File of cases (JSON, JSONL or TOML), each with input, expected, compare (exact, numeric, subset, "
        "label), abs, rel, path; without it the config's known-good input is sent.",
    )
    repeat: int = Field(5, ge=1, le=1000, description="How often each input is sent to each target.")
    replicas: bool = Field(True, description="Ask every replica by itself as well, where the cluster names them.")
    abs_tolerance: float = Field(
        DEFAULT_TOLERANCE.absolute, ge=0, description="Answers to the same input may differ by this much,"
    )
    rel_tolerance: float = Field(
        DEFAULT_TOLERANCE.relative, ge=0, description="and by this share of the number (0.01 is 1 %)."
    )
    ignore: tuple[str, ...] = Field(
        (), description="Members of a reply to leave out of account: names, or paths such as $.meta.id."
    )
    timeout_s: float | None = Field(None, gt=0, description="Seconds per request; default: endpoint.timeout_s.")
    max_requests: int = Field(500, ge=1, description="Refuses to send more requests than this.")


class ReproduceCheck(Check[ReproduceParams]):
    """Step 1: does the fault show with a known-good input, every time, and on every replica?"""

    name: ClassVar[str] = "reproduce"
    title: ClassVar[str] = "Reproduce with known-good inputs"
    step: ClassVar[int] = 1
    symptoms: ClassVar[tuple[str, ...]] = ("wrong-predictions", "intermittent-failures", "accuracy-drop")
    params: ClassVar[type[Params]] = ReproduceParams

    def missing(self, params: ReproduceParams, context: CheckContext) -> str:
        """An endpoint, and an input to send."""
        if context.sender is None or context.model.endpoint is None:
            return NO_ENDPOINT
        if params.cases is None and not has_known_good(context.model.endpoint):
            return f"No input to send: give --cases FILE, or set {KNOWN_GOOD}."
        return ""

    async def run(self, params: ReproduceParams, context: CheckContext) -> Outcome:
        """Sends and compares."""
        sender, endpoint = context.sender, context.model.endpoint
        assert sender is not None
        assert endpoint is not None
        cases = await read_cases(params.cases, endpoint)
        targets = [Target(SERVICE)]
        if params.replicas:
            targets += [Target(replica.name, replica.url) for replica in context.replicas]
        total = len(cases) * params.repeat * len(targets)
        refuse_too_many(total, params.max_requests)
        ignored = Ignored.also(params.ignore)
        tolerance = Tolerance(params.abs_tolerance, params.rel_tolerance)
        runs = [CaseRun(case, ignored, tolerance) for case in cases]

        def progress(done: int) -> None:
            context.report(Progress(f"{done} of {total} requests", done / total))

        given_up = await run_cases(sender, runs, targets, params.repeat, timeout_s=params.timeout_s, on_answer=progress)
        sampled = {run.case.name for run in runs if _is_sampled(endpoint, run.case.input)}
        finding = Finding(runs, targets, given_up, sampled, context.now())
        refuse_silence(finding)
        return conclude(finding)


async def read_cases(path: Path | None, endpoint: Endpoint) -> tuple[Case, ...]:
    """The file's cases, else the config's known-good input alone."""
    if path is not None:
        return await asyncio.to_thread(load_cases, path)
    case = await asyncio.to_thread(known_good, endpoint)
    if case is None:
        raise CheckError(f"no input to send: set {KNOWN_GOOD}")
    return (case,)


def refuse_too_many(total: int, limit: int) -> None:
    """Raises `CheckError` rather than turn into a load test unasked."""
    if total > limit:
        raise CheckError(
            f"this would send {total} requests, more than --max-requests {limit}; lower --repeat, name fewer cases or "
            "raise --max-requests"
        )


def refuse_silence(finding: Finding) -> None:
    """Raises `CheckError` when nobody answered at all: there is nothing to judge."""
    tallies = [tally for run in finding.runs for tally in run.tallies.values()]
    if all(tally.unanswered == tally.asked for tally in tallies):
        errors = [error for tally in tallies for error in tally.errors]
        raise CheckError(f"the model server cannot be reached: {errors[0]}", unreachable=True)


def _is_sampled(endpoint: Endpoint, body: Any) -> bool:
    """True for a language model that draws its words at random: differing answers are no fault then."""
    if endpoint.protocol is not Protocol.OPENAI or not isinstance(body, dict):
        return False
    return body.get("temperature", 1) != 0 and body.get("seed") is None


CHECK = ReproduceCheck()
