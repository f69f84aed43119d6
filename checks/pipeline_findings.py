"""What the pipeline's parts say: violations of the schema, golden vectors that differ, files that changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from checks.base import Outcome
from checks.cases import DEFAULT_TOLERANCE, Case, judge
from checks.json_compare import Comparison, Difference, Ignored, Tolerance
from checks.pipeline_schema import FieldReport
from infdiag_tui.model import CheckStatus, Evidence, Verdict
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    from checks.pipeline import PipelineParams

SOURCE = "pipeline"
_FIELDS_NAMED = 10
_NOTHING_IGNORED = Ignored(frozenset(), frozenset())
"""A feature may well be called `timestamp`: here it counts."""


@dataclass(frozen=True, slots=True)
class Held:
    """Requests held against the schema."""

    fields: tuple[FieldReport, ...]
    rows: int

    def evidence(self, at: float) -> Iterator[Evidence]:
        """One statement on the whole, and one for each field that is wrong."""
        bad = [one for one in self.fields if one.verdict is not Verdict.OK]
        fails = [one for one in bad if one.verdict is Verdict.FAIL]
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        text = f"All {len(self.fields)} fields of {rows} are as in training"
        if bad:
            text = f"{len(bad)} of {len(self.fields)} fields are not as in training; {(fails or bad)[0].sentence()}"
        yield _made(
            "schema",
            Verdict.FAIL if fails else (Verdict.WARN if bad else Verdict.OK),
            text,
            at,
            value=float(len(bad)),
            unit="fields",
            sample_size=self.rows,
            threshold=0.0,
            source="training schema",
        )
        for one in bad[:_FIELDS_NAMED]:
            yield _made("field", one.verdict, one.sentence(), at, subject=one.name, sample_size=one.rows)

    def as_json(self) -> dict[str, Any]:
        """For the check's result."""
        return {"rows": self.rows, "fields": [one.as_json() for one in self.fields]}


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden vectors run through the pipeline: each with how its features differ, or what was raised."""

    target: str
    vectors: tuple[tuple[str, Comparison, str], ...]

    @classmethod
    def judged(
        cls, target: str, cases: Sequence[Case], outputs: Sequence[Mapping[str, Any]], params: PipelineParams
    ) -> Golden:
        """Compares each output with what the vector expects; the file's own tolerance goes before the parameters'."""
        vectors: list[tuple[str, Comparison, str]] = []
        for case, made in zip(cases, outputs, strict=True):
            if "error" in made:
                vectors.append((case.name, Comparison(count=1), one_line(clean(str(made["error"])))))
                continue
            if case.tolerance == DEFAULT_TOLERANCE:
                case = replace(case, tolerance=Tolerance(params.abs_tolerance, params.rel_tolerance))  # noqa: PLW2901 - the same case, judged as asked
            vectors.append((case.name, judge(case, made.get("output"), _NOTHING_IGNORED), ""))
        return cls(target, tuple(vectors))

    def evidence(self, at: float) -> Iterator[Evidence]:
        """Whether preprocessing is correct."""
        bad = [one for one in self.vectors if one[2] or not one[1].same]
        count = len(self.vectors)
        vectors = "golden vector" if count == 1 else "golden vectors"
        text = f"{_shown(self.target)} gives the expected features for {count} {vectors}"
        if bad:
            text = f"{_shown(self.target)} fails {len(bad)} of {count} {vectors}; {_why(*bad[0])}"
        yield _made(
            "golden",
            Verdict.FAIL if bad else Verdict.OK,
            text,
            at,
            value=float(len(bad)),
            unit="vectors",
            sample_size=count,
            threshold=0.0,
            source="golden vectors",
        )

    def as_json(self) -> dict[str, Any]:
        """For the check's result."""
        return {
            "pipeline": _shown(self.target),
            "vectors": [
                {
                    "name": name,
                    "ok": not error and found.same,
                    "error": error,
                    "difference_count": 0 if error else found.count,
                    "differences": [one.as_json() for one in found.differences],
                    "max_absolute": found.max_absolute,
                    "max_relative": found.max_relative,
                }
                for name, found, error in self.vectors
            ],
        }


@dataclass(frozen=True, slots=True)
class Code:
    """Code and config now and in the baseline, path to sha256; `baseline` is None where there is none."""

    hashes: Mapping[str, str]
    baseline: Mapping[str, str] | None

    def changes(self) -> list[Difference]:
        """Files that changed, came or went."""
        before = self.baseline or {}
        return [
            Difference(one_line(clean(path)), before.get(path, "absent"), self.hashes.get(path, "absent"))
            for path in sorted({*before, *self.hashes})
            if before.get(path) != self.hashes.get(path)
        ]

    def evidence(self, at: float) -> Iterator[Evidence]:
        """Whether anything changed since the baseline."""
        files = "file" if len(self.hashes) == 1 else "files"
        if self.baseline is None:
            text = (
                f"Whether {len(self.hashes)} code and config {files} changed is not known: no baseline has them; hand "
                "in this result with `infdiag check baseline --results FILE`"
            )
            yield _made("code_changed", Verdict.UNKNOWN, text, at, sample_size=len(self.hashes))
            return
        changes = self.changes()
        text = f"{len(self.hashes)} code and config {files} are as in the baseline"
        if changes:
            names = ", ".join(one.path for one in changes[:3])
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            text = f"Code or config changed since the baseline: {names}{more}"
        verdict = Verdict.WARN if changes else Verdict.OK
        yield _made("code_changed", verdict, text, at, value=bool(changes), sample_size=len(self.hashes))

    def as_json(self) -> dict[str, Any]:
        """For the check's result."""
        changed = None if self.baseline is None else [one.path for one in self.changes()]
        return {"hashes": dict(self.hashes), "has_baseline": self.baseline is not None, "changed": changed}


def conclude(held: Held | None, golden: Golden | None, code: Code | None, at: float) -> Outcome:
    """Evidence, result and the sentence."""
    parts = {"schema": held, "golden": golden, "code": code}
    evidence = [one for part in parts.values() if part is not None for one in part.evidence(at)]
    verdicts = {one.verdict for one in evidence}
    status = CheckStatus.OK
    if Verdict.FAIL in verdicts:
        status = CheckStatus.FAIL
    elif Verdict.WARN in verdicts:
        status = CheckStatus.WARN
    order = (Verdict.FAIL, Verdict.WARN, Verdict.UNKNOWN)
    bad = [one.statement for verdict in order for one in evidence if one.verdict is verdict]
    summary = bad[0] if bad else ". ".join(one.statement for one in evidence)
    result = {name: None if part is None else part.as_json() for name, part in parts.items()}
    return Outcome(status, one_line(summary), tuple(evidence), result)


def _why(name: str, found: Comparison, error: str) -> str:
    if error:
        return f"{name} raised {error}"
    if not found.differences:
        return f"{name} differs"
    one = found.differences[0]
    more = f" and {found.count - 1} more" if found.count > 1 else ""
    return f"{name}: {one.path} is {one.actual} instead of {one.expected}{more}"


def _shown(target: str) -> str:
    return one_line(clean(target), 100)


def _made(
    name: str,
    verdict: Verdict,
    statement: str,
    at: float,
    *,
    value: float | bool | None = None,
    unit: str = "",
    subject: str = "",
    sample_size: int | None = None,
    threshold: float | None = None,
    source: str = "",
) -> Evidence:
    return Evidence(
        id=f"pipeline.{name}",
        statement=one_line(statement),
        verdict=verdict,
        source=SOURCE,
        at=at,
        value=value,
        unit=unit,
        subject=subject,
        sample_size=sample_size,
        threshold=threshold,
        threshold_source=source,
    )
