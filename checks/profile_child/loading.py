"""Loads a model and an input for it, without running code from a file that the operator has not said to trust."""

from __future__ import annotations

import importlib
import os
import re
import sys
import zipfile
from typing import Any, Callable, Dict, Tuple  # noqa: UP035 - the container's Python may be 3.8

from checks.profile_child.channel import Document, JobError

_SPEC = re.compile(r"(?:(?P<dtype>[a-z]+[0-9]*)\s*)?\[?(?P<dims>[0-9]+(?:\s*,\s*[0-9]+)*)?\]?")
Loaded = Tuple[Callable[..., Any], Tuple[Any, ...], Dict[str, Any], str]  # noqa: UP006


def parse_spec(spec: str) -> tuple[str, list[int]]:
    """`float32[8,64]` or `8,64` as a type's name and a shape.

    Raises:
        JobError: it is neither.
    """
    match = _SPEC.fullmatch(spec.strip())
    if match is None or not spec.strip():
        raise JobError(f"the input {spec!r} is no shape: write it as float32[8,64] or int64[1,128]")
    dims = match["dims"] or ""
    return match["dtype"] or "float32", [int(part) for part in dims.split(",") if part.strip()]


class _Guard:
    """While on, nothing in this process may look up code by a pickle's word."""

    def __init__(self) -> None:
        self.on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "pickle.find_class":
            raise JobError(
                f"the file asks for code ({arguments[0]}.{arguments[1]}) while it is loaded: it is refused unless you "
                "say --trust"
            )


def load_model(job: Document, torch: Any, device: str) -> Loaded:
    """The model on `device`, its positional and named inputs there too, and what kind of model it was.

    Raises:
        JobError: it cannot be loaded, with what to try.
    """
    source = str(job["model"])
    # The classes of a trusted pickle come from there as well.
    sys.path.insert(0, str(job.get("import_path") or os.getcwd()))  # noqa: PTH109
    if os.path.exists(source):  # noqa: PTH110 - os is all that is needed
        model, example, kind = _from_file(source, job, torch, device)
    elif ":" in source:
        model, example, kind = (*_from_factory(source), "factory")
    else:
        raise JobError(source + " is no file here, and no module:factory either")
    if job.get("weights"):
        _load_weights(model, job, torch)
    if kind != "export" and hasattr(model, "eval") and hasattr(model, "to"):
        model = model.eval().to(device)
    arguments, named = _inputs(job, torch, example)
    arguments, named = torch.utils._pytree.tree_map(  # noqa: SLF001 - public only under this name
        lambda leaf: leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf, (arguments, named)
    )
    return model, arguments, named, kind


def _from_factory(source: str) -> tuple[Any, Any]:
    module_name, _, attribute = source.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise JobError(f"{source} cannot be imported: {error}. Name the folder it is in with --import-path") from error
    made = found()
    if isinstance(made, tuple) and len(made) == 2:
        return made
    return made, None


def _from_file(source: str, job: Document, torch: Any, device: str) -> tuple[Any, Any, str]:
    guard = _Guard()
    guard.on = not job.get("trust")
    try:
        kind = _kind(source)
        if kind == "torchscript":
            return torch.jit.load(source, map_location=device), None, kind
        if kind == "export":
            program = torch.export.load(source)
            if device != "cpu":
                program = torch.export.passes.move_to_device_pass(program, device)
            return program.module(), program.example_inputs, kind
        return _pickled(source, job, torch, device), None, kind
    except JobError:
        raise
    except Exception as error:
        first = "".join(str(error).strip().splitlines()[:1]) or type(error).__name__
        raise JobError(f"{source} does not load as a {kind} model: {first}") from error
    finally:
        guard.on = False


def _kind(source: str) -> str:
    """`torchscript`, `export` or `pickle`, by what the archive holds."""
    if not zipfile.is_zipfile(source):
        raise JobError(
            source + " is neither TorchScript nor torch.export nor ONNX (no archive); a truncated copy looks so as well"
        )
    with zipfile.ZipFile(source) as archive:
        names = archive.namelist()
    if any(name.endswith(("archive_format", "serialized_exported_program.json")) for name in names):
        return "export"
    if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
        return "torchscript"
    return "pickle"


def _pickled(source: str, job: Document, torch: Any, device: str) -> Any:
    if not job.get("trust"):
        raise JobError(
            source + " is a pickle, and loading one can run code from it. If it holds weights, give --source "
            "module:factory and it as --weights; if it holds a whole model from a source you trust, add --trust"
        )
    model = torch.load(source, map_location=device, weights_only=False)
    if not isinstance(model, torch.nn.Module):
        raise JobError(
            f"{source} holds a {type(model).__name__}, not a model: give --source module:factory and it as --weights"
        )
    return model


def _load_weights(model: Any, job: Document, torch: Any) -> None:
    weights = str(job["weights"])
    try:
        state = torch.load(weights, map_location="cpu", weights_only=not job.get("trust"))
        model.load_state_dict(state)
    except Exception as error:
        first = " ".join(str(error).split())[:300]
        hint = "" if job.get("trust") else " (only weights are loaded from it unless you say --trust)"
        raise JobError(f"{weights} does not load into the model: {first}{hint}") from error


def _inputs(job: Document, torch: Any, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    specs = job.get("inputs") or ()
    if specs:
        return tuple(_tensor(torch, spec) for spec in specs), {}
    if example is None:
        raise JobError("the model brings no example input: give its shapes with --inputs, e.g. float32[8,64]")
    if isinstance(example, dict):
        return (), dict(example)
    if isinstance(example, (tuple, list)):
        # What torch.export saves: positional arguments and named ones.
        if len(example) == 2 and isinstance(example[0], tuple) and isinstance(example[1], dict):
            return example[0], dict(example[1])
        return tuple(example), {}
    return (example,), {}


def _tensor(torch: Any, spec: str) -> Any:
    name, shape = parse_spec(spec)
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise JobError(f"{name!r} is no type of torch, as in float32[8,64]")
    # Ones are an index into any embedding that has two rows.
    return torch.randn(shape).to(dtype) if dtype.is_floating_point else torch.ones(shape, dtype=dtype)
