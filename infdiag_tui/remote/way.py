"""Which way leads beside the model, and why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from infdiag_tui.model import Pod
from infdiag_tui.remote.guarded import GuardedRemote
from infdiag_tui.remote.pods import NoPlaceError, choose
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.targets import Target


@dataclass(frozen=True, slots=True)
class Way:
    """A remote, or one sentence on why there is none and what would give one."""

    remote: GuardedRemote | None
    lacking: str = ""


def way_beside(target: Target, context: StreamContext, pods: Iterable[Pod], unknown: str = "") -> Way:
    """The way to the configured host, else into a container of the model's pods; nothing is opened before its use.

    Args:
        target: what the incident is about.
        context: clock and user agent.
        pods: the model's pods, as far as known.
        unknown: why pods are not known, if something stands in the way.
    """
    model = target.model
    if model.ssh is not None:
        from infdiag_tui.remote.ssh import SshCarrier

        return Way(GuardedRemote(SshCarrier(model.ssh)))
    if model.kubernetes is None:
        return Way(
            None,
            "There is no way into the model's container: set kubernetes.selector in the config (-n NAMESPACE -l LABEL),"
            " or ssh.host (--ssh HOST) for a server that is no pod.",
        )
    listed = tuple(pods)
    if unknown and not listed:
        return Way(None, f"There is no way into the model's container: its pods are unknown: {unknown}")
    try:
        place = choose(listed, model.kubernetes, target.model_name)
    except NoPlaceError as error:
        return Way(None, f"There is no way into the model's container: {error}.")
    from infdiag_tui.remote.pod import PodCarrier
    from infdiag_tui.streams.kube.client import KubeClient

    client = KubeClient(model.kubernetes, context.clock, context.user_agent)
    return Way(GuardedRemote(PodCarrier(client, place)))
