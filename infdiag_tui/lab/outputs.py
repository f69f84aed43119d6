"""The files that point an operator at the lab: an infdiag.toml and a kubeconfig."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infdiag_tui.lab.dataset import Dataset
from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.repository import MODEL_FILE, Repository

_OWNER_ONLY = 0o600
OBJECTIVE_P99_MS = 300
"""The p99 that the service promises: several times what it usually takes."""
PROBE_RATE_PER_S = 2.0


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read; it holds a token or points at one."""
    path.touch(mode=_OWNER_ONLY)
    path.chmod(_OWNER_ONLY)
    path.write_text(text)


def kubeconfig(server: str, token: str, authority: str, namespace: str) -> str:
    """A kubeconfig for the lab's cluster, with a second context for a namespace without permissions."""

    def context(name: str, in_namespace: str) -> dict[str, Any]:
        return {"name": name, "context": {"cluster": "lab", "user": "on-call", "namespace": in_namespace}}

    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority.encode()).decode()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "on-call", "user": {"token": token}}],
        "contexts": [context("lab", namespace), context("restricted", "restricted")],
        "current-context": "lab",
    }
    # JSON is YAML, and every reader of kubeconfigs takes it.
    return json.dumps(content, indent=2) + "\n"


def config(
    names: Dialect,
    *,
    predict_url: str,
    body: Mapping[str, Any],
    log_file: Path,
    kubeconfig_path: Path,
    dcgm_url: str,
    server_port: int,
    dataset: Dataset,
    repository: Repository,
) -> str:
    """An infdiag.toml with one model, as its team would have written it: the same whatever will go wrong."""
    sections: dict[str, dict[str, Any]] = {
        "endpoint": {
            "url": predict_url,
            "body": body,
            "rate_per_s": PROBE_RATE_PER_S,
            "objective_p99_ms": OBJECTIVE_P99_MS,
        },
        # The gateway's log; what the replicas say comes from their pods.
        "logs": {"files": [str(log_file)]},
        "kubernetes": {
            "kubeconfig": str(kubeconfig_path),
            "namespace": names.namespace,
            "selector": names.selector,
            "usage_interval_s": 3,
        },
        "gpu": {"nvml": False, "dcgm_url": dcgm_url},
        "metrics": {"interval_s": 2},
        # The first replica runs on this machine too.
        "host": {"port": server_port},
        **{f"checks.{name}": values for name, values in _checks(names, dataset, repository).items()},
    }
    model = f"models.{_toml(names.app)}"
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{model}.{section}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _checks(names: Dialect, dataset: Dataset, repository: Repository) -> dict[str, dict[str, Any]]:
    """What the team keeps for the checks of the protocol."""

    def data(name: str) -> str:
        return str(dataset.path(name))

    total = f'{names.metrics["duration"]}{{route="{names.predict_path}"}}'
    stages = {stage: names.metrics[stage] for stage in ("queue", "preprocess", "inference", "postprocess")}
    return {
        "reproduce": {"cases": data("cases.json"), "repeat": 3},
        "stages": {"stage": [f"{stage}={metric}" for stage, metric in {**stages, "total": total}.items()]},
        "drift": {
            "reference": data("training.csv"),
            "production": data("requests.jsonl"),
            "exclude": ["time", "merchant"],
        },
        "predictions": {
            "current": data("predictions.jsonl"),
            "historical": data("past_predictions.jsonl"),
            "column": "fraud_probability",
        },
        "labels": {
            "current": data("outcomes.jsonl"),
            "historical": data("past_outcomes.jsonl"),
            "prediction": "prediction",
            "label": "label",
            "time": "time",
        },
        "pipeline": {
            "schema_file": data("schema.json"),
            "records": data("requests.jsonl"),
            "golden": data("golden.json"),
            "pipeline": "features:to_features",
            "workdir": str(repository.release),
        },
        "version": {
            "expected": names.version,
            "expected_digest": names.digest,
            "expected_hash": [repository.expected_hash],
            "file": [str(repository.models / MODEL_FILE)],
            "max_age_days": 90,
        },
    }


def _toml(value: Any) -> str:
    """A TOML value on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # TOML's basic strings, numbers and booleans are written as JSON's are.
    return json.dumps(value)
