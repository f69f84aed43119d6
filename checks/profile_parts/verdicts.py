"""Turns what a profile measured into evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol

from infdiag_tui.model import Evidence, Verdict
from infdiag_tui.text import clean, one_line

SOURCE = "profile"

CORE = re.compile(
    r"(?i)mm\b|matmul|gemm|\blinear|conv|attention|flash|lstm|gru\b|einsum|MatMul|cutlass|dot\b|bilinear|embedding_bag"
)
"""Operators that a model is made of: that most time is spent in them is what they are there for."""

GPU_PROVIDERS = ("CUDA", "Tensorrt", "NvTensorRTRTX", "ROCM", "MIGraphX")
FALLBACK_SHARE = 0.1


class Limits(Protocol):
    """The levels from which a measurement is a finding; fields of the check's parameters."""

    @property
    def top_share(self) -> float:
        """One operator's share of all operators' own time."""
        ...

    @property
    def idle_share(self) -> float:
        """The share of a call in which the device does nothing."""
        ...

    @property
    def outside_share(self) -> float:
        """The share of a call in which no operator runs on the host."""
        ...


def judge(result: dict[str, Any], limits: Limits, at: float) -> tuple[Evidence, ...]:
    """Evidence from the result of a torch or onnxruntime profile; what could not be measured is `unknown`."""
    return tuple(_judge(result, limits, at))


def _judge(result: dict[str, Any], limits: Limits, at: float) -> Iterator[Evidence]:
    iterations = int(result["iterations"])
    shares = result["typical_shares"]
    if shares:
        yield _top(shares, result["operators"], limits, iterations, at, str(result["device"]))
    outside = result.get("outside_operators")
    if isinstance(outside, float):
        over = outside > limits.outside_share
        yield Evidence(
            id="profile.outside_operators",
            statement=f"In {outside:.0%} of a call's time no operator of the model ran on the host"
            + (": Python code, another library or waiting takes it" if over else ""),
            verdict=Verdict.WARN if over else Verdict.OK,
            source=SOURCE,
            at=at,
            value=outside,
            unit="share",
            sample_size=iterations,
            threshold=limits.outside_share,
            threshold_source="parameter outside_share",
        )
    yield _copies(result, iterations, at)
    yield _idle(result, limits, iterations, at)
    yield from _breaks(result, at)
    yield from _fallback(result, at)


def _top(
    shares: dict[str, float], operators: list[dict[str, Any]], limits: Limits, iterations: int, at: float, device: str
) -> Evidence:
    """The operator with the most time of its own over all input shapes."""
    top = max(shares, key=lambda name: shares[name])
    count = sum(int(row["calls"]) for row in operators if row["name"] == top)
    heavy = shares[top] >= limits.top_share and CORE.search(top) is None
    odd = ", and it is no matrix product, convolution or attention" if heavy else ""
    return Evidence(
        id="profile.top_operator",
        statement=f"{top} takes {shares[top]:.0%} of the operators' own time on {device}, "
        f"{count / iterations:g} calls per prediction{odd}",
        verdict=Verdict.WARN if heavy else Verdict.OK,
        source=SOURCE,
        at=at,
        value=shares[top],
        unit="share",
        subject=top,
        sample_size=iterations,
        threshold=limits.top_share,
        threshold_source="parameter top_share; matrix products, convolutions and attention are expected at the top",
    )


def _copies(result: dict[str, Any], iterations: int, at: float) -> Evidence:
    copies = result.get("copies")
    if copies is None:
        return _unmeasured("profile.host_device_copies", "Copies between host and device", "copies", result, at)
    count = int(copies["count"]) / iterations
    by = "; ".join(
        f"{row['direction']} by {one_line(clean(str(row['operator'])), 80)} ({row['count'] / iterations:g} per call)"
        for row in copies["operators"][:3]
    )
    return Evidence(
        id="profile.host_device_copies",
        statement=f"{count:g} copies between host and device per call: {by}"
        if count
        else "No copy between host and device inside a call",
        verdict=Verdict.WARN if count else Verdict.OK,
        source=SOURCE,
        at=at,
        value=count,
        unit="copies/call",
        sample_size=iterations,
        threshold=0.0,
        threshold_source="the input is on the device before the call, so a copy is the model's own",
    )


def _idle(result: dict[str, Any], limits: Limits, iterations: int, at: float) -> Evidence:
    device = result.get("device_use")
    if device is None:
        return _unmeasured("profile.device_idle", "The device's idle time", "device_use", result, at)
    share = float(device["idle_share"])
    over = share > limits.idle_share
    return Evidence(
        id="profile.device_idle",
        statement=f"The device is idle for {share:.0%} of a call"
        + (": the host does not keep it busy" if over else ""),
        verdict=Verdict.WARN if over else Verdict.OK,
        source=SOURCE,
        at=at,
        value=share,
        unit="share",
        sample_size=iterations,
        threshold=limits.idle_share,
        threshold_source="parameter idle_share",
    )


def _unmeasured(id_: str, what: str, field: str, result: dict[str, Any], at: float) -> Evidence:
    why = result["missing"][field]
    return Evidence(id=id_, statement=f"{what}: not measured, {why}", verdict=Verdict.UNKNOWN, source=SOURCE, at=at)


def _breaks(result: dict[str, Any], at: float) -> Iterator[Evidence]:
    breaks = result.get("graph_breaks")
    if breaks is None:
        return
    count = int(breaks["count"])
    first = breaks["reasons"][0] if breaks["reasons"] else None
    where = f", the first at {first['where']}: {first['reason']}" if first else ""
    text = f"torch.compile breaks the graph {count} times{where}" if count else "torch.compile keeps one graph"
    yield Evidence(
        id="profile.graph_breaks",
        statement=one_line(clean(text), 400),
        verdict=Verdict.WARN if count else Verdict.OK,
        source=SOURCE,
        at=at,
        value=float(count),
        unit="breaks",
        threshold=0.0,
        threshold_source="a model compiled whole has none",
    )


def _fallback(result: dict[str, Any], at: float) -> Iterator[Evidence]:
    """Operators that ran on the CPU although onnxruntime was given a GPU: it says so nowhere else."""
    offered = [name for name in result.get("providers_offered", ()) if name.startswith(GPU_PROVIDERS)]
    if not offered:
        return
    rows = result["operators"]
    fell = [row for row in rows if row["provider"] == "CPUExecutionProvider"]
    share = sum(float(row["share"]) for row in fell)
    names = ", ".join(str(row["name"]) for row in fell[:5])
    yield Evidence(
        id="profile.cpu_fallback",
        statement=f"{share:.0%} of the operators' time ran on the CPU although {offered[0]} was asked for"
        + (f": {names}" if names else ""),
        verdict=Verdict.WARN if share > FALLBACK_SHARE else Verdict.OK,
        source=SOURCE,
        at=at,
        value=share,
        unit="share",
        sample_size=int(result["iterations"]),
        threshold=FALLBACK_SHARE,
        threshold_source="shape arithmetic stays on the CPU by design; more than this does not",
    )
