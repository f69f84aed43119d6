"""One vocabulary: what the code emits is what knowledge/evidence.toml names, and the other way round."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from infdiag_tui.knowledge.causes import evidence_kinds

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"logs.signature"}
"""Told by the library of log signatures, which makes its ids from data."""
FORMATTED = re.compile(r"latency\.p\d+|stages\.\w+")
"""Ids of streams that are put together of a name; all others must be written out."""
_ID = re.compile(r"[a-z]+\.[a-z0-9_.]+")


def sources() -> Iterator[Path]:
    yield from (ROOT / "infdiag_tui" / "findings").rglob("*.py")
    yield from (ROOT / "checks").rglob("*.py")


def carriers(trees: list[ast.Module]) -> set[str]:
    """`Evidence`, and every function with a parameter for an id, by name."""
    names = {"Evidence"}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and {"id_", "what"} & {arg.arg for arg in node.args.args}:
                names.add(node.name)
    return names


def patterns(node: ast.expr) -> Iterator[str]:
    """Strings in an argument as regular expressions: a literal as it is, what an f-string fills in as anything."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.JoinedStr):
            parts = (
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[a-z0-9_.]+" for part in inner.values
            )
            yield "".join(parts)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and _ID.fullmatch(inner.value):
            yield re.escape(inner.value)


def emitted() -> set[str]:
    """What may be an evidence id in the code: arguments of calls that carry one, and tables of ids."""
    trees = [ast.parse(path.read_text()) for path in sources()]
    names = carriers(trees)
    found: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                partial = called == "partial" and node.args and isinstance(node.args[0], ast.Name)
                if called in names or (partial and node.args[0].id in names):  # type: ignore[attr-defined]
                    for argument in (*node.args, *(word.value for word in node.keywords)):
                        found |= set(patterns(argument))
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
                for key in node.value.keys:
                    if key is not None:
                        found |= set(patterns(key))
    return found


def test_every_id_that_the_code_emits_is_known() -> None:
    known = evidence_kinds()
    groups = {id_.split(".")[0] for id_ in known}
    literal = {re.sub(r"\\(.)", r"\1", one) for one in emitted() if "[" not in one}
    # Metric and series names have the same shape: those of groups that evidence has count, unless they end in a unit.
    units = (
        "_ms",
        "_s",
        "_bytes",
        "_share",
        "_rate",
        "_cores",
        "_mhz",
        "_percent",
        "_failures",
        "_outputs",
        "_depth",
        "_size",
    )
    ids = {one for one in literal if one.split(".")[0] in groups and not one.endswith(units)}
    assert ids <= known.keys(), ids - known.keys()


def test_every_known_id_is_emitted_by_something() -> None:
    told = emitted()
    missing = {id_ for id_, kind in evidence_kinds().items() if not is_told(id_, told, by_checks=not kind.streams)}
    assert missing <= ELSEWHERE, missing - ELSEWHERE


def is_told(id_: str, told: set[str], *, by_checks: bool) -> bool:
    formatted = by_checks or FORMATTED.fullmatch(id_)
    return re.escape(id_) in told or bool(formatted and any("[" in one and re.fullmatch(one, id_) for one in told))


def test_evidence_of_streams_is_emitted_by_findings_and_not_only_by_checks() -> None:
    findings = [ast.parse(path.read_text()) for path in (ROOT / "infdiag_tui" / "findings").rglob("*.py")]
    strings = {
        one for tree in findings for node in ast.walk(tree) if isinstance(node, ast.expr) for one in patterns(node)
    }
    of_streams = {id_ for id_, kind in evidence_kinds().items() if kind.streams} - ELSEWHERE
    assert not {id_ for id_ in of_streams if not is_told(id_, strings, by_checks=False)}
