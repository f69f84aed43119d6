"""Profiles a model with torch.profiler: operators by their own time, memory, copies, idle device, graph breaks."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import pathlib
import resource
import shutil
import sys
from typing import Any

from checks.profile_child.channel import Channel, Document, JobError, keep
from checks.profile_child.loading import load_model
from checks.profile_child.trace import ITERATION, analyse

SYNCHRONISING = ("aten::item", "aten::is_nonzero", "aten::nonzero", "aten::_unique2", "aten::masked_select")
"""Operators whose result decides what the host does next: on a GPU each makes the host wait for the device."""


def run(job: Document, channel: Channel, folder: pathlib.Path) -> Document:
    """The job's result; see `checks.profile` for its fields.

    Raises:
        JobError: torch is missing, the model does not load, or it fails on its input.
    """
    channel.progress("loading torch", 0.0)
    if not job.get("trust"):
        # Also where a library asks torch.load for more.
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
        os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        raise JobError(
            f"torch cannot be imported by {sys.executable or 'this Python'}: {error}. Name a Python that has it with "
            "--python, run beside the model with --in-pod, or install infdiag-tui[torch]"
        ) from error
    device = _device(str(job.get("device", "auto")), torch)
    channel.progress("loading the model", 0.2)
    model, arguments, named, kind = load_model(job, torch, device)
    if job.get("compile"):
        model = torch.compile(model)
    channel.progress("warming up on " + device, 0.3)
    result, profiler = _profile(job, torch, device, lambda: model(*arguments, **named), channel)
    channel.progress("reading the trace", 0.8)
    trace = folder / "trace.json"
    profiler.export_chrome_trace(str(trace))
    with trace.open("rb") as file:
        found = analyse(json.load(file)["traceEvents"])
    rows = _operators(profiler, set(found["annotations"]), with_device=found["device_events"] is not None)
    result.update(
        kind=kind,
        engine="torch",
        version=str(torch.__version__),
        device=device,
        operators=rows,
        calls_to=[[name, sum(row["calls"] for row in rows if row["name"] == name)] for name in SYNCHRONISING],
        graph_breaks=_graph_breaks(torch, model, arguments, named),
        table=_table(profiler, with_device=found["device_events"] is not None),
        **found,
    )
    result["trace"] = keep(job, _packed(trace), "profile-trace.json.gz")
    return result


def _device(wanted: str, torch: Any) -> str:
    has_cuda = bool(torch.cuda.is_available())
    if wanted == "cuda" and not has_cuda:
        raise JobError(f"torch {torch.__version__} sees no CUDA device here; --device cpu profiles on the CPU")
    return "cuda" if has_cuda and wanted != "cpu" else "cpu"


def _profile(job: Document, torch: Any, device: str, call: Any, channel: Channel) -> tuple[Document, Any]:
    """Calls the model under the profiler; memory peaks are of the profiled calls alone on the device."""
    activity = torch.profiler.ProfilerActivity
    activities = [activity.CPU] + ([activity.CUDA] if device == "cuda" else [])
    iterations = int(job["iterations"])

    def once() -> None:
        call()
        if device == "cuda":
            torch.cuda.synchronize()

    try:
        with torch.no_grad():
            for _ in range(int(job["warmup"])):
                once()
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            channel.progress("profiling", 0.5)
            with torch.profiler.profile(
                activities=activities,
                record_shapes=True,
                profile_memory=True,
                # The first step pays for starting the profiler itself; it is not recorded.
                schedule=torch.profiler.schedule(wait=0, warmup=1, active=iterations, repeat=1),
            ) as profiler:
                for _ in range(iterations + 1):
                    with torch.profiler.record_function(ITERATION):
                        once()
                    profiler.step()
    except Exception as error:
        words = " ".join(str(error).split())[:400]
        raise JobError(f"the model fails on its input: {type(error).__name__}: {words}") from error
    memory: Document = {"peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if device == "cuda":
        memory["peak_device_allocated_bytes"] = int(torch.cuda.max_memory_allocated())
        memory["peak_device_reserved_bytes"] = int(torch.cuda.max_memory_reserved())
    return {"iterations": iterations, "memory": memory}, profiler


def device_time(row: Any, name: str) -> float | None:
    """A device figure of a key-averages row: `device` in its name since torch 2.4, `cuda` before."""
    for candidate in (name, name.replace("device", "cuda")):
        value = getattr(row, candidate, None)
        if value is not None:
            return float(value)
    return None


def _operators(profiler: Any, annotations: set[str], *, with_device: bool) -> list[Document]:
    """Operators by input shapes, the longest own time first: on the device where there is one, else on the host."""
    rows: list[Document] = []
    for row in profiler.key_averages(group_by_input_shape=True):
        name = str(row.key)
        on_host = "CPU" in str(getattr(row, "device_type", "CPU"))
        if not on_host or name in annotations or name.startswith("ProfilerStep"):
            continue
        shapes = [shape for shape in (row.input_shapes or []) if shape]
        own, whole = device_time(row, "self_device_time_total"), device_time(row, "device_time_total")
        rows.append(
            {
                "name": name,
                "input_shapes": shapes,
                "calls": int(row.count),
                "self_cpu_us": float(row.self_cpu_time_total),
                "cpu_us": float(row.cpu_time_total),
                "self_device_us": own if with_device else None,
                "device_us": whole if with_device else None,
                "self_cpu_memory_bytes": int(getattr(row, "self_cpu_memory_usage", 0)),
                "self_device_memory_bytes": int(device_time(row, "self_device_memory_usage") or 0)
                if with_device
                else None,
            }
        )
    column = "self_device_us" if with_device else "self_cpu_us"
    total = sum(float(row[column] or 0.0) for row in rows)
    for row in rows:
        row["share"] = float(row[column] or 0.0) / total if total else 0.0
    rows.sort(key=lambda row: -float(row["share"]))
    return rows


def _table(profiler: Any, *, with_device: bool) -> str:
    """The key-averages table as torch prints it."""
    averages = profiler.key_averages(group_by_input_shape=True)
    columns = ("self_device_time_total", "self_cuda_time_total") if with_device else ("self_cpu_time_total",)
    for column in columns:
        try:
            return str(averages.table(sort_by=column, row_limit=100))
        except (AttributeError, ValueError):
            continue
    return ""


def _packed(trace: pathlib.Path) -> pathlib.Path:
    packed = trace.with_suffix(".json.gz")
    with trace.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target)
    return packed


def _graph_breaks(torch: Any, model: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Document | None:
    """Where torch.compile gives up and returns to Python; None when the model is not compiled."""
    plain = getattr(model, "_orig_mod", None)
    if plain is None:
        return None
    explained = torch._dynamo.explain(plain)(*arguments, **named)  # noqa: SLF001 - documented under this name
    places = []
    for found in explained.break_reasons:
        frames = getattr(found, "user_stack", None) or []
        last = frames[-1] if frames else None
        place = f"{last.filename}:{last.lineno}" if last is not None else ""
        places.append({"reason": str(found.reason).strip().splitlines()[0], "where": place})
    return {"count": int(explained.graph_break_count), "graphs": int(explained.graph_count), "reasons": places}
