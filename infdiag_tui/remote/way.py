"""Which way leads beside the model, and why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from infdiag_tui.config import Kubernetes, Ssh
from infdiag_tui.model import CommandBeside, Pod
from infdiag_tui.remote.guarded import GuardedRemote
from infdiag_tui.remote.output import STDOUT_BYTES
from infdiag_tui.remote.pods import NoPlaceError, choose, place_words
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.kube.execute import ContainerPlace
from infdiag_tui.targets import Target

_NO_WAY = (
    "There is no way into the model's container: set kubernetes.selector in the config (-n NAMESPACE -l LABEL),"
    " or ssh.host (--ssh HOST) for a server that is no pod."
)


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
        return Way(_onto(model.ssh, STDOUT_BYTES))
    if model.kubernetes is None:
        return Way(None, _NO_WAY)
    listed = tuple(pods)
    if unknown and not listed:
        return Way(None, f"There is no way into the model's container: its pods are unknown: {unknown}")
    try:
        place = choose(listed, model.kubernetes, target.model_name)
    except NoPlaceError as error:
        return Way(None, f"There is no way into the model's container: {error}.")
    return Way(_into(place, model.kubernetes, context, STDOUT_BYTES))


def where_beside(target: Target, pods: Iterable[Pod]) -> str:
    """Where the way beside the model leads (`in container ...`), else why there is none."""
    ssh, kubernetes = target.model.ssh, target.model.kubernetes
    if ssh is not None:
        return f"on host {ssh.host} (SSH)"
    if kubernetes is None:
        return _NO_WAY
    try:
        place = choose(tuple(pods), kubernetes, target.model_name)
    except NoPlaceError as error:
        return f"There is no way into the model's container: {error}."
    return f"in {place_words(place.namespace, place.pod, place.container)}"


def way_of(command: CommandBeside, target: Target, context: StreamContext, stdout_bytes: int) -> GuardedRemote | None:
    """The way to where this command belongs, keeping so much of its output; None where the config has none any more."""
    model = target.model
    if not command.pod:
        return _onto(model.ssh, stdout_bytes) if model.ssh is not None else None
    if model.kubernetes is None:
        return None
    place = ContainerPlace(command.namespace, command.pod, command.container)
    return _into(place, model.kubernetes, context, stdout_bytes)


def _onto(settings: Ssh, stdout_bytes: int) -> GuardedRemote:
    from infdiag_tui.remote.ssh import SshCarrier

    return GuardedRemote(SshCarrier(settings), stdout_bytes)


def _into(place: ContainerPlace, settings: Kubernetes, context: StreamContext, stdout_bytes: int) -> GuardedRemote:
    from infdiag_tui.remote.pod import PodCarrier
    from infdiag_tui.streams.kube.client import KubeClient

    client = KubeClient(settings, context.clock, context.user_agent)
    return GuardedRemote(PodCarrier(client, place), stdout_bytes)
