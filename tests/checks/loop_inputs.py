"""Inputs for each check that are large enough for its work to be felt, were it done on the event loop."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

ROWS = 60_000
ERROR_LINES = 4_000
REPLY = json.dumps({"model_version": "7", "outputs": [{"id": number, "score": number / 7} for number in range(8_000)]})
"""A reply of a third of a megabyte, as batches and embeddings are."""
_SERIES = 12_000
_BUSY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    sum(range(10_000))
"""


def metrics_page(predicted: int) -> str:
    """A page of metrics of a megabyte, as a server with many models has; it has counted `predicted` predictions."""
    lines = [
        f'request_seconds_bucket{{model="m{number % 60}",version="{number // 60}",le="0.{number % 10}"}} {number}'
        for number in range(_SERIES)
    ]
    return "\n".join(
        [
            *lines,
            f"app_predict_seconds_sum {predicted * 0.02}",
            f"app_predict_seconds_count {predicted}",
            "process_resident_memory_bytes 2.5e8",
            "",
        ]
    )


def config_for(name: str, folder: Path, base: str) -> str:
    """The config of a model `m` with the check's section, whose files are written to `folder`."""
    body = json.dumps({"instances": [[number / 3 for number in range(20)] for _ in range(200)]})
    (folder / "body.json").write_text(body, encoding="utf-8")
    errors = [
        f"2026-01-02 03:04:05,000 ERROR worker {row % 40}: shape {row} of {row * 7} is wrong"
        for row in range(ERROR_LINES)
    ]
    (folder / "app.log").write_text("\n".join(errors) + "\n", encoding="utf-8")
    makers = {
        "drift": _drift,
        "predictions": _predictions,
        "labels": _labels,
        "memory": _memory,
        "load": _load,
        "reproduce": _reproduce,
        "shadow": _shadow,
        "stages": _stages,
        "version": _version,
        "pipeline": _pipeline,
        "baseline": _baseline,
        "profile": _profile,
        "infrastructure": _infrastructure,
    }
    section = makers[name](folder, base)
    lines = [f"{key} = {json.dumps(value)}" for key, value in section.items()]
    return "\n".join(
        [
            "[models.m.endpoint]",
            f'url = "{base}/predict"',
            'body_file = "body.json"',
            "[models.m.gpu]",
            "nvml = false",
            "[models.m.logs]",
            f'files = ["app.log"]\nbacklog_lines = {ERROR_LINES}',
            f"[models.m.checks.{name}]",
            *lines,
            "",
        ]
    )


def _rows(path: Path, header: str, rows: list[str]) -> str:
    path.write_text(header + "\n" + "\n".join(rows) + "\n", encoding="ascii")
    return path.name


def _drift(folder: Path, base: str) -> dict[str, Any]:
    source = random.Random(1)
    files = [
        _rows(
            folder / name,
            "a,b,c",
            [f"{source.random():.4f},{source.random():.4f},{'xyz'[row % 3]}" for row in range(ROWS)],
        )
        for name in ("before.csv", "now.csv")
    ]
    return {"reference": files[0], "production": files[1]}


def _predictions(folder: Path, base: str) -> dict[str, Any]:
    source = random.Random(2)
    files = [
        _rows(folder / name, "score", [f"{source.random():.5f}" for _ in range(2 * ROWS)])
        for name in ("historical.csv", "current.csv")
    ]
    return {"historical": files[0], "current": files[1]}


def _labels(folder: Path, base: str) -> dict[str, Any]:
    rows = [f"{row % 2},{(row // 3) % 2},{1_700_000_000 + row}" for row in range(ROWS)]
    return {"current": _rows(folder / "labels.csv", "prediction,label,time", rows), "time": "time"}


def _memory(folder: Path, base: str) -> dict[str, Any]:
    rows = [f"{second},{2e8 + 1e4 * second + 1e6 * (second % 7):.0f}" for second in range(50_000)]
    return {"file": _rows(folder / "memory.csv", "time,bytes", rows), "limit_bytes": 1e9}


def _load(folder: Path, base: str) -> dict[str, Any]:
    return {"requests": 400, "concurrency": 4}


def _reproduce(folder: Path, base: str) -> dict[str, Any]:
    return {"repeat": 8}


def _shadow(folder: Path, base: str) -> dict[str, Any]:
    return {"shadow_url": f"{base}/predict", "repeat": 5}


def _stages(folder: Path, base: str) -> dict[str, Any]:
    return {
        "requests": 5,
        "interval_s": 0.0,
        "metrics_url": f"{base}/metrics",
        "stage": ["inference=app_predict_seconds"],
    }


def _version(folder: Path, base: str) -> dict[str, Any]:
    (folder / "model.onnx").write_bytes(os.urandom(2**20) * 200)
    return {"file": ["*.onnx"]}


def _pipeline(folder: Path, base: str) -> dict[str, Any]:
    schema = {"fields": {"amount": {"type": "number", "min": 0, "max": 1}, "country": {"type": "string"}}}
    (folder / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    records = [json.dumps({"amount": row / ROWS, "country": "DE"}) for row in range(ROWS // 3)]
    (folder / "records.jsonl").write_text("\n".join(records), encoding="utf-8")
    return {"schema_file": "schema.json", "records": "records.jsonl"}


def _baseline(folder: Path, base: str) -> dict[str, Any]:
    result = {"features": [{"name": f"f{number}", "values": list(range(50))} for number in range(12_000)]}
    document = {"check": "drift", "status": "ok", "evidence": [], "result": result, "artifacts": []}
    (folder / "drift.json").write_text(json.dumps(document), encoding="utf-8")
    return {"results": ["drift.json"]}


def _profile(folder: Path, base: str) -> dict[str, Any]:
    """A busy Python process for py-spy, which ends with this one: torch is not needed for it."""
    busy = subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.PIPE)
    return {"pid": busy.pid, "seconds": 1.0}


def _infrastructure(folder: Path, base: str) -> dict[str, Any]:
    """Nothing of its own: it looks at the logs that are watched."""
    return {}
