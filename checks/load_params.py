"""Parameters of the load check, with the hard caps that bound it by rate, count and time."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from checks.base import Params
from checks.load_gen.job import MAX_REQUESTS

_DURATION = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h)?\s*")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(value: object) -> object:
    """Turns `10s`, `500ms`, `2m` or a bare number of seconds into seconds; other types pass for pydantic to judge.

    Raises:
        ValueError: the text is no duration.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is no duration: write 10s, 500ms or 2m")
    return float(match[1]) * _UNIT_S[match[2]]


Seconds = Annotated[float, BeforeValidator(seconds)]


class Arrivals(StrEnum):
    """When the requests of an open loop leave."""

    CONSTANT = "constant"
    POISSON = "poisson"


class LoadParams(Params):
    """How much load, for how long, and when to stop."""

    requests: int = Field(
        100,
        ge=1,
        le=100_000,
        description="Requests in a closed loop: each worker waits for its reply before it sends the next.",
        json_schema_extra={"flags": ["-n"]},
    )
    concurrency: int = Field(
        10,
        ge=1,
        le=500,
        description="Workers of the closed loop: requests in flight at a time.",
        json_schema_extra={"flags": ["-c"]},
    )
    rate: float | None = Field(
        None,
        gt=0,
        le=5_000,
        description="Requests per second on a fixed schedule instead (open loop), however slow the replies are.",
    )
    duration: Seconds = Field(10.0, gt=0, le=600, description="How long the open loop sends, e.g. 10s.")
    arrivals: Arrivals = Field(
        Arrivals.CONSTANT,
        description='Open loop: "constant" (evenly spaced) or "poisson" (as independent clients send).',
    )
    max_in_flight: int = Field(
        500,
        ge=1,
        le=1_000,
        description="Open loop: unanswered requests allowed at a time; arrivals beyond are dropped and counted.",
    )
    knee: bool = Field(False, description="Raise the rate in steps until p99 leaves its plateau.")
    max_rate: float = Field(500.0, gt=0, le=5_000, description="Knee: the highest rate tried, requests per second.")
    step: Seconds = Field(
        10.0,
        ge=1,
        le=120,
        description="Knee: how long a step lasts, e.g. 10s; with fewer than 500 requests p95 stands in for p99.",
    )
    alone: int = Field(
        30,
        ge=0,
        le=1_000,
        description="Requests sent one at a time before the load, to tell what fails only under concurrency.",
    )
    warm_up: int = Field(10, ge=0, le=1_000, description="First requests of the load that do not count.")
    keep_alive: bool = Field(True, description="Reuse connections; off opens one for every request.")
    stop_at_errors: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Stop at once when more than this share of the latest 50 requests failed.",
    )
    max_error_rate: float = Field(0.01, ge=0, le=1, description="Share of failed requests that is still healthy.")
    time_limit: Seconds = Field(300.0, gt=0, le=3_600, description="The whole check ends after this long, e.g. 5m.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.rate is not None and self.rate * self.duration > MAX_REQUESTS:
            raise ValueError(
                f"rate times duration is {self.rate * self.duration:,.0f} requests; {MAX_REQUESTS:,} at most"
            )
        return self

    @property
    def open_requests(self) -> int:
        """Requests of the open loop."""
        return max(1, round((self.rate or 0.0) * self.duration))
