"""What tests of data checks share: a context, and files written as operators write them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from checks.base import CheckContext
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import CheckResult, Evidence, Progress


def context(folder: Path, reports: list[Progress] | None = None) -> CheckContext:
    return CheckContext(
        model_name="fraud",
        model=ModelConfig(),
        folder=folder,
        now=lambda: 1_700_000_000.0,
        report=(reports if reports is not None else []).append,
    )


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for row in rows))
    return path


def by_id(result: CheckResult, name: str) -> list[Evidence]:
    return [evidence for evidence in result.evidence if evidence.id == name]
