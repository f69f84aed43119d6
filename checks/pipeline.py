"""Checks the input pipeline: requests against the training schema, golden vectors, and changes of code or config."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import orjson
from pydantic import Field

from checks.base import KNOWN_GOOD, Check, CheckContext, CheckError, Glob, Outcome, Params
from checks.cases import DEFAULT_TOLERANCE, has_known_good, known_good, load_cases, read_entries
from checks.pipeline_findings import Code, Golden, Held, conclude
from checks.pipeline_golden import run_golden
from checks.pipeline_schema import load_schema, rows_of, validate
from checks.version_files import local_files
from infdiag_tui.model import Progress
from infdiag_tui.text import clean, one_line

BASELINE_KEYS = ("checks", "pipeline", "result", "code", "hashes")
"""Where the baseline file keeps code and config, path to sha256: in this check's own result, as it was handed in."""
_MAX_CODE_BYTES = 1_000_000_000


class PipelineParams(Params):
    """The training schema, golden vectors and code to look at; each part runs where its inputs are given."""

    schema_file: Path | None = Field(
        None,
        description="Training schema (TOML or JSON): fields with type, min, max, categories, missing_rate, required.",
        json_schema_extra={"flags": ["--schema"]},
    )
    records: Path | None = Field(
        None, description="Requests to hold against the schema (JSON, JSONL); default: the config's known-good input."
    )
    golden: Path | None = Field(
        None, description="Golden preprocessing vectors (JSON, JSONL or TOML): raw input and expected features."
    )
    pipeline: str = Field("", description="The preprocessing code to run them through, as module:function.")
    workdir: Path = Field(Path(), description="Folder that the module is imported from.")
    python: str = Field("", description="Python that has the pipeline's packages; default: infdiag's own.")
    code: tuple[Glob, ...] = Field((), description="Code and config files (globs) to compare with the baseline.")
    abs_tolerance: float = Field(DEFAULT_TOLERANCE.absolute, ge=0, description="Features may differ by this much,")
    rel_tolerance: float = Field(DEFAULT_TOLERANCE.relative, ge=0, description="and by this share (0.01 is 1 %).")
    timeout_s: float = Field(120.0, gt=0, description="Seconds for all golden vectors together.")


class PipelineCheck(Check[PipelineParams]):
    """Is the model given what it was trained on?"""

    name: ClassVar[str] = "pipeline"
    title: ClassVar[str] = "Input pipeline: schema, golden vectors, changes"
    step: ClassVar[int] = 4
    symptoms: ClassVar[tuple[str, ...]] = ("wrong-predictions", "accuracy-drop")
    params: ClassVar[type[Params]] = PipelineParams

    def missing(self, params: PipelineParams, context: CheckContext) -> str:
        """At least one of the three parts, each with what it needs."""
        if params.golden is not None and not params.pipeline:
            return "No code to run the golden vectors through: give --pipeline module:function."
        if params.pipeline and params.golden is None:
            return "No golden vectors to run through the pipeline: give --golden FILE."
        if params.pipeline and ":" not in params.pipeline.strip(":"):
            return "--pipeline wants module:function, such as serving.preprocess:to_features."
        if params.schema_file is None and params.golden is None and not params.code:
            return (
                "Nothing to check the pipeline against: give --schema FILE, --golden FILE with --pipeline "
                "module:function, or --code GLOB (or the same under checks.pipeline in the config)."
            )
        if params.schema_file is not None and params.records is None and not has_known_good(context.model.endpoint):
            return f"No request to hold against the schema: give --records FILE, or set {KNOWN_GOOD}."
        return ""

    async def run(self, params: PipelineParams, context: CheckContext) -> Outcome:
        """Runs each part whose inputs are there."""
        held = golden = code = None
        if params.schema_file is not None:
            context.report(Progress("holding requests against the schema"))
            held = await _hold_requests(params, context)
        if params.golden is not None:
            context.report(Progress("running golden vectors"))
            golden = await _run_vectors(params, params.golden)
        if params.code:
            code = await _look_at_code(params, context)
        return conclude(held, golden, code, context.now())


async def _hold_requests(params: PipelineParams, context: CheckContext) -> Held:
    assert params.schema_file is not None
    schema = await asyncio.to_thread(load_schema, params.schema_file)
    if params.records is not None:
        requests = await asyncio.to_thread(read_entries, params.records, "records", "--records")
    else:
        case = await asyncio.to_thread(known_good, context.model.endpoint)
        requests = [] if case is None else [case.input]
    return await asyncio.to_thread(lambda: Held(tuple(validate(schema, rows := _rows(requests))), len(rows)))


def _rows(requests: list[Any]) -> list[dict[str, Any]]:
    rows = [row for request in requests for row in rows_of(request)]
    if not rows:
        raise CheckError("there is no request to hold against the schema: --records names an empty file")
    return rows


async def _run_vectors(params: PipelineParams, path: Path) -> Golden:
    cases = await asyncio.to_thread(load_cases, path)
    if not all(case.has_expected for case in cases):
        raise CheckError(f"{path}: a golden vector without expected features says nothing; add expected to each")
    outputs = await run_golden(
        params.pipeline, cases, python=params.python, folder=params.workdir, timeout_s=params.timeout_s
    )
    return await asyncio.to_thread(Golden.judged, params.pipeline, cases, outputs, params)


async def _look_at_code(params: PipelineParams, context: CheckContext) -> Code:
    context.report(Progress("hashing code and config"))
    hashes = await code_hashes(params.code)
    baseline = None if context.baseline is None else await asyncio.to_thread(_baseline, context.baseline)
    return Code(hashes, baseline)


async def code_hashes(patterns: tuple[str, ...]) -> dict[str, str]:
    """Path to sha256 of the files that these globs name, to be compared with the baseline's.

    Raises:
        CheckError: no file matches, or one cannot be read.
    """
    files = await local_files(patterns, _MAX_CODE_BYTES)
    if not files:
        raise CheckError(one_line(clean(f"no file matches --code {' '.join(patterns)}; correct the pattern")))
    unread = [file for file in files if not file.sha256]
    if unread:
        raise CheckError(f"{unread[0].path}: {unread[0].note}; leave it out of --code")
    return {file.path: file.sha256 for file in files}


def _baseline(path: Path) -> dict[str, str] | None:
    """The hashes in the baseline file, None where it holds none."""
    try:
        document: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not JSON: {error}"
        raise CheckError(
            one_line(clean(f"the baseline {path} cannot be read: {reason}; save it anew with `infdiag check baseline`"))
        ) from error
    for key in BASELINE_KEYS:
        document = document.get(key) if isinstance(document, dict) else None
    if not isinstance(document, dict):
        return None
    return {str(name): str(value) for name, value in document.items()}


CHECK = PipelineCheck()
