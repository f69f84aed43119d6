"""Sends known-good inputs again and again to the service and its replicas, and keeps how the answers differ."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from checks.base import Answer, Sender
from checks.cases import Case, judge
from checks.json_compare import Comparison, Ignored, Tolerance, compare

MAX_VARIANTS = 8
"""Different outputs kept per case; more are counted as one further."""
_GIVE_UP_AFTER = 3
"""A target that never answered is not asked again after so many attempts."""
_HEAVY_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where inputs go: the service (an empty URL) or one replica."""

    name: str
    base_url: str = ""


@dataclass(slots=True)
class Tally:
    """One case at one target. `mismatch` is the first comparison with the expected output that failed."""

    asked: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    mismatches: int = 0
    mismatch: Comparison | None = None
    variants: Counter[int] = field(default_factory=Counter)
    versions: set[str] = field(default_factory=set)
    unanswered: int = 0
    """Attempts to which no HTTP reply came."""

    @property
    def answered(self) -> int:
        """Usable answers."""
        return len(self.latencies_ms)

    @property
    def failed(self) -> bool:
        """True when any attempt failed or any output was not the expected one."""
        return bool(self.errors or self.mismatches)

    def latency(self) -> dict[str, Any] | None:
        """Median and largest latency in milliseconds, over how many answers."""
        if not self.latencies_ms:
            return None
        times = self.latencies_ms
        return {"median": round(statistics.median(times), 3), "max": round(max(times), 3), "n": len(times)}


@dataclass(slots=True)
class Variant:
    """One output that a case gave; answers within the tolerance of `body` belong to it."""

    body: Any
    versions: set[str] = field(default_factory=set)
    max_relative: float = 0.0


class CaseRun:
    """All that one case met. An answer is held against the outputs seen so far: the first that it equals is its own."""

    def __init__(self, case: Case, ignored: Ignored, tolerance: Tolerance) -> None:
        self.case = case
        self.tallies: dict[str, Tally] = {}
        self.variants: list[Variant] = []
        self.changed = False
        """True when two answers differ at all, be it within the tolerance."""
        self.ignored: set[str] = set()
        self._ignored = ignored
        self._tolerance = tolerance
        self._lock = asyncio.Lock()

    async def take(self, target: str, answer: Answer) -> None:
        """Notes an answer of a target."""
        tally = self.tallies.setdefault(target, Tally())
        tally.asked += 1
        if not answer.ok:
            tally.errors[answer.error] += 1
            tally.unanswered += answer.status is None
            return
        tally.latencies_ms.append(answer.total_ms)
        async with self._lock:
            if len(answer.text) > _HEAVY_CHARACTERS:
                await asyncio.to_thread(self._hold_against, tally, answer)
            else:
                self._hold_against(tally, answer)

    def difference(self) -> Comparison | None:
        """How the second output differs from the first, None while there is one."""
        if len(self.variants) < 2:
            return None
        first, second = self.variants[:2]
        return compare(first.body, second.body, tolerance=self._tolerance, ignored=self._ignored)

    def _hold_against(self, tally: Tally, answer: Answer) -> None:
        if self.case.has_expected:
            verdict = judge(self.case, answer.body, self._ignored)
            self.ignored.update(verdict.ignored)
            if not verdict.same:
                tally.mismatches += 1
                tally.mismatch = tally.mismatch or verdict
        number = self._variant_of(answer.body)
        tally.variants[number] += 1
        if answer.model_version:
            tally.versions.add(answer.model_version)
            if number < MAX_VARIANTS:
                self.variants[number].versions.add(answer.model_version)

    def _variant_of(self, body: Any) -> int:
        for number, variant in enumerate(self.variants):
            found = compare(variant.body, body, tolerance=self._tolerance, ignored=self._ignored)
            if found.same:
                self.ignored.update(found.ignored)
                self.changed = self.changed or found.changed > 0
                variant.max_relative = max(variant.max_relative, found.max_relative or 0.0)
                return number
        self.changed = self.changed or bool(self.variants)
        if len(self.variants) < MAX_VARIANTS:
            self.variants.append(Variant(body))
            return len(self.variants) - 1
        return MAX_VARIANTS


async def run_cases(
    sender: Sender,
    runs: Sequence[CaseRun],
    targets: Sequence[Target],
    repeat: int,
    *,
    timeout_s: float | None = None,
    on_answer: Callable[[int], None] = lambda _done: None,
) -> set[str]:
    """Sends every case `repeat` times to every target, each target one request at a time.

    The cases take turns, so that repeats of one are spread over the run. Returns the names of the targets that were
    given up because they never answered; `on_answer` is called with the number of requests done or given up.
    """
    done = 0
    given_up: set[str] = set()

    async def ask(target: Target) -> None:
        nonlocal done
        unanswered, ever = 0, False
        for turn in range(repeat):
            for number, run in enumerate(runs):
                answer = await sender.predict(run.case.input, base_url=target.base_url, timeout_s=timeout_s)
                await run.take(target.name, answer)
                ever = ever or answer.status is not None
                unanswered += answer.status is None
                done += 1
                if not ever and unanswered >= _GIVE_UP_AFTER:
                    given_up.add(target.name)
                    done += len(runs) * repeat - (turn * len(runs) + number + 1)
                on_answer(done)
                if target.name in given_up:
                    return

    async with asyncio.TaskGroup() as group:
        for target in targets:
            group.create_task(ask(target))
    return given_up
