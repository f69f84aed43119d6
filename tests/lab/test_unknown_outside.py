"""Nothing outside of the lab knows what the lab calls things: a diagnosis rests on what is observed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from infdiag_tui.knowledge.causes import causes
from infdiag_tui.knowledge.symptoms import SYMPTOMS
from infdiag_tui.lab.dialects import dialects
from infdiag_tui.lab.scenarios import all_scenarios

ROOT = Path(__file__).parents[2]
FOLDERS = ("infdiag_tui", "widgets", "checks")
LEAST = 20
"""Shorter pieces of a log line are ordinary words."""
OTHERS_WORDS = {"device_error", "device_memory", "fallback", "started", "listening", "stopping", "finished", "access"}
"""Lines that CUDA, PyTorch, ONNX Runtime, uvicorn and gunicorn write: lab and signatures both have them from there."""


def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    return [path for path in found if not {"lab", "__pycache__"}.intersection(path.relative_to(ROOT).parts)]


def read_by_program(path: Path) -> Iterator[str]:
    """What can decide anything: all of a data file; of code its strings, but for help texts and docstrings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield text
        return
    tree = ast.parse(text)
    told = {id(part) for node in ast.walk(tree) for words in _only_told(node) for part in ast.walk(words)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def _only_told(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call):
        return [keyword.value for keyword in node.keywords if keyword.arg in ("description", "help", "epilog")]
    return [node.value] if isinstance(node, ast.Expr) else []


def names() -> set[str]:
    """Of scenarios, apps, images, nodes, metrics."""
    scenarios = set(all_scenarios()) - causes().keys() - SYMPTOMS.keys()
    found = {f'"{name}"' if "-" not in name else name for name in scenarios}
    for one in dialects():
        found |= {one.app, one.image, f"{one.logger}.", *one.nodes, one.template_hash, one.digest}
        own = re.compile(rf"^(?:{re.escape(one.logger)}|{re.escape(one.app.replace('-', '_'))})_")
        found |= {name for name in one.metrics.values() if own.match(name)}
    return found


def log_lines() -> set[str]:
    """The fixed pieces of what the lab's servers log."""
    texts = [text for one in dialects() for key, text in one.words.items() if key not in OTHERS_WORDS]
    pieces = (piece.strip() for text in texts for piece in re.split(r"%(?:\(\w+\))?[-0-9.]*[a-z%]", text))
    return {piece for piece in pieces if len(piece) >= LEAST}


def test_no_name_and_no_line_of_the_lab_is_read() -> None:
    known = names() | log_lines()
    assert len(known) > 60
    assert "fraud_scorer_queue_depth" in known
    looked_at = files()
    assert len(looked_at) > 300
    found = [
        (str(path.relative_to(ROOT)), name, text[:80])
        for path in looked_at
        for text in read_by_program(path)
        for name in known
        if name in text
    ]
    assert not found


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text('"""fraud-scorer"""\nfield(description="fraud-scorer")\nif name == "fraud-scorer": pass\n')
    assert list(read_by_program(path)) == ["fraud-scorer"]
