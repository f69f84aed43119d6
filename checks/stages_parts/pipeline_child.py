"""Runs a pipeline's preprocess, predict and postprocess and times them; the child's side, standard library only.

Runs as a file of its own, also with another interpreter or beside the model: it imports nothing of infdiag. Reads
`{"pipeline", "runs", "warmup", "input", "path"}` from standard input, as many bytes as its first argument says (a
container's standard input may never end) or all of it, and answers one line of JSON.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

_NAMES = {
    "preprocess": ("preprocess", "pre_process"),
    "inference": ("predict", "inference", "infer", "forward", "__call__"),
    "postprocess": ("postprocess", "post_process"),
}


def main() -> None:
    """Times the pipeline of the request on standard input."""
    # What the pipeline prints must not mix with the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.read(int(sys.argv[1]) if len(sys.argv) > 1 else -1))
    try:
        reply = _run(request)
    except BaseException as error:  # noqa: BLE001 - whatever a pipeline raises is its finding, SystemExit included
        reply = {"error": f"{type(error).__name__}: {error}"}
    answer.write(json.dumps(reply))
    answer.flush()


def _run(request: dict[str, Any]) -> dict[str, Any]:
    sys.path.insert(0, request["path"])
    module, _, name = request["pipeline"].partition(":")
    target: Any = importlib.import_module(module)
    for part in filter(None, name.split(".")):
        target = getattr(target, part)
    if inspect.isclass(target):
        target = target()
    steps = [(stage, _method(target, names)) for stage, names in _NAMES.items()]
    found = [(stage, method) for stage, method in steps if method is not None]
    if not found and callable(target):
        found = [("inference", target)]
    if not found:
        return {"error": "it has no preprocess, predict or postprocess"}
    times: dict[str, list[float]] = {stage: [] for stage, _ in found}
    for run in range(request["warmup"] + request["runs"]):
        value = request["input"]
        for stage, method in found:
            began = time.perf_counter()
            value = method(value)
            if run >= request["warmup"]:
                times[stage].append((time.perf_counter() - began) * 1000)
    return {"times": times}


def _method(target: Any, names: tuple[str, ...]) -> Callable[[Any], Any] | None:
    for name in names:
        method: Callable[[Any], Any] | None = getattr(target, name, None)
        if callable(method) and not (name == "__call__" and inspect.ismodule(target)):
            return method
    return None


if __name__ == "__main__":
    main()
