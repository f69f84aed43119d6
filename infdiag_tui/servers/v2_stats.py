"""Replies of the V2 protocol's statistics extension, as the same samples as Prometheus text gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from infdiag_tui.servers.metrics_text import MetricSample, MetricsPage

_KINDS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")


def stats_page(body: Any) -> MetricsPage | None:
    """Samples by model and version, None when it is no such reply.

    `v2_stats_KIND_ns` and `v2_stats_KIND_count` of each kind of time, and the counts of inferences (a batch of eight is
    eight) and executions (it is one).
    """
    models = body.get("model_stats") if isinstance(body, dict) else None
    if not isinstance(models, list):
        return None
    by_name: dict[str, list[MetricSample]] = {}
    for sample in (sample for model in models if isinstance(model, dict) for sample in _samples(model)):
        by_name.setdefault(sample.name, []).append(sample)
    return MetricsPage({name: tuple(samples) for name, samples in by_name.items()})


def _samples(model: dict[str, Any]) -> Iterator[MetricSample]:
    labels = {"model": str(model.get("name", "")), "version": str(model.get("version", ""))}
    stats = model.get("inference_stats")
    for kind in _KINDS:
        figures = stats.get(kind) if isinstance(stats, dict) else None
        for field in ("ns", "count"):
            value = figures.get(field) if isinstance(figures, dict) else None
            if _is_number(value):
                yield MetricSample(f"v2_stats_{kind}_{field}", labels, float(value))
    for field in ("inference_count", "execution_count"):
        if _is_number(model.get(field)):
            yield MetricSample(f"v2_stats_{field}", labels, float(model[field]))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
