"""Which GPU sources a config gives, the best first."""

from __future__ import annotations

from collections.abc import Sequence

from infdiag_tui.config import ModelConfig
from infdiag_tui.streams import gpu_dcgm, gpu_nvml
from infdiag_tui.streams.base import Stream, StreamContext
from infdiag_tui.streams.gpus.choice import Candidate, ChosenGpuStream


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """One stream over all ways to the model's GPUs, and this machine's own where the config asks for them.

    Best first: the exporter that the config names, the one found in the cluster, Prometheus, nvidia-smi beside the
    model, this machine's driver. This machine comes last because the console's place is a jump host, whose own cards
    are not the model's; without anything else it is all there is. A sole way is a stream by its own name.
    """
    gpu = config.gpu
    local = gpu_nvml.build(config, context)
    asked_for_local = gpu.nvml and "nvml" in gpu.model_fields_set
    found = [Candidate(stream, "dcgm-exporter") for stream in gpu_dcgm.build(config, context)]
    if _looks_in_cluster(config) and context.cluster is not None and context.roster is not None:
        from infdiag_tui.streams.gpus.cluster import GpuClusterStream

        asked = "find_dcgm" in gpu.model_fields_set
        cluster = GpuClusterStream(context.cluster, context.roster, context.clock, asked_for=asked)
        found.append(Candidate(cluster, cluster.label))
    if config.prometheus is not None:
        from infdiag_tui.streams.gpus.prometheus import GpuPrometheusStream

        known = GpuPrometheusStream(config.prometheus, context.roster, context.clock, context.user_agent)
        found.append(Candidate(known, known.label))
    if gpu.nvidia_smi and context.beside is not None:
        from infdiag_tui.streams.gpus.smi import GpuSmiStream

        smi = GpuSmiStream(context.beside, context.clock)
        found.append(Candidate(smi, smi.label))
    if not asked_for_local:
        found += [Candidate(stream, "this machine's driver (NVML)") for stream in local]
    chosen: list[Stream] = []
    if len(found) == 1:
        chosen = [found[0].stream]
    elif found:
        chosen = [ChosenGpuStream(found, context.clock)]
    return [*(local if asked_for_local else []), *chosen]


def _looks_in_cluster(config: ModelConfig) -> bool:
    """Unless an exporter is named: then only if the config says so in words."""
    gpu = config.gpu
    return gpu.find_dcgm and (not gpu.dcgm_url or "find_dcgm" in gpu.model_fields_set)
