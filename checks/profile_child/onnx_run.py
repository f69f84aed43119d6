"""Profiles an ONNX model with onnxruntime's own profiler: operators by time, and which provider really ran them."""

from __future__ import annotations

import bisect
import gzip
import importlib
import json
import pathlib
import shutil
import sys
import time
from typing import Any

from checks.profile_child.channel import Channel, Document, JobError, keep
from checks.profile_child.loading import parse_spec
from checks.profile_child.trace import typical_shares

_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}
_COPIES = {"MemcpyToHost": "device to host", "MemcpyFromHost": "host to device"}


def run(job: Document, channel: Channel, folder: pathlib.Path) -> Document:
    """The job's result, in the fields of `torch_run` where they exist.

    Raises:
        JobError: onnxruntime is missing, the model does not load, or it fails on its input.
    """
    channel.progress("loading onnxruntime", 0.0)
    try:
        ort: Any = importlib.import_module("onnxruntime")
        numpy: Any = importlib.import_module("numpy")
    except ImportError as error:
        raise JobError(
            f"onnxruntime cannot be imported by {sys.executable or 'this Python'}: {error}. Install it (pip install "
            "onnxruntime, or infdiag-tui[onnx]), or name a Python that has it with --python"
        ) from error
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "ort")
    available = ort.get_available_providers()
    providers = ["CPUExecutionProvider"] if job.get("device") == "cpu" else available
    if job.get("device") == "cuda" and "CUDAExecutionProvider" not in available:
        raise JobError("this onnxruntime has no CUDAExecutionProvider; it has " + ", ".join(available))
    channel.progress("loading the model", 0.2)
    try:
        session = ort.InferenceSession(str(job["model"]), options, providers=providers)
    except Exception as error:
        words = " ".join(str(error).split())[:400]
        raise JobError(f"{job['model']} does not load: {words}") from error
    feed = _feed(job, numpy, session)
    channel.progress("profiling", 0.4)
    try:
        durations = _call(job, session, feed)
    except Exception as error:
        raise JobError("the model fails on its input: " + " ".join(str(error).split())[:400]) from error
    trace = pathlib.Path(session.end_profiling())
    with trace.open("rb") as file:
        events = json.load(file)
    result = read_events(events, int(job["warmup"]))
    result.update(
        kind="onnx",
        engine="onnxruntime",
        version=str(ort.__version__),
        device=", ".join(result["providers"]),
        providers_offered=list(session.get_providers()),
        iterations=int(job["iterations"]),
        iteration_us=durations,
    )
    packed = folder / "ort.json.gz"
    with trace.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target)
    result["trace"] = keep(job, packed, "profile-trace.json.gz")
    return result


def _feed(job: Document, numpy: Any, session: Any) -> dict[str, Any]:
    """An input for every input of the model; dimensions that the model leaves open are 1 unless --inputs says."""
    specs = list(job.get("inputs") or ())
    wanted = session.get_inputs()
    if specs and len(specs) != len(wanted):
        names = ", ".join(f"{one.name} {one.type} {one.shape}" for one in wanted)
        raise JobError(f"--inputs names {len(specs)} inputs, the model has {len(wanted)}: {names}")
    feed = {}
    for number, one in enumerate(wanted):
        if one.type not in _TYPES:
            raise JobError(f"input {one.name} is {one.type}, for which no example can be made")
        dtype, shape = _TYPES[one.type], [dim if isinstance(dim, int) and dim > 0 else 1 for dim in one.shape]
        if specs:
            shape = parse_spec(specs[number])[1]
        generator = numpy.random.default_rng(0)
        values = generator.standard_normal(shape) if dtype.startswith("float") else numpy.ones(shape)
        feed[one.name] = values.astype(dtype)
    return feed


def _call(job: Document, session: Any, feed: dict[str, Any]) -> list[float]:
    for _ in range(int(job["warmup"])):
        session.run(None, feed)
    durations = []
    for _ in range(int(job["iterations"])):
        began = time.perf_counter()
        session.run(None, feed)
        durations.append((time.perf_counter() - began) * 1e6)
    return durations


def read_events(events: list[Document], warmup: int) -> Document:
    """Operators, copies and providers of an onnxruntime profile, without its first `warmup` runs.

    `typical_shares` are medians over the runs, so that one disturbed run does not name the wrong operator. `copies` is
    None where only the CPU computed.
    """
    runs = sorted(float(event["ts"]) for event in events if event.get("name") == "model_run")[warmup:]
    rows: dict[tuple[str, str], Document] = {}
    per_run: list[dict[str, float]] = [{} for _ in runs]
    for event in events:
        arguments = event.get("args", {})
        number = bisect.bisect_right(runs, float(event.get("ts", 0))) - 1
        if event.get("cat") != "Node" or not str(event["name"]).endswith("_kernel_time") or number < 0:
            continue
        operator, provider = str(arguments.get("op_name", "?")), str(arguments.get("provider", ""))
        fresh = {"name": operator, "provider": provider, "calls": 0, "self_us": 0.0, "output_bytes": 0}
        row = rows.setdefault((operator, provider), fresh)
        row["calls"] += 1
        row["self_us"] += float(event["dur"])
        row["output_bytes"] += int(arguments.get("output_size") or 0)
        per_run[number][operator] = per_run[number].get(operator, 0.0) + float(event["dur"])
    found = sorted(rows.values(), key=lambda row: -float(row["self_us"]))
    total = sum(float(row["self_us"]) for row in found)
    for row in found:
        row["share"] = float(row["self_us"]) / total if total else 0.0
    providers = sorted({str(row["provider"]) for row in found})
    return {
        "operators": found,
        "typical_shares": typical_shares(per_run),
        "providers": providers,
        "copies": _copies(found) if providers not in ([], ["CPUExecutionProvider"]) else None,
    }


def _copies(rows: list[Document]) -> Document:
    copies = [
        {"direction": _COPIES[row["name"]], "operator": row["name"], "count": row["calls"], "us": row["self_us"]}
        for row in rows
        if row["name"] in _COPIES
    ]
    return {
        "count": sum(int(row["count"]) for row in copies),
        "us": sum(float(row["us"]) for row in copies),
        "operators": copies,
    }
