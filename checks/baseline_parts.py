"""What a baseline is made of: figures of a healthy hour with times and sample sizes, and a reason for each gap."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.base import CheckError
from infdiag_tui.model import LatencyView, LatencyWindow, Snapshot
from infdiag_tui.text import clean, one_line

FORMAT = 1
MAX_DOCUMENT_BYTES = 8_000_000
_QUANTILES = ("p50", "p95", "p99")
_KEPT_OF_PREDICTIONS = ("column", "distribution", "classes", "current", "current_mean")
_EVIDENCE_FIELDS = ("id", "value", "unit", "subject", "sample_size", "low", "high")


@dataclass(frozen=True, slots=True)
class Document:
    """What an earlier check printed or left: its name, its status, its result and evidence, and when it was written."""

    check: str
    status: str
    result: Mapping[str, Any]
    evidence: tuple[Mapping[str, Any], ...]
    path: Path
    at: float


def read_documents(named: Iterable[Path], folder: Path) -> list[Document]:
    """The newest document of every check among the named files and the JSON files of the incident's folder. Blocking.

    Raises:
        CheckError: a named file is none of a check.
    """
    documents = []
    for path in named:
        found = _read(path)
        if found is None:
            raise CheckError(f"{path} is no result of a check: save one with `infdiag check NAME --json`")
        documents.append(found)
    for path in sorted((*folder.glob("*.json"), *folder.glob("checks/*.json"))):
        found = _read(path)
        if found is not None:
            documents.append(found)
    newest: dict[str, Document] = {}
    for one in documents:
        if one.check not in newest or one.at > newest[one.check].at:
            newest[one.check] = one
    return list(newest.values())


def _read(path: Path) -> Document | None:
    try:
        state = path.stat()
        small = state.st_size <= MAX_DOCUMENT_BYTES
        content = json.loads(path.read_bytes(), parse_constant=_no_constant) if small else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("check"), str) and isinstance(content.get("result"), dict):
        evidence = content.get("evidence")
        rows = tuple(one for one in evidence if isinstance(one, dict)) if isinstance(evidence, list) else ()
        status = str(content.get("status", ""))
        return Document(content["check"], status, content["result"], rows, path, state.st_mtime)
    if path.name == "stages.json" and isinstance(content.get("stages"), dict):
        # The artifact of the check `stages`, which has no wrapper.
        verdicts = {str(one.get("verdict")) for one in content["stages"].values() if isinstance(one, dict)}
        status = next((word for word in ("fail", "warn") if word in verdicts), "ok")
        return Document("stages", status, content, (), path, state.st_mtime)
    return None


def _no_constant(name: str) -> None:
    """NaN and infinities are no JSON, and no figure to compare with."""
    raise ValueError(name)


def latency(snapshot: Snapshot, min_requests: int) -> tuple[dict[str, Any], str]:
    """Quantiles by target, and why there are none."""
    found = {view.target: _target(view, window) for view in snapshot.latency if (window := _window(view, min_requests))}
    if found:
        return found, ""
    seen = max((window.answered for view in snapshot.latency for window in view.windows), default=0)
    return {}, f"{seen} answered probe requests are too few, {min_requests} are needed: watch for longer"


def _window(view: LatencyView, min_requests: int) -> LatencyWindow | None:
    """The window of the most replies: what is healthy is no matter of the last minute."""
    enough = [window for window in view.windows if window.answered >= min_requests]
    return max(enough, key=lambda window: window.answered, default=None)


def _target(view: LatencyView, window: LatencyWindow) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "window_s": window.window_s,
        "sample_size": window.answered,
        "error_rate": window.error_rate,
        "at": view.last.at if view.last is not None else None,
        "missing": {},
    }
    for name in _QUANTILES:
        quantile = getattr(window, name)
        known = quantile is not None and quantile.is_figure
        kept[f"{name}_ms"] = quantile.value_ms if known else None
        kept[f"{name}_low_ms"] = quantile.low_ms if known else None
        kept[f"{name}_high_ms"] = quantile.high_ms if known else None
        if not known:
            kept["missing"][f"{name}_ms"] = f"{window.answered} replies do not bound it"
    return kept


def memory(snapshot: Snapshot) -> tuple[dict[str, Any], str]:
    """Memory in use by pods, GPUs and processes, in bytes, with the time of each reading."""
    pods = {key: {"bytes": used.memory_bytes, "at": used.at} for key, used in snapshot.usage.items()}
    gpus = {
        gpu.uuid: {"bytes": gpu.memory_used_bytes, "at": gpu.at}
        for gpu in snapshot.gpus
        if gpu.memory_used_bytes is not None and not gpu.lost
    }
    processes = {
        one.looked_for: {"bytes": one.rss_bytes, "at": one.at}
        for one in snapshot.processes
        if one.rss_bytes is not None
    }
    found = {"pods": pods, "gpus": gpus, "processes": processes}
    if not any(found.values()):
        return {}, "no source gave memory in use"
    return found, ""


def version(snapshot: Snapshot) -> tuple[dict[str, Any], str]:
    """Model versions that replies named, and the digests of the containers' images."""
    replies = {
        view.target: view.last.model_version for view in snapshot.latency if view.last and view.last.model_version
    }
    digests = {
        f"{pod.key}/{container.name}": container.digest
        for pod in snapshot.pods
        for container in pod.containers
        if container.digest
    }
    if not replies and not digests:
        return {}, "no reply named a version and no pod an image digest; hand in `infdiag check version --json`"
    return {"replies": replies, "digests": digests, "at": snapshot.at}, ""


def schema(path: Path) -> dict[str, Any]:
    """The file's SHA-256; that of a JSON file does not change with its spaces and the order of its keys. Blocking.

    Raises:
        CheckError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckError(f"the schema {path} cannot be read: {error.strerror}") from error
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        canonical = content
    else:
        canonical = json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return {"file": str(path), "sha256": hashlib.sha256(canonical).hexdigest()}


def from_document(document: Document) -> dict[str, Any]:
    """What a baseline keeps of a check's result."""
    kept: dict[str, Any] = {}
    if document.check == "stages":
        stages = document.result.get("stages")
        return {
            one_line(clean(str(name)), 60): stage
            for name, stage in (stages.items() if isinstance(stages, Mapping) else ())
            if isinstance(stage, Mapping) and _is_number(stage.get("ms"))
        }
    if document.check == "predictions":
        kept = {name: document.result[name] for name in _KEPT_OF_PREDICTIONS if name in document.result}
    else:
        kept = dict(document.result)
    kept["evidence"] = [{name: one.get(name) for name in _EVIDENCE_FIELDS} for one in document.evidence]
    return kept


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def write(path: Path, content: Mapping[str, Any]) -> Path | None:
    """Writes the baseline so that a reader finds the old one or the new one, never half of one. Blocking.

    Returns:
        where the baseline that it replaced is kept, or None when there was none.

    Raises:
        CheckError: it cannot be written; the old one is still there.
    """
    previous = path.with_name(f"{path.stem}.previous.json")
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        replaced = path.exists()
        if replaced:
            shutil.copy2(path, previous)
        Path(temporary).replace(path)
    except OSError as error:
        raise CheckError(f"the baseline cannot be written to {path}: {error.strerror}") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    return previous if replaced else None


def read_previous(path: Path) -> dict[str, Any]:
    """The baseline that was replaced, to compare with; empty where it cannot be read. Blocking."""
    try:
        content = json.loads(path.read_bytes(), parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
