"""The ways beside the model for streams: a container of each of its pods, or its host over SSH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checks.base import CheckError
from infdiag_tui.config import ModelConfig
from infdiag_tui.remote.guarded import GuardedRemote
from infdiag_tui.remote.pods import NoPlaceError, main_container
from infdiag_tui.streams.base import BesidePlace, SourceError, StreamContext
from infdiag_tui.streams.kube.execute import ContainerPlace
from infdiag_tui.targets import Target

MOST_PODS = 16


@dataclass(frozen=True, slots=True)
class Place:
    """As `BesidePlace`."""

    remote: GuardedRemote
    host: str
    pod: str

    @property
    def where(self) -> str:
        """What it is called, with its preposition."""
        return self.remote.where

    async def run(self, command: tuple[str, ...], *, timeout_s: float) -> tuple[int, bytes, bytes]:
        """As `BesidePlace.run`."""
        try:
            return await self.remote.run(command, timeout_s=timeout_s)
        except CheckError as error:
            reason, _, remedy = str(error).rpartition("; ")
            raise SourceError(reason or str(error), remedy=remedy if reason else "") from error


class BesideModel:
    """The ways of one model; nothing is opened before it is used. Belongs to one event loop."""

    def __init__(self, model: ModelConfig, model_name: str, context: StreamContext) -> None:
        self._model = model
        self._model_name = model_name
        self._context = context
        self._open: dict[str, Place] = {}

    def places(self) -> Sequence[BesidePlace]:
        """The configured host; else a running container of each pod, the first by name of more than a few.

        Raises:
            SourceError: there is none.
        """
        if self._model.ssh is not None:
            return [self._host()]
        roster = self._context.roster
        pods = roster.current() if roster is not None else {}
        found: dict[str, Place] = {}
        for key in sorted(pods):
            pod = pods[key]
            if len(found) >= MOST_PODS or pod.deleting:
                continue
            settings = self._model.kubernetes
            try:
                container = main_container(pod, settings.exec_container if settings else "", self._model_name)
            except NoPlaceError:
                continue
            if container.state == "running":
                place = ContainerPlace(pod.namespace, pod.name, container.name)
                found[f"{pod.uid}/{container.name}"] = self._container(pod.uid, pod.node, pod.key, place)
        if not found:
            raise SourceError(
                "no pod of the model has a running container in which nvidia-smi could be run",
                remedy="see the pods source; a server that is no pod is named by ssh.host",
            )
        self._open = {name: place for name, place in self._open.items() if name in found}
        return list(found.values())

    async def aclose(self) -> None:
        """Waits for what is being ended and closes connections."""
        places, self._open = self._open, {}
        for place in places.values():
            await place.remote.aclose()

    def _host(self) -> Place:
        if "" not in self._open:
            from infdiag_tui.remote.ssh import SshCarrier

            assert self._model.ssh is not None
            self._open[""] = Place(GuardedRemote(SshCarrier(self._model.ssh)), self._model.ssh.host, "")
        return self._open[""]

    def _container(self, uid: str, node: str, pod: str, place: ContainerPlace) -> Place:
        name = f"{uid}/{place.container}"
        if name not in self._open:
            from infdiag_tui.remote.pod import PodCarrier

            assert self._context.cluster is not None
            self._open[name] = Place(GuardedRemote(PodCarrier(self._context.cluster, place)), node, pod)
        return self._open[name]


def way_for_streams(target: Target, context: StreamContext) -> BesideModel | None:
    """The ways beside the model for its streams; None where there is none, or the config does not allow one.

    Commands in production need the operator's word: for streams it is in the config (`gpu.nvidia_smi`).
    """
    model = target.model
    if not model.gpu.nvidia_smi or (model.ssh is None and model.kubernetes is None):
        return None
    return BesideModel(model, target.model_name, context)
