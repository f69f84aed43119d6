"""Requests against a training schema, golden vectors through real code, and changed files."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.base import CheckContext, CheckError
from checks.pipeline import CHECK, PipelineParams
from checks.pipeline_schema import Schema, load_schema, rows_of, validate
from checks.running import run_check
from infdiag_tui.config import Endpoint, ModelConfig
from infdiag_tui.model import CheckStatus, Verdict
from tests.checks.serving import bare_context, evidence_of

SCHEMA = """
[fields]
hour = { type = "integer", min = 0, max = 23 }
country = { type = "string", categories = ["DE", "FR"] }
income = { type = "number", missing_rate = 0.1 }
[fields.amount]
type = "number"
min = 0
max = 1000
"""
GOOD = {"hour": 3, "country": "DE", "income": 1.0, "amount": 12.5}

PREPROCESS = """
import numpy as np
import os, sys, time, subprocess
calls = 0
def features(raw):
    print("noise on standard output")
    return {"x": np.array([raw["amount"] / 1000, raw["hour"] / 23], dtype=np.float32), "n": np.int64(2)}
def crooked(raw):
    return {"x": [raw["amount"] / 100, raw["hour"] / 23], "n": 2}
def raises(raw):
    raise KeyError("amount \\x1b[31m")
def odd(raw):
    return object()
def dies(raw):
    os._exit(7)
def hangs(raw):
    subprocess.Popen(["sleep", "600"])
    open(raw["mark"], "w").write(str(os.getpid()))
    time.sleep(600)
class Served:
    def preprocess(self, raw):
        return features(raw)
served = Served()
nothing = 3
"""
VECTOR = {"name": "usual", "input": {"amount": 500, "hour": 23}, "expected": {"x": [0.5, 1.0], "n": 2}}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def context_with_body(folder: Path, body: Any) -> CheckContext:
    context = bare_context(folder)
    context.model = ModelConfig(endpoint=Endpoint(url="http://127.0.0.1:1/", body=body))
    return context


def golden_params(folder: Path, function: str, *vectors: Any, **more: Any) -> PipelineParams:
    # Named like one of the check's own modules, which must not stand in its way.
    write(folder / "drift.py", PREPROCESS)
    golden = write(folder / "golden.json", list(vectors) or [VECTOR])
    return PipelineParams(golden=golden, pipeline=f"drift:{function}", workdir=folder, **more)


async def test_requests_as_in_training_are_ok(tmp_path: Path) -> None:
    schema = write(tmp_path / "schema.toml", SCHEMA)
    context = context_with_body(tmp_path, {"instances": [GOOD, GOOD]})

    result = await run_check(CHECK, PipelineParams(schema_file=schema), context)

    assert result.status is CheckStatus.OK
    assert result.summary == "All 4 fields of 2 rows are as in training"
    assert result.result["schema"]["rows"] == 2
    assert result.result["golden"] is None


async def test_every_kind_of_violation_is_found(tmp_path: Path) -> None:
    schema = write(tmp_path / "schema.toml", SCHEMA)
    rows = [
        GOOD,
        {**GOOD, "hour": "3"},
        {**GOOD, "country": "XX", "amount": 1001},
        {**GOOD, "country": None, "extra": 1},
        {name: value for name, value in GOOD.items() if name != "amount"},
    ]
    records = write(tmp_path / "records.jsonl", "\n".join(map(json.dumps, rows)))

    params = PipelineParams(schema_file=schema, records=records)
    result = await run_check(CHECK, params, bare_context(tmp_path))

    fields = {one["name"]: one for one in result.result["schema"]["fields"]}
    assert result.status is CheckStatus.FAIL
    assert fields["hour"]["violations"] == {"type": 1}
    assert fields["country"]["violations"] == {"category": 1, "null": 1}
    assert fields["amount"]["violations"] == {"range": 1, "absent": 1}
    assert fields["extra"]["violations"] == {"unexpected": 1}
    assert fields["income"]["verdict"] == "ok"
    assert fields["amount"]["max"] == 1001
    assert '"XX"' in evidence_of(result, "pipeline.field", "country").statement
    assert evidence_of(result, "pipeline.schema").value == 4.0
    json.dumps(result.result)


@pytest.mark.parametrize(
    ("missing", "rows", "verdict"),
    [(100, 1000, Verdict.OK), (105, 1000, Verdict.OK), (400, 1000, Verdict.WARN), (1, 3, Verdict.OK)],
)
def test_missing_values_count_only_beyond_training_s_rate(missing: int, rows: int, verdict: Verdict) -> None:
    schema = Schema.model_validate({"fields": {"a": {"type": "number", "missing_rate": 0.1}}})

    (report,) = validate(schema, [{"a": None} if at < missing else {"a": 1.5} for at in range(rows)])

    assert (report.missing, report.verdict) == (missing, verdict)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("ab"), st.none() | st.booleans() | st.integers() | st.floats() | st.text())
    )
)
def test_any_rows_can_be_held_against_a_schema(rows: list[dict[str, Any]]) -> None:
    schema = Schema.model_validate({"fields": {"a": {"type": "integer", "min": 0, "max": 5, "length": 2}}})

    reports = {one.name: one for one in validate(schema, rows)}

    lacking = sum(row.get("a") is None or row["a"] != row["a"] for row in rows)
    assert reports["a"].missing == lacking
    assert ("b" in reports) == any("b" in row for row in rows)


def test_a_few_values_out_of_range_are_ordinary_and_many_are_not() -> None:
    schema = Schema.model_validate({"fields": {"a": {"type": "number", "max": 1}}})

    few = validate(schema, [{"a": 2 if at == 0 else 1} for at in range(1000)])[0]
    many = validate(schema, [{"a": 2 if at < 20 else 1} for at in range(1000)])[0]

    assert (few.verdict, many.verdict) == (Verdict.OK, Verdict.WARN)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"instances": [{"a": 1}]}, [{"a": 1}]),
        ({"inputs": [{"a": 1}]}, [{"a": 1}]),
        ({"dataframe_records": [{"a": 1}]}, [{"a": 1}]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        ({"a": 1, "b": "x"}, [{"a": 1, "b": "x"}]),
        (
            {
                "inputs": [
                    {"name": "a", "shape": [2], "datatype": "FP32", "data": [1, 2]},
                    {"name": "b", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
                ]
            },
            [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}],
        ),
    ],
)
def test_rows_are_found_in_the_usual_requests(body: Any, rows: Any) -> None:
    assert rows_of(body) == rows


@pytest.mark.parametrize(
    "body",
    [
        3,
        [],
        [1],
        {"instances": [[1, 2]]},
        {"inputs": [{"name": "a", "shape": [3], "data": [1, 2]}]},
        {"inputs": [{"data": 3}]},
        {"inputs": [{"name": "a", "shape": [-1], "data": [1]}]},
    ],
)
def test_requests_without_named_fields_are_refused(body: Any) -> None:
    with pytest.raises(CheckError):
        rows_of(body)


def test_a_json_schema_and_a_list_of_fields_are_understood(tmp_path: Path) -> None:
    standard = write(
        tmp_path / "a.json",
        {"type": "object", "properties": {"a": {"type": "number", "minimum": 0, "title": "A"}}, "required": ["a"]},
    )
    listed = write(tmp_path / "b.json", {"fields": [{"name": "a", "type": "number", "min": 0}], "extra": "allow"})

    assert load_schema(standard) == load_schema(listed)
    assert load_schema(write(tmp_path / "c.json", {"fields": {"a": "number"}})).fields["a"].type == "number"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.toml", "=", "is not TOML"),
        ("a.json", "[]", "correct the schema"),
        ("a.json", '{"fields": {}}', "fields"),
        ("a.json", '{"fields": {"a": {"type": "float"}}}', "fields.a.type"),
        ("a.json", '{"fields": {"a": {"kind": "x"}}}', "kind"),
    ],
)
async def test_a_broken_schema_is_an_error_with_its_place(tmp_path: Path, name: str, text: str, words: str) -> None:
    schema = write(tmp_path / name, text)

    result = await run_check(CHECK, PipelineParams(schema_file=schema), context_with_body(tmp_path, GOOD))

    assert result.status is CheckStatus.ERROR
    assert words in result.summary


@pytest.mark.parametrize("function", ["features", "served"])
async def test_preprocessing_that_gives_the_golden_features_is_correct(tmp_path: Path, function: str) -> None:
    result = await run_check(CHECK, golden_params(tmp_path, function), bare_context(tmp_path))

    assert not (tmp_path / "__pycache__").exists()
    assert result.status is CheckStatus.OK
    assert result.summary == f"drift:{function} gives the expected features for 1 golden vector"
    assert result.result["golden"]["vectors"][0]["ok"] is True


async def test_a_scaling_error_is_found_with_place_and_values(tmp_path: Path) -> None:
    params = golden_params(tmp_path, "crooked", VECTOR, {**VECTOR, "input": {"amount": 0, "hour": 0}, "expected": {}})

    result = await run_check(CHECK, params, bare_context(tmp_path))

    assert result.status is CheckStatus.FAIL
    assert result.summary == "drift:crooked fails 1 of 2 golden vectors; usual: $.x[0] is 5.0 instead of 0.5"
    assert evidence_of(result, "pipeline.golden").value == 1.0


@pytest.mark.parametrize(
    ("function", "status", "words"),
    [
        ("raises", CheckStatus.FAIL, "usual raised KeyError"),
        ("odd", CheckStatus.FAIL, "neither JSON nor an array"),
        ("dies", CheckStatus.ERROR, "ended without an answer (exit code 7)"),
        ("absent", CheckStatus.ERROR, "cannot be loaded: AttributeError"),
        ("nothing", CheckStatus.ERROR, "neither a function"),
    ],
)
async def test_code_that_fails_is_told(tmp_path: Path, function: str, status: CheckStatus, words: str) -> None:
    result = await run_check(CHECK, golden_params(tmp_path, function), bare_context(tmp_path))

    assert result.status is status
    assert words in result.summary
    assert "\x1b" not in result.summary


async def test_a_module_or_python_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    params = golden_params(tmp_path, "features")

    no_module = await run_check(CHECK, params.model_copy(update={"pipeline": "gone:f"}), bare_context(tmp_path))
    no_python = await run_check(CHECK, params.model_copy(update={"python": "/gone/python"}), bare_context(tmp_path))
    other_python = await run_check(CHECK, params.model_copy(update={"python": sys.executable}), bare_context(tmp_path))

    assert "--workdir" in no_module.summary
    assert "--python" in no_python.summary
    assert no_module.status is no_python.status is CheckStatus.ERROR
    assert other_python.status is CheckStatus.OK


async def until_written(path: Path) -> str:
    async with asyncio.timeout(20):
        while not (path.exists() and path.read_text()):
            await asyncio.sleep(0.01)
    return path.read_text()


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_pipeline_that_hangs_is_ended(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    vector = {"input": {"mark": str(mark)}, "expected": 1}
    params = golden_params(tmp_path, "hangs", vector, timeout_s=3.0)

    result = await run_check(CHECK, params, bare_context(tmp_path))

    assert result.status is CheckStatus.ERROR
    assert "longer than 3 s" in result.summary
    assert is_gone(int(mark.read_text()))


async def test_cancelling_leaves_no_process(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    params = golden_params(tmp_path, "hangs", {"input": {"mark": str(mark)}, "expected": 1})
    task = asyncio.create_task(run_check(CHECK, params, bare_context(tmp_path)))
    pid = int(await until_written(mark))
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert len(family) == 2

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(10):
        while not all(is_gone(one.pid) for one in family):
            await asyncio.sleep(0.01)


async def test_changed_code_is_told_against_the_baseline(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    for name in ("a.py", "b.py"):
        write(code / name, name)
    patterns = (f"{code}/*.py",)
    baseline = tmp_path / "baseline.json"
    params = PipelineParams(code=patterns)
    context = bare_context(tmp_path, baseline=baseline)

    without = await run_check(CHECK, params, context)
    write(baseline, {"format": 1, "checks": {"pipeline": {"result": dict(without.result)}}})
    same = await run_check(CHECK, params, context)
    write(code / "a.py", "changed")
    (code / "b.py").unlink()
    write(code / "c.py", "new")
    changed = await run_check(CHECK, params, context)
    write(baseline, "{")
    broken = await run_check(CHECK, params, context)

    assert without.status is CheckStatus.OK  # or the baseline would refuse it
    assert evidence_of(without, "pipeline.code_changed").verdict is Verdict.UNKNOWN
    assert "infdiag check baseline" in without.summary
    assert same.status is CheckStatus.OK
    assert changed.status is CheckStatus.WARN
    assert changed.result["code"]["changed"] == [f"{code}/{name}.py" for name in "abc"]
    assert broken.status is CheckStatus.ERROR


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "--schema"),
        ({"schema_file": "s.toml"}, "--records"),
        ({"golden": "g.json"}, "--pipeline"),
        ({"pipeline": "m:f"}, "--golden"),
        ({"pipeline": "m", "golden": "g.json"}, "module:function"),
    ],
)
async def test_missing_inputs_name_their_flags(tmp_path: Path, params: Any, words: str) -> None:
    result = await run_check(CHECK, PipelineParams(**params), bare_context(tmp_path))

    assert result.status is CheckStatus.SKIPPED
    assert words in result.summary


async def test_files_that_are_not_there_are_errors(tmp_path: Path) -> None:
    schema = write(tmp_path / "schema.toml", SCHEMA)
    context = bare_context(tmp_path)
    gone = tmp_path / "gone.json"
    empty = write(tmp_path / "empty.json", "[]")

    for params in (
        PipelineParams(schema_file=schema, records=gone),
        PipelineParams(schema_file=gone, records=gone),
        PipelineParams(schema_file=schema, records=empty),
        PipelineParams(code=(f"{tmp_path}/*.nothing",)),
        PipelineParams(golden=gone, pipeline="m:f"),
    ):
        result = await run_check(CHECK, params, context)
        assert result.status is CheckStatus.ERROR
        assert os.linesep not in result.summary


async def test_a_golden_vector_without_expected_features_is_refused(tmp_path: Path) -> None:
    result = await run_check(CHECK, golden_params(tmp_path, "features", {"input": {}}), bare_context(tmp_path))

    assert result.status is CheckStatus.ERROR
    assert "expected" in result.summary
