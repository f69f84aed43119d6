"""What the API needs from the node that runs the containers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from infdiag_tui.lab.containerlog import ContainerLog


class NodeError(Exception):
    """The node refuses, in the kubelet's words."""


@dataclass(frozen=True, slots=True)
class ExecPlace:
    """Where commands of a container run."""

    folder: Path
    environment: dict[str, str]


class Node(Protocol):
    """The kubelet's side of logs, exec, metrics and deletion."""

    def log_of(self, pod: str, container: str, *, previous: bool) -> ContainerLog:
        """The log of the current or the previous run.

        Raises:
            NodeError: There is none.
        """
        ...

    def exec_place(self, pod: str, container: str) -> ExecPlace:
        """Where to run a command.

        Raises:
            NodeError: The container does not run.
        """
        ...

    def delete_pod(self, pod: str) -> None:
        """Starts the graceful end of a pod that exists."""
        ...

    def usage(self) -> dict[str, list[dict[str, Any]]]:
        """PodMetrics and NodeMetrics objects as last sampled, under `pods` and `nodes`."""
        ...
