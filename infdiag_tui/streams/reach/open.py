"""Which way leads to a model's endpoint; the clients and connections of each are shared by all who go it."""

from __future__ import annotations

from infdiag_tui.config import Kubernetes, ModelConfig, Via
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.reach.base import Reach


def reach_for(model: ModelConfig, context: StreamContext) -> Reach | None:
    """The way to the model's endpoint, None for the direct one; the same for every stream of one context."""
    if model.endpoint is None or model.endpoint.via is Via.DIRECT:
        return None
    if context.reach is None:
        context.reach = _made(model, model.endpoint.via, context)
    return context.reach


def _made(model: ModelConfig, via: Via, context: StreamContext) -> Reach:
    if via is Via.SSH:
        from infdiag_tui.streams.reach.ssh import SshWay

        assert model.ssh is not None, "the config has seen to it"
        return SshWay(model.ssh, context.clock)
    from infdiag_tui.streams.kube.client import KubeClient

    client = context.cluster or KubeClient(model.kubernetes or Kubernetes(), context.clock, context.user_agent)
    if model.kubernetes is not None:
        context.cluster = client  # the pods' streams, which are built later, share it
    if via is Via.PROXY:
        from infdiag_tui.streams.reach.api_proxy import ApiProxy

        return ApiProxy(client)
    from infdiag_tui.streams.reach.port_forward import PortForward

    return PortForward(client)
