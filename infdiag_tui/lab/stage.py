"""What a fault of the lab can get its hands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infdiag_tui.lab.children import FeatureStore
from infdiag_tui.lab.front import Front
from infdiag_tui.lab.gpu import Card, Gpus
from infdiag_tui.lab.kubelet import Kubelet
from infdiag_tui.lab.pod import PodRunner
from infdiag_tui.lab.repository import Repository
from infdiag_tui.lab.scenarios import Fault, Scenario
from infdiag_tui.lab.traffic import Traffic
from infdiag_tui.lab.world import Outcomes


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts of a running lab."""

    scenario: Scenario
    folder: Path
    kubelet: Kubelet
    front: Front
    gpus: Gpus
    traffic: Traffic
    store: FeatureStore
    repository: Repository
    outcomes: Outcomes
    fault_at: float
    """When things go wrong, Unix seconds."""

    def struck(self, fault: Fault) -> list[int]:
        """The replicas that a fault concerns."""
        return [index for index in range(self.scenario.replicas) if fault.strikes(index)]

    def pods(self, fault: Fault) -> Iterator[PodRunner]:
        """The pods that stand for them at present."""
        for index in self.struck(fault):
            yield self.kubelet.replica(index)

    def cards(self, fault: Fault) -> Iterator[Card]:
        """The GPUs of the nodes that they run on."""
        for index in self.struck(fault):
            yield self.gpus.cards[index % len(self.gpus.cards)]
