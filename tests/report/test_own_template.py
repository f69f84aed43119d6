"""An own template of the report: used when it is whole, else refused with file, line and remedy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.model import SourceState
from infdiag_tui.report.draft import built_in_template
from infdiag_tui.report.own_template import load_template
from infdiag_tui.session import TEMPLATE, Session
from infdiag_tui.start import own_template
from infdiag_tui.targets import Target
from tests.support import eventually


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "ours.md"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_without_one_the_specifications_is_used() -> None:
    assert load_template(None).text == built_in_template()
    assert not load_template(None).problem


def test_a_whole_one_is_used_in_its_own_words_and_order(tmp_path: Path) -> None:
    text = built_in_template().replace("**Symptom**: {symptom}", "What the customer sees: {symptom}") + "\nOwner: us\n"
    assert load_template(written(tmp_path, text)).text == text
    fewer = text.replace("- Pods: {pods}\n", "")
    assert load_template(written(tmp_path, fewer.replace("\n", "\r\n"))).text == fewer


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda text: text.replace("{symptom}", "{symtom}"),
            "line 5: there is no slot {symtom}. Did you mean {symptom}? The built-in",
        ),
        (lambda text: text.replace("### Solution", "### Fix"), "the heading '### Solution' is missing. Add it"),
        (
            lambda text: f"```\n{text}\n```\n",
            "the heading '## Inference Diagnostic Report: {model}' is missing. Add it",
        ),
        (lambda text: text + "{pods}\n", "slot {pods} is in line 27 already. Keep one of them"),
        (lambda text: text + "{xyzzyplugh}\n", "there is no slot {xyzzyplugh}. See infdiag_tui/report/template.md"),
        (lambda text: text.encode() + b"\xff", "is no UTF-8. Save it as UTF-8"),
        (lambda text: text * 300, "is larger than 256,000 bytes"),
    ],
)
def test_one_with_an_error_is_refused(tmp_path: Path, change: Callable[[str], str | bytes], said: str) -> None:
    path = written(tmp_path, change(built_in_template()))
    found = load_template(path)
    assert found.text == built_in_template()
    assert found.problem.startswith(f"{path}: ")
    assert said in found.problem
    assert found.problem.endswith("The built-in template is used.")


def test_what_cannot_be_read_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    assert "No such file" in load_template(tmp_path / "none.md").problem
    os.mkfifo(tmp_path / "pipe.md")
    assert "is no regular file" in load_template(tmp_path / "pipe.md").problem


async def test_a_refused_one_is_told_on_the_screen_and_the_report_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, "# ours\n{symtom}\n")
    target = Target("m", "oom", ModelConfig(), Config(report_template=path))
    session = Session(target, (), tmp_path, SystemClock(), None, own_template(target))
    running = asyncio.create_task(session.run())
    health = session.snapshot().sources[TEMPLATE]
    await eventually(lambda: session.snapshot().draft.saved_at is not None)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert health.state is SourceState.DEGRADED
    assert "line 2: there is no slot {symtom}" in health.reason
    assert "line 2: there is no slot {symtom}" in caplog.text
    assert "### Root Cause" in (tmp_path / "report.md").read_text()
