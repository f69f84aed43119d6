"""Faults of what was released: model files and serving code."""

from __future__ import annotations

from typing import Any

from infdiag_tui.lab.repository import USUAL_AGE_DAYS, Repository
from infdiag_tui.lab.scenarios import Fault
from infdiag_tui.lab.stage import Stage
from infdiag_tui.lab.world import WEIGHTS, Outcomes

_OLDER_DAYS = 96.0


class OlderModel:
    """The version before: it was trained on fewer features, and says so."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        weights = [0.0 if 5 <= place < 21 else 1.3 * weight for place, weight in enumerate(WEIGHTS)]
        older = stage.repository.model(version=stage.scenario.names.older_version, weights=weights)
        _deploy(stage, self._fault, older, _OLDER_DAYS)


class OtherFile:
    """A file that states the right version and holds another experiment's weights."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        weights = [0.6 * weight if place < 5 else 1.4 * weight for place, weight in enumerate(WEIGHTS)]
        _deploy(stage, self._fault, stage.repository.model(weights=weights))


class NeverRetrained:
    """The right file, but of long ago; outcomes have been drifting away from it all the while."""

    def __init__(self, fault: Fault, *, age_days: float, moved_share: float) -> None:
        del fault
        self._age_days = age_days
        self._moved = moved_share

    def prepare(self, repository: Repository, outcomes: Outcomes) -> None:
        """Before anything runs: this fault is as old as the model."""
        repository.age_days = self._age_days
        repository.write()
        outcomes.moved = self._moved


class OtherScaling:
    """The serving code scales two numbers otherwise than the model was trained with."""

    def __init__(self, fault: Fault) -> None:
        del fault

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        code = stage.repository.code()
        changed = code.replace('"amount": 500.0', '"amount": 100.0').replace(
            '"velocity_1h": 10.0', '"velocity_1h": 1.0'
        )
        if changed == code:
            raise ValueError("the serving code has no such scales")
        stage.repository.put_code(changed)


def _deploy(stage: Stage, fault: Fault, document: dict[str, Any], age_days: float = USUAL_AGE_DAYS) -> None:
    """Puts a model where the pods find it: in the shared repository, or in folders of their own if it is for some."""
    if not fault.replicas:
        Repository.put_model(stage.repository.models, document, age_days)
        return
    for pod in stage.pods(fault):
        mounted = pod.folder / "models"
        # The file first: whoever looks finds either the old mount or the new one.
        own = pod.folder / "models-of-its-own"
        Repository.put_model(own, document, age_days)
        link = pod.folder / ".models.new"
        link.symlink_to(own, target_is_directory=True)
        link.rename(mounted)
