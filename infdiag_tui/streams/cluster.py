"""Builds the streams that read a Kubernetes cluster: the model's pods and their logs, over one client."""

from __future__ import annotations

from collections.abc import Sequence

from infdiag_tui.config import ModelConfig
from infdiag_tui.streams.base import Stream, StreamContext
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.pod_table import PodTable
from infdiag_tui.streams.pod_logs import PodLogsStream
from infdiag_tui.streams.pods import PodsStream


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The streams that `config.kubernetes` asks for; the Kubernetes client is not imported before they run.

    The pods that they know are from then on the context's roster, and the client its cluster.
    """
    settings = config.kubernetes
    if settings is None:
        return []
    client = context.cluster or KubeClient(settings, context.clock, context.user_agent)
    table = PodTable(context.clock)
    context.roster, context.cluster = table, client
    streams: list[Stream] = [PodsStream(client, settings, context.clock, table)]
    # Loki has the same lines: both would tell each of them twice, and so only what was asked for in words is read too.
    if settings.logs and (config.loki is None or "logs" in settings.model_fields_set):
        streams.append(PodLogsStream(client, table, context.clock, backlog_lines=config.logs.backlog_lines))
    return streams
