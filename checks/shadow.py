"""Sends the same inputs to a second deployment and tells how far it agrees with production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from checks.base import KNOWN_GOOD, Answer, Check, CheckContext, CheckError, Outcome, Params, Sender
from checks.cases import DEFAULT_TOLERANCE, has_known_good
from checks.json_compare import Ignored, Tolerance
from checks.reproduce import NO_ENDPOINT, read_cases, refuse_too_many
from checks.shadow_findings import Pairs, conclude
from infdiag_tui.model import Impact, Progress
from infdiag_tui.text import clean, one_line

_OTHER_BY_NATURE = ("model_version", "model_name", "$.model")
"""Members that name the deployment: that these differ is no disagreement."""
_GIVE_UP_AFTER = 3


@runtime_checkable
class PredictsAnywhere(Protocol):
    """A sender that can also be pointed at a predict call with a path of its own."""

    async def predict_at(self, url: str, body: Any, *, timeout_s: float | None = None) -> Answer:
        """Posts an input to this URL."""
        ...


class ShadowParams(Params):
    """The second deployment, the inputs, and what counts as agreement."""

    shadow_url: str = Field("", description="Predict URL (or base URL) of the second deployment.")
    cases: Path | None = Field(
        None, description="File of inputs (JSON, JSONL or TOML); default: the config's known-good input."
    )
    repeat: int = Field(3, ge=1, le=1000, description="How often each input is sent to both.")
    abs_tolerance: float = Field(
        DEFAULT_TOLERANCE.absolute, ge=0, description="Outputs agree when numbers differ by no more than this,"
    )
    rel_tolerance: float = Field(
        DEFAULT_TOLERANCE.relative, ge=0, description="and by this share of production's number (0.01 is 1 %)."
    )
    ignore: tuple[str, ...] = Field((), description="Members of a reply to leave out of account.")
    min_agreement: float = Field(0.99, ge=0, le=1, description="Agreement below this share of inputs is a problem.")
    timeout_s: float | None = Field(None, gt=0, description="Seconds per request; default: endpoint.timeout_s.")
    max_requests: int = Field(500, ge=2, description="Refuses to send more requests than this, both sides together.")

    @field_validator("shadow_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not (value.startswith(("http://", "https://")) and urlsplit(value).hostname):
            raise ValueError(f"{value!r} is no http:// or https:// URL")
        return value


class ShadowCheck(Check[ShadowParams]):
    """A companion of step 4: is it the model, or what it is given?"""

    name: ClassVar[str] = "shadow"
    title: ClassVar[str] = "Compare with a shadow deployment"
    step: ClassVar[int] = 4
    impact: ClassVar[Impact] = Impact.LOAD
    symptoms: ClassVar[tuple[str, ...]] = ("accuracy-drop", "wrong-predictions")
    params: ClassVar[type[Params]] = ShadowParams

    def missing(self, params: ShadowParams, context: CheckContext) -> str:
        """Two endpoints and an input."""
        if context.sender is None or context.model.endpoint is None:
            return NO_ENDPOINT
        if not params.shadow_url:
            return "No second deployment to compare with: give --shadow-url URL, or set checks.shadow.shadow_url."
        if params.cases is None and not has_known_good(context.model.endpoint):
            return f"No input to send: give --cases FILE, or set {KNOWN_GOOD}."
        return ""

    def announce(self, params: ShadowParams, context: CheckContext) -> str:
        """How much is sent where."""
        inputs = "every input of the file" if params.cases else "the known-good input"
        shown = one_line(clean(params.shadow_url))
        del context
        return (
            f"It sends {inputs} {params.repeat} times to production and to {shown} with the endpoint's headers, one "
            f"request at a time, {params.max_requests} at most."
        )

    async def run(self, params: ShadowParams, context: CheckContext) -> Outcome:
        """Sends and compares."""
        sender, endpoint = context.sender, context.model.endpoint
        assert sender is not None
        assert endpoint is not None
        cases = await read_cases(params.cases, endpoint)
        refuse_too_many(2 * len(cases) * params.repeat, params.max_requests)
        tolerance = Tolerance(params.abs_tolerance, params.rel_tolerance)
        ignored = Ignored.also((*_OTHER_BY_NATURE, *params.ignore))
        # Only the production output is what the shadow is held against, not what the file expects.
        pairs = [Pairs(replace(case, tolerance=tolerance), ignored) for case in cases]
        await _send(sender, endpoint.url, pairs, params, context)
        _refuse_silence(pairs)
        return conclude(pairs, params.min_agreement, one_line(clean(params.shadow_url)), context.now())


async def _send(
    sender: Sender, production_url: str, pairs: Sequence[Pairs], params: ShadowParams, context: CheckContext
) -> None:
    """Every input to both sides in turn; who comes first alternates, so that neither is favoured by warm caches."""
    total = len(pairs) * params.repeat
    done = 0
    for turn in range(params.repeat):
        for one in pairs:
            body = one.case.input

            async def ask_shadow(body: Any = body) -> Answer:
                return await _predict_at(sender, production_url, params.shadow_url, body, params.timeout_s)

            if turn % 2:
                shadow = await ask_shadow()
                production = await sender.predict(body, timeout_s=params.timeout_s)
            else:
                production = await sender.predict(body, timeout_s=params.timeout_s)
                shadow = await ask_shadow()
            await one.take(production, shadow)
            done += 1
            context.report(Progress(f"{done} of {total} pairs", done / total))
            if done == _GIVE_UP_AFTER:
                _refuse_silence(pairs)


async def _predict_at(sender: Sender, production_url: str, url: str, body: Any, timeout_s: float | None) -> Answer:
    path, own = urlsplit(production_url).path, urlsplit(url)
    if own.path in ("", "/") and not own.query:
        return await sender.predict(body, base_url=url, timeout_s=timeout_s)
    if isinstance(sender, PredictsAnywhere):
        return await sender.predict_at(url, body, timeout_s=timeout_s)
    if own.path.endswith(path):
        base = own._replace(path=own.path.removesuffix(path), query="", fragment="").geturl()
        return await sender.predict(body, base_url=base, timeout_s=timeout_s)
    raise CheckError(f"{one_line(clean(url))} has another path than endpoint.url, which this sender cannot ask")


def _refuse_silence(pairs: Sequence[Pairs]) -> None:
    """Raises `CheckError` when one side gave no HTTP reply at all."""
    asked = [one for one in pairs if one.asked]
    for side, whose in (("production", "production"), ("shadow", "the shadow deployment")):
        sides = [getattr(one, side) for one in asked]
        if sides and all(one.unanswered == pair.asked for one, pair in zip(sides, asked, strict=True)):
            error = next(iter(sides[0].errors))
            raise CheckError(f"{whose} cannot be reached: {error}", unreachable=True)


CHECK = ShadowCheck()
