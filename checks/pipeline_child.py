"""Runs a preprocessing function over golden inputs; started as a program of its own, on the standard library alone.

Usage: `PYTHON pipeline_child.py module:function [FOLDER]`, inputs as a JSON array on standard input. The answer is one
JSON line on what was standard output; whatever the function prints goes to standard error.
"""

# ruff: noqa: BLE001 - whatever the function does wrong is the answer; the path is mended before any import
from __future__ import annotations

import sys

# First of all: the folder of this file, which Python put there, has modules whose names others use, too.
if sys.path and sys.path[0] == __file__.rpartition("/")[0]:
    sys.path.pop(0)

import importlib
import json
import os
from collections.abc import Callable
from typing import Any


def plain(value: object, depth: int = 0) -> object:
    """`value` as JSON: arrays, tensors and frames become lists, and tuples too."""
    if depth > 60:
        raise ValueError("the output is nested too deeply")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(name): plain(one, depth + 1) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, depth + 1) for one in value]
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return plain(value.to_dict(orient="records"), depth + 1)
    for name in ("detach", "cpu"):
        if hasattr(value, name) and hasattr(value, "numpy"):
            value = getattr(value, name)()
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    raise TypeError(f"the output is a {type(value).__name__}, which is neither JSON nor an array")


def load(target: str) -> Callable[[object], object]:
    """The function of `module:name`; an object with a `preprocess` stands for that."""
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    chosen: Callable[[object], object] = getattr(found, "preprocess", found)
    if not callable(chosen):
        raise TypeError(f"{target} is neither a function nor has it a preprocess")
    return chosen


def main() -> None:
    """Runs and answers."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    inputs = json.load(sys.stdin)
    if len(sys.argv) > 2:
        sys.path.insert(0, sys.argv[2])
    made = []
    try:
        function = load(sys.argv[1])
    except BaseException as error:
        json.dump({"error": f"{type(error).__name__}: {error}"}, answer)
    else:
        for one in inputs:
            try:
                made.append({"output": plain(function(one))})
            except BaseException as error:
                made.append({"error": f"{type(error).__name__}: {error}"})
        json.dump({"outputs": made}, answer)
    answer.close()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
