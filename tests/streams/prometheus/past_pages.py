"""An hour of a model's past as OpenMetrics text with time stamps: promtool makes blocks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

STEP_S = 15
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MODEL = 'model_name="fraud",namespace="ml",pod="scorer-0",app="scorer"'
CARD = 'gpu="0",UUID="GPU-past",Hostname="node-1",modelName="NVIDIA L4",namespace="ml",pod="scorer-0"'

OTHER_CARD = 'gpu="1",UUID="GPU-other",Hostname="node-1",modelName="NVIDIA L4",namespace="ml",pod="ranker-0"'


def hour(end: float, *, onset_s: float, before_s: float = 0.07, after_s: float = 0.35) -> str:
    """vLLM's latency, requests and queue, and one card: slower from `onset_s` before `end` on."""
    times = [end - 3600 + STEP_S * number for number in range(3600 // STEP_S + 1)]
    return "".join((*_latency(times, end - onset_s, before_s, after_s), *_levels(times, end - onset_s), "# EOF\n"))


def _latency(times: list[float], onset: float, before_s: float, after_s: float) -> Iterator[str]:
    name = "vllm:e2e_request_latency_seconds"
    rows: dict[str, list[str]] = {}
    counts = dict.fromkeys((*map(str, BOUNDS), "+Inf"), 0)
    total, number = 0.0, 0
    for at in times:
        for place in range(30):  # two requests a second, spread a little
            took = (after_s if at >= onset else before_s) * (0.8 + 0.4 * place / 29 + 0.02 * (number % 7))
            number += 1
            total += took
            for bound in BOUNDS:
                counts[str(bound)] += took <= bound
            counts["+Inf"] += 1
        for upper, count in counts.items():
            rows.setdefault(f'{name}_bucket{{{MODEL},le="{upper}"}}', []).append(f"{count} {at:.3f}")
        rows.setdefault(f"{name}_sum{{{MODEL}}}", []).append(f"{total:.4f} {at:.3f}")
        rows.setdefault(f"{name}_count{{{MODEL}}}", []).append(f"{counts['+Inf']} {at:.3f}")
        rows.setdefault(f'vllm:request_success_total{{{MODEL},finished_reason="stop"}}', []).append(
            f"{number} {at:.3f}"
        )
    yield f"# TYPE {name} histogram\n"
    success: list[str] = []
    for series, points in rows.items():
        lines = [f"{series} {point}\n" for point in points]
        if series.startswith("vllm:request_success"):
            success += lines
        else:
            yield "".join(lines)
    yield "# TYPE vllm:request_success counter\n" + "".join(success)


def _levels(times: list[float], onset: float) -> Iterator[str]:
    gauges: dict[str, Callable[[float], float]] = {
        f"vllm:num_requests_waiting{{{MODEL}}}": lambda at: 9 if at >= onset else 1,
        f"DCGM_FI_DEV_GPU_UTIL{{{CARD}}}": lambda at: 97 if at >= onset else 35,
        f"DCGM_FI_DEV_FB_USED{{{CARD}}}": lambda at: 9000,
        f"DCGM_FI_DEV_GPU_TEMP{{{CARD}}}": lambda at: 60,
        f"DCGM_FI_DEV_GPU_TEMP{{{OTHER_CARD}}}": lambda at: 30,
        'container_memory_working_set_bytes{namespace="ml",pod="scorer-0",container="server"}': lambda at: 2e9,
        'container_memory_working_set_bytes{namespace="ml",pod="scorer-0",container="proxy"}': lambda at: 1e8,
        'container_memory_working_set_bytes{namespace="ml",pod="other",container="server"}': lambda at: 5e9,
    }
    seen = ""
    for series, value in gauges.items():
        name = series.partition("{")[0]
        if name != seen:
            seen = name
            yield f"# TYPE {name} gauge\n"
        yield "".join(f"{series} {value(at):g} {at:.3f}\n" for at in times)
