"""What is written about causes and symptoms is complete, leads somewhere, and its commands would be understood."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.registry import all_checks
from infdiag_tui import cli
from infdiag_tui.check_flags import add_flags, read_params
from infdiag_tui.knowledge import SYMPTOMS
from infdiag_tui.knowledge.causes import Cause, causes, dangling, evidence_kinds
from infdiag_tui.knowledge.guidance import DEBUGGING, MONITORING, Guidance
from tests.support import need_tool

GUIDANCE = Guidance(causes())
PAGES = GUIDANCE.names()
CAUSES = sorted(causes())
SECTIONS = ("How to recognise it", "Look-alikes", "First check", "By hand", "Afterwards")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]+\]\(([^)]+)\)")
_COMMAND = re.compile(r"(?:^|[|;&(]\s*|\s)infdiag ([a-z]+)([^\n|;]*)", re.MULTILINE)
_EVIDENCE = re.compile(r"[a-z]+\.[a-z0-9_.]+")
# Words that stand for what an operator fills in, where a parameter wants a number or a hash.
_FILLED_IN = {"PID": "4711", "SHA256": "a" * 64, "sha256:DIGEST": "sha256:" + "a" * 64}


def blocks(text: str, language: str) -> list[str]:
    return [body for kind, body in _FENCE.findall(text) if kind == language]


def code(text: str) -> Iterator[str]:
    """What is written as code: fenced blocks and spans."""
    yield from (body for _, body in _FENCE.findall(text))
    yield from _CODE.findall(_FENCE.sub("", text))


def prose(cause: Cause) -> dict[str, str]:
    assert cause.prevention is not None
    return {
        "summary": cause.summary,
        "immediate_fix": cause.immediate_fix,
        "long_term_fix": cause.long_term_fix,
        "metric": cause.prevention.metric,
        "condition": cause.prevention.condition,
        "test_case": cause.prevention.test_case,
    }


@pytest.mark.parametrize("cause_id", CAUSES)
def test_every_cause_has_complete_prose(cause_id: str) -> None:
    cause = causes()[cause_id]
    for key, text in prose(cause).items():
        assert len(text) > 20, key
        assert text == " ".join(text.split()), f"{key} is one line, without blanks to spare"
        assert "<" not in text, f"{key}: words instead of angle brackets"
        if key in ("metric", "condition", "test_case"):  # these complete a sentence of the report
            assert not text.endswith("."), key
            assert text[0].islower() or text.split()[0].rstrip(",") in {"CPU", "DNS", "GPU", "PSI", "SM", "Xid"}, key
        else:
            assert text.endswith("."), key
    sentences = re.findall(r"[.!?](?: |$)", cause.summary)
    assert 2 <= len(sentences) <= 4, cause.summary
    assert cause.guidance == cause_id


def test_every_reference_of_the_causes_leads_somewhere_pages_included() -> None:
    assert [str(one) for one in dangling(causes(), SYMPTOMS, all_checks(), PAGES)] == []


def test_there_is_a_page_for_every_symptom_and_cause_and_the_two_general_ones() -> None:
    assert set(PAGES) == {*SYMPTOMS, *causes(), DEBUGGING, MONITORING}
    for name in PAGES:
        assert GUIDANCE.page(name).startswith(f"# {GUIDANCE.title(name)}\n")


@pytest.mark.parametrize("cause_id", CAUSES)
def test_a_causes_page_says_what_it_must(cause_id: str) -> None:
    cause, page = causes()[cause_id], GUIDANCE.page(cause_id)
    assert GUIDANCE.title(cause_id) == cause.title
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == [*SECTIONS, "Immediate fix", "Long-term fix", "Prevention"]
    for text in prose(cause).values():
        if text != cause.summary:
            assert text in page
    first = page.partition("## First check")[2].partition("## By hand")[0]
    assert f"infdiag check {cause.first_check}" in first
    assert blocks(page.partition("## By hand")[2], "bash") or blocks(page, "python")
    measured = {rule.evidence for rule in (*cause.supports, *cause.refutes)}
    named = {one for one in _CODE.findall(page) if one in evidence_kinds()}
    assert measured & named, "the page names the evidence that the cause is weighed by"
    own_lines = page.partition("\n## Immediate fix")[0].count("\n")
    assert 20 <= own_lines <= 75


@pytest.mark.parametrize("name", PAGES)
def test_links_and_evidence_of_a_page_lead_somewhere(name: str) -> None:
    page = GUIDANCE.page(name)
    for target in _LINK.findall(page):
        assert target.removesuffix(".md") in PAGES, target
    areas = {one.partition(".")[0] for one in evidence_kinds()}
    for span in _CODE.findall(_FENCE.sub("", page)):
        if _EVIDENCE.fullmatch(span) and span.partition(".")[0] in areas:
            assert span in evidence_kinds() or span.endswith((".stat", ".events")), span


def commands(text: str) -> list[tuple[str, str]]:
    return [found for piece in code(text) for found in _COMMAND.findall(piece)]


def all_texts() -> dict[str, str]:
    texts = {name: GUIDANCE.page(name) for name in PAGES}
    return {**texts, **{f"{name} (causes)": "\n".join(prose(one).values()) for name, one in causes().items()}}


@pytest.mark.parametrize(("name", "text"), all_texts().items(), ids=all_texts())
def test_no_command_of_infdiag_is_mentioned_that_it_would_not_take(name: str, text: str) -> None:
    known = all_checks()
    for command, rest in commands(text):
        assert command in {"check", "triage", "demo", "lab"}, f"{name}: infdiag {command}"
        if command != "check":
            continue
        words = [_FILLED_IN.get(word, word) for word in shlex.split(rest)]
        check = known[words[0]]
        parser = argparse.ArgumentParser(conflict_handler="resolve", exit_on_error=False)
        parser.add_argument("what", nargs="?")
        parser.add_argument("--yes", action="store_true")
        cli._add_target_flags(parser)
        add_flags(parser, check.params)
        given, unknown = parser.parse_known_args(words[1:])
        assert not unknown, f"{name}: infdiag check {' '.join(words)}"
        read_params(check.params, {}, given, name)


def test_a_command_that_infdiag_would_not_take_is_noticed() -> None:
    assert commands("try\n```bash\ninfdiag check drift M --horoscope\n```\nor `infdiag divine`") == [
        ("check", " drift M --horoscope"),
        ("divine", ""),
    ]


@pytest.mark.parametrize("name", PAGES)
def test_shell_and_python_blocks_are_valid(name: str) -> None:
    page = GUIDANCE.page(name)
    for block in blocks(page, "bash"):
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False, timeout=20)
        assert done.returncode == 0, done.stderr
    for block in blocks(page, "python"):
        ast.parse(block)
    assert {kind for kind, _ in _FENCE.findall(page)} <= {"bash", "python", "promql"}


def test_promql_blocks_are_valid(tmp_path: Path) -> None:
    promtool = need_tool("promtool", "prometheus")
    rules = ["groups:\n- name: pages\n  rules:\n"]
    for name in PAGES:
        for block in blocks(GUIDANCE.page(name), "promql"):
            expression = "".join(f"      {line}\n" for line in block.splitlines())
            rules.append(f"  - record: page:{name.replace('-', '_')}:{len(rules)}\n    expr: |\n{expression}")
    file = tmp_path / "pages.yml"
    file.write_text("".join(rules))
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr + done.stdout


SPECIFIED = {
    DEBUGGING: (
        "Slow inference batch size, hardware, model size profile a request",
        "Accuracy drop data drift, concept drift, stale model compare distributions",
        "High latency variance cold starts, garbage collection, resource contention check p99 against p50",
        "OOM errors batch size, memory leaks, model size monitor memory usage",
        "Intermittent failures resource exhaustion, race conditions check concurrent load",
        "Wrong predictions input preprocessing, model version validate the input pipeline",
        "Production failures are usually not model bugs",
    ),
    "slow-inference": (
        "Preprocessing < 10 ms optimise transforms",
        "Model inference 10 to 100 ms quantise, batch, GPU",
        "Postprocessing < 10 ms simplify output",
        "Network, I/O < 5 ms check serialisation",
        *("Enable batching", "Use ONNX Runtime or TensorRT", "Quantise the model (INT8", "Increase GPU memory"),
        "Enable CUDA graphs",
    ),
    "oom": (
        *("Reduce the batch size", "torch.cuda.empty_cache()", "gradient checkpointing"),
        "Quantise to a smaller precision",
    ),
    "accuracy-drop": (
        "Data drift input distribution changed KS test, PSI retrain on new data",
        "Concept drift relationship changed monitor accuracy retrain the model",
        "Label drift target distribution changed monitor predictions investigate the cause",
        "1. [ ] Compare the input distribution with the training data",
        "2. [ ] Check that the preprocessing pipeline is unchanged",
        "3. [ ] Verify that the model version is correct",
        "4. [ ] Check for upstream data changes",
        "5. [ ] Compare with a shadow model",
    ),
}
"""What the specification's tables and lists say, by the page that must say it: rows without their bars and links."""


@pytest.mark.parametrize("name", SPECIFIED)
def test_the_specifications_tables_stand_where_they_belong(name: str) -> None:
    plain = _LINK.sub(lambda match: match[0][1 : match[0].index("]")], GUIDANCE.page(name))
    plain = " ".join(plain.replace("|", " ").split())
    for row in SPECIFIED[name]:
        assert row in plain, row


@pytest.mark.parametrize("name", [DEBUGGING, MONITORING])
def test_the_general_pages_are_substantial(name: str) -> None:
    assert 100 <= GUIDANCE.page(name).count("\n") <= 200
    assert GUIDANCE.page(name).count("\n## ") >= 6


def test_a_symptoms_page_lists_the_causes_that_explain_it_the_likeliest_first() -> None:
    page = GUIDANCE.page("oom")
    listed = [target.removesuffix(".md") for target in _LINK.findall(page.partition("## Causes that show")[2])]
    weights = [causes()[one].symptoms["oom"] for one in listed]
    assert weights == sorted(weights, reverse=True)
    assert set(listed) == {name for name, one in causes().items() if one.symptoms.get("oom", 0) > 0}
