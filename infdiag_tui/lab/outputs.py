"""The files that point an operator at the lab: an infdiag.toml and a kubeconfig."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infdiag_tui.lab.manifests import APP, NAMESPACE, SELECTOR

_OWNER_ONLY = 0o600


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read; it holds a token or points at one."""
    path.touch(mode=_OWNER_ONLY)
    path.chmod(_OWNER_ONLY)
    path.write_text(text)


def kubeconfig(server: str, token: str, authority: str) -> str:
    """A kubeconfig for the lab's cluster, with a second context for a namespace without permissions."""

    def context(name: str, namespace: str) -> dict[str, Any]:
        return {"name": name, "context": {"cluster": "lab", "user": "on-call", "namespace": namespace}}

    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority.encode()).decode()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "on-call", "user": {"token": token}}],
        "contexts": [context("lab", NAMESPACE), context("restricted", "restricted")],
        "current-context": "lab",
    }
    # JSON is YAML, and every reader of kubeconfigs takes it.
    return json.dumps(content, indent=2) + "\n"


def config(
    *,
    predict_url: str,
    body: Mapping[str, Any],
    log_file: Path,
    kubeconfig_path: Path,
    dcgm_url: str,
    server_port: int,
) -> str:
    """An infdiag.toml with one model."""
    model = f"models.{APP}"
    return "\n".join(
        (
            f"[{model}.endpoint]",
            f"url = {_toml(predict_url)}",
            f"body = {_toml(body)}",
            "",
            f"[{model}.logs]",
            "# The gateway's log; what the replicas say comes from their pods.",
            f"files = {_toml([str(log_file)])}",
            "",
            f"[{model}.kubernetes]",
            f"kubeconfig = {_toml(str(kubeconfig_path))}",
            f"namespace = {_toml(NAMESPACE)}",
            f"selector = {_toml(SELECTOR)}",
            "usage_interval_s = 5",
            "",
            f"[{model}.gpu]",
            "nvml = false",
            f"dcgm_url = {_toml(dcgm_url)}",
            "",
            f"[{model}.host]",
            "# The first replica runs on this machine too.",
            f"port = {server_port}",
            "",
        ),
    )


def _toml(value: Any) -> str:
    """A TOML value on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # TOML's basic strings, numbers and booleans are written as JSON's are.
    return json.dumps(value)
