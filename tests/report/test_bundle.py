"""What is handed on with a report: page, JSON, charts, regression test; and what hostile text can do in them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import stat
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui import cli
from infdiag_tui.config import Endpoint, ModelConfig
from infdiag_tui.diagnosis import diagnose
from infdiag_tui.knowledge.causes import causes
from infdiag_tui.model import Evidence, Snapshot, Verdict
from infdiag_tui.report.bundle import incident_document, write_bundle
from infdiag_tui.report.charts import POINTS
from infdiag_tui.report.page import page
from infdiag_tui.report.regression import regression_test
from infdiag_tui.report.svg import chart_svg
from tests.screens.scripted import NOW, incident_snapshot
from tests.support import serving_app

SCHEMA = json.loads(Path("infdiag_tui/report/document.schema.json").read_text())


def diagnosed() -> Snapshot:
    snapshot = incident_snapshot()
    found = [
        Evidence("pods.oom_killed", "a pod was OOMKilled", Verdict.FAIL, "pods", NOW, subject="ml/a", since=NOW - 60),
        Evidence("pods.memory_slope", "memory grows by 12 MiB/min", Verdict.FAIL, "pods", NOW, subject="ml/a"),
    ]
    evidence = (*snapshot.evidence, *found)
    return dataclasses.replace(snapshot, evidence=evidence, diagnosis=diagnose(evidence, causes()))


def test_the_document_keeps_to_its_schema() -> None:
    whole = incident_document(diagnosed())
    jsonschema.validate(whole, SCHEMA)
    assert whole["root_cause"] == "memory-leak"
    assert {"Latency", "Memory of the pods"} <= {chart["title"] for chart in whole["charts"]}
    assert all(len(line["points"]) <= POINTS for chart in whole["charts"] for line in chart["lines"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**whole, "hypotheses": [{"cause": "x"}]}, SCHEMA)


def test_the_files_are_private_and_a_page_needs_nothing_else(tmp_path: Path) -> None:
    written = write_bundle(diagnosed(), tmp_path, {"x.yml": "groups: []\n"})
    assert [path.name for path in written] == ["report.json", "report.html", "x.yml"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in written)
    text = (tmp_path / "report.html").read_text()
    assert "<svg" in text
    assert not re.search(r"<script|<img|<link|<iframe|\bsrc=|\bhref=\"http|url\(", text)
    assert "default-src 'none'" in text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://evil.example/a.png)",
    "[click](javascript:alert(1))",
    "<http://evil.example>",
    "</style><script>",
    "\x1b]52;c;aGk=\x07",
    "```\n<b>\n```",
    "[^1]: <i onclick=x>",
    "| a | <u> |",
]


@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=20), max_size=6))
def test_hostile_words_reach_the_page_as_words(parts: list[str]) -> None:
    document = {"model": parts[0] if parts else "m", "infdiag": "1", "duration_s": 1.0, "started": "now", "charts": []}
    tags = Tags()
    tags.feed(page(document, "# Report\n\n" + "\n".join(parts)))
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "iframe", "object", "i", "u", "b"}
    for tag, attributes in tags.seen:
        for name, value in attributes:
            assert not name.startswith("on"), (tag, name)
            assert name != "href" or str(value).startswith("#"), value
            assert name != "src"


numbers = st.floats(-1e12, 1e12)
lines = st.lists(st.tuples(st.floats(0, 2e9), numbers), min_size=1, max_size=30)


@given(st.lists(lines, max_size=4), st.lists(numbers, max_size=2), st.text(max_size=20))
def test_every_chart_is_well_formed(drawn: list[Any], limits: list[float], name: str) -> None:
    chart = {
        "title": name,
        "unit": name,
        "lines": [{"name": name, "points": [list(point) for point in sorted(points)]} for points in drawn],
        "limits": [{"value": value, "name": name} for value in limits],
        "events": [{"at": drawn[0][0][0], "name": name}] if drawn else [],
    }
    text = chart_svg(chart)
    assert bool(text) == bool(drawn)
    if text and name.isprintable():
        ET.fromstring(text)


def test_a_saved_report_is_printed_with_the_draft_as_it_is_now(tmp_path: Path, capfdbinary: Any) -> None:
    write_bundle(diagnosed(), tmp_path)
    (tmp_path / "report.md").write_text("## Inference Diagnostic Report: m\n\nrolled back at four\n")
    for kind, said in (("md", b"rolled back"), ("html", b"<p>rolled back at four</p>"), ("json", b'"root_cause"')):
        assert cli.main(["report", str(tmp_path), "--format", kind]) == 0
        assert said in capfdbinary.readouterr().out


@pytest.mark.parametrize(
    ("files", "kind", "said"),
    [
        ({}, "md", "holds no report.md"),
        ({"report.md": "x"}, "html", "holds no report.json"),
        ({"report.md": "x", "report.json": "[1]"}, "html", "is no incident of infdiag"),
        ({"report.md": "x", "report.json": "{"}, "html", "is no incident of infdiag"),
    ],
)
def test_what_cannot_be_shown_is_told(
    files: dict[str, str], kind: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert cli.main(["report", str(tmp_path), "--format", kind]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "/no/such/incident"]) == 2
    assert "no such folder" in capsys.readouterr().err


async def served(fault: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the generated test against a real server with or without a fault."""

    async def predict(_request: web.Request) -> web.Response:
        score = "NaN" if fault == "nan" else "0.25"
        version = "1.9" if fault == "version" else "2.0"
        return web.Response(text=f'{{"score": {score}, "model_version": "{version}"}}', content_type="application/json")

    app = web.Application()
    app.router.add_post("/predict", predict)
    async with serving_app(app) as url:
        limit_ms = 0.001 if fault == "slow" else 10_000.0
        endpoint = Endpoint(url=f"{url}/predict", body={"x": [1, 2]}, objective_p99_ms=limit_ms)
        model = ModelConfig(endpoint=endpoint, checks={"version": {"expected": "2.0"}})
        text = regression_test(diagnosed(), model, b'{"x": [1, 2]}')
        (folder / "test_regression.py").write_text(text)
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=folder,
            env={**os.environ, "PYTEST_ADDOPTS": ""},
        )


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        ("", []),
        ("slow", ["test_the_known_good_input_is_answered_in_time"]),
        ("nan", ["test_the_answer_holds_finite_numbers_only"]),
        ("version", ["test_the_expected_version_answers"]),
    ],
)
async def test_the_regression_test_fails_on_the_fault_and_passes_without(
    fault: str, failing: list[str], tmp_path: Path
) -> None:
    done = await served(fault, tmp_path)
    assert re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE) == failing, done.stdout
    assert done.returncode == bool(failing)


def test_no_secret_is_written_into_the_regression_test() -> None:
    endpoint = Endpoint(url="http://ana:hunter2@model:8000/predict", headers={"Authorization": "Bearer abcdef123456"})
    body = b'{"api_key": "sk-live-abcdefghijklmnopqrstuvwx"}'
    text = regression_test(diagnosed(), ModelConfig(endpoint=endpoint), body)
    assert "hunter2" not in text
    assert "abcdef123456" not in text
    assert "sk-live" not in text
    assert 'os.environ["INFDIAG_TEST_BODY"]' in text
    compile(text, "test_regression.py", "exec")


def test_without_a_confirmed_cause_there_is_no_regression_test() -> None:
    endpoint = Endpoint(url="http://model:8000/predict")
    assert regression_test(incident_snapshot(), ModelConfig(endpoint=endpoint), None) == ""
