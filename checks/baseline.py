"""The baseline check: saves what healthy looks like, so that later checks compare with this model's own normal.

The file has `format`, `model`, `saved_at`, and the sections `latency`, `memory`, `stages`, `predictions`, `version`,
`schema` and `checks` (results of other checks); `from` says by section where it was measured and when, `missing` why a
section is absent.
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

from pydantic import Field

from checks import baseline_parts as parts
from checks.base import Check, CheckContext, CheckError, Outcome, Params
from checks.baseline_charts import charts_of
from infdiag_tui.clock import utc_text
from infdiag_tui.model import CheckStatus, Evidence, Progress, Snapshot, Verdict
from infdiag_tui.text import one_line

SOURCE = "baseline"
_FINDINGS = (Verdict.WARN, Verdict.FAIL)
_UNHEALTHY = ("warn", "fail", "error")
_SECTIONS = ("stages", "predictions", "memory", "version")
"""Checks whose result is a section of its own; others' results are kept under `checks`."""


class BaselineParams(Params):
    """What to save."""

    results: tuple[Path, ...] = Field(
        (), description="Results of other checks to keep, as `infdiag check NAME --json` prints them."
    )
    schema_file: Path | None = Field(None, description="The training schema, whose hash is kept.")
    min_requests: int = Field(100, ge=6, le=1_000_000, description="Answered probe requests that latency needs.")
    force: bool = Field(False, description="Save although something is wrong at the moment.")


class BaselineCheck(Check[BaselineParams]):
    """Saves the state of the model as its normal one; refuses while something is wrong."""

    name = "baseline"
    title = "Save what healthy looks like"
    step = 0
    needs_snapshot = True
    asked_for = True
    symptoms = ()
    params = BaselineParams

    def missing(self, params: BaselineParams, context: CheckContext) -> str:
        """The place to save it, and something to save."""
        if context.baseline is None:
            return "There is no place for a baseline: name the model on the command line or in the config."
        if context.snapshot is None and not params.results and params.schema_file is None:
            return "Nothing was watched or handed in: give endpoint.url in the config, --results or --schema-file."
        return ""

    async def run(self, params: BaselineParams, context: CheckContext) -> Outcome:
        """Saves it, atomically."""
        target = context.baseline
        if target is None:
            raise CheckError("there is no place for a baseline")
        context.report(Progress("reading earlier results", 0.2))
        documents = await asyncio.to_thread(parts.read_documents, params.results, context.folder)
        wrong = _wrong(context.snapshot, documents)
        if wrong and not params.force:
            return _refusal(wrong)
        content = await asyncio.to_thread(_content, params, context, documents)
        if not content["from"]:
            reasons = "; ".join(f"{name}: {why}" for name, why in content["missing"].items())
            raise CheckError(one_line(f"there is nothing to save: {reasons}", 600))
        content["findings_when_saved"] = wrong
        context.report(Progress("writing", 0.9))
        previous = await asyncio.to_thread(parts.write, target, content)
        before = {} if previous is None else await asyncio.to_thread(parts.read_previous, previous)
        saved = _saved(target, previous, content, context.now())
        return dataclasses.replace(saved, charts=charts_of(content, before))


def _wrong(snapshot: Snapshot | None, documents: list[parts.Document]) -> list[str]:
    """What speaks against calling this state healthy."""
    seen = [one.statement for one in (snapshot.evidence if snapshot else ()) if one.verdict in _FINDINGS]
    told = [
        f"{one.check} ended with {one.status} ({one.path.name})"
        for one in documents
        if one.status in _UNHEALTHY and one.check != SOURCE
    ]
    return [one_line(text, 300) for text in (*seen, *told)]


def _refusal(wrong: list[str]) -> Outcome:
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    summary = (
        f"Not saved, for this is not what healthy looks like: {wrong[0]}{more}. Save it all the same with --force."
    )
    return Outcome(CheckStatus.SKIPPED, one_line(summary, 600), result={"saved": False, "findings": wrong})


def _content(params: BaselineParams, context: CheckContext, documents: list[parts.Document]) -> dict[str, Any]:
    now = context.now()
    content: dict[str, Any] = {
        "format": parts.FORMAT,
        "model": context.model_name,
        "saved_at": now,
        "saved_at_utc": utc_text(now),
        "checks": {},
        "from": {},
        "missing": {},
    }

    def put(name: str, found: dict[str, Any], why_not: str, origin: str, at: float) -> None:
        if found:
            content[name] = found
            content["from"][name] = {"source": origin, "at": at}
            content["missing"].pop(name, None)
        elif name not in content:
            content["missing"][name] = why_not

    snapshot = context.snapshot
    if snapshot is None:
        for name in ("latency", "memory", "version"):
            put(name, {}, "nothing was watched", "", now)
    else:
        put("latency", *parts.latency(snapshot, params.min_requests), "probe", snapshot.at)
        put("memory", *parts.memory(snapshot), "watched sources", snapshot.at)
        put("version", *parts.version(snapshot), "watched sources", snapshot.at)
    for name in ("stages", "predictions"):
        put(name, {}, f"hand in the result of `infdiag check {name} --json` with --results", "", now)
    for document in documents:
        kept = parts.from_document(document)
        if document.check == SOURCE or not kept:
            continue
        if document.check in _SECTIONS and document.check not in content:
            put(document.check, kept, "", str(document.path), document.at)
        else:
            content["checks"][document.check] = {"at": document.at, "file": str(document.path), "result": kept}
            content["from"][f"checks.{document.check}"] = {"source": str(document.path), "at": document.at}
    if params.schema_file is None:
        put("schema", {}, "give --schema-file", "", now)
    else:
        put("schema", parts.schema(params.schema_file), "", str(params.schema_file), params.schema_file.stat().st_mtime)
    return content


def _saved(target: Path, previous: Path | None, content: dict[str, Any], at: float) -> Outcome:
    kept = sorted(content["from"])
    absent = ", ".join(sorted(content["missing"]))
    beside = f"; not measured: {absent}" if absent else ""
    statement = one_line(f"Saved {', '.join(kept)} as this model's normal{beside}", 400)
    samples = [int(one["sample_size"]) for one in content.get("latency", {}).values()]
    evidence = Evidence(
        id="baseline.saved",
        statement=statement,
        verdict=Verdict.OK,
        source=SOURCE,
        at=at,
        value=float(len(kept)),
        unit="sections",
        sample_size=sum(samples) if samples else None,
    )
    result = {"saved": True, "path": str(target), "previous": str(previous) if previous else None, **content}
    return Outcome(CheckStatus.OK, f"{statement}: {target}.", (evidence,), result, (target,))


CHECK = BaselineCheck()
