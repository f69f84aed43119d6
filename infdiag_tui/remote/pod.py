"""The way into a container of one of the model's pods, through the Kubernetes API."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from checks.base import CheckError
from infdiag_tui.remote.pods import place_words
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_NOT_FOUND, ApiError, UnreachableError
from infdiag_tui.streams.kube.execute import ContainerPlace, execute

_NO_PROGRAM = re.compile(
    r"executable file not found|no such file or directory|permission denied|exec format error", re.IGNORECASE
)
"""What container runtimes say when the container is there and the program is not."""
_NOT_RUNNING = re.compile(
    r"container not found|not running|not created or running|waiting to start|completed pod|has stopped|is terminated",
    re.IGNORECASE,
)
_NO_CONTAINER = re.compile(r"is not valid for pod|must be specified", re.IGNORECASE)
_NO_NODE = re.compile(r"error dialing backend|dial tcp|no preferred addresses", re.IGNORECASE)


class PodCarrier:
    """Runs commands in one container; opens nothing before the first. Belongs to one event loop."""

    kind: Literal["container", "host"] = "container"

    def __init__(self, client: KubeClient, place: ContainerPlace) -> None:
        self._client = client
        self._target = place
        self.place = place_words(place.namespace, place.pod, place.container)

    async def carry(
        self, words: tuple[str, ...], stdin: bytes, take: Callable[[str, bytes], None]
    ) -> tuple[int | None, str]:
        """As `Carrier.carry`."""
        try:
            code, said = await execute(self._client, self._target, words, stdin, take)
        except ApiError as error:
            gone = isinstance(error, UnreachableError)
            raise CheckError(self._refused(error), unreachable=gone) from error
        except SourceError as error:
            raise CheckError(_sentence(error.reason, error.remedy)) from error
        if code is None and not _NO_PROGRAM.search(said):
            raise CheckError(
                self._explained(said) or f"no command can be started in {self.place}: {said}; {self._look()}"
            )
        return code, said

    async def aclose(self) -> None:
        """Nothing is kept open between commands."""

    def _refused(self, error: ApiError) -> str:
        if error.status == HTTP_NOT_FOUND:
            return (
                f"pod {self._target.pod} is no longer there ({error.message}); run the check again, which then takes "
                "another, or name one with --exec-pod"
            )
        return self._explained(error.message) or _sentence(error.reason, error.remedy)

    def _explained(self, said: str) -> str:
        """The sentence for what node or server said; empty for what is not known here."""
        pod, container = self._target.pod, self._target.container
        if _NO_CONTAINER.search(said):
            return (
                f"pod {pod} has no container {container} ({said}); name one with kubernetes.exec_container "
                "(--exec-container)"
            )
        if _NOT_RUNNING.search(said):
            return (
                f"container {container} of pod {pod} does not run ({said}); {self._look()}, or name another pod with "
                "--exec-pod"
            )
        if _NO_NODE.search(said):
            return (
                f"the API server cannot reach the node of pod {pod} ({said}); check the node (kubectl get nodes) and "
                "the way from the control plane to its kubelet, port 10250"
            )
        return ""

    def _look(self) -> str:
        return f"kubectl describe pod {self._target.pod} -n {self._target.namespace} tells its state"


def _sentence(reason: str, remedy: str) -> str:
    return f"{reason}; {remedy}" if remedy else reason
