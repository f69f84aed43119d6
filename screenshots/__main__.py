"""Runs the console on the lab and saves what it shows at three sizes; nothing is drawn by hand."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from infdiag_tui.app import InfdiagApp
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.engine import Engine
from infdiag_tui.lab import running
from infdiag_tui.model import CompanionOffer, Snapshot, StartFailure
from infdiag_tui.session import Session
from infdiag_tui.start import make_session

SIZES = ((80, 24), (120, 40), (200, 60))
WATCH_AT_LEAST_S = 45.0
GIVE_UP_AFTER_S = 180.0
HERE = Path(__file__).parent


class Watching:
    """An engine that runs already: the app's start and stop leave it alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self) -> None:
        """It runs."""

    def snapshot(self) -> Snapshot | None:
        """The engine's, with a path that is nobody's home folder."""
        found = self._engine.snapshot()
        if found is None:
            return None
        draft = dataclasses.replace(found.draft, path="~/.local/state/infdiag/incidents/…/report.md")
        return dataclasses.replace(found, draft=draft)

    def failure(self) -> StartFailure | None:
        """The engine's."""
        return self._engine.failure()

    def edit_draft(self, text: str, base_version: int) -> int:
        """The engine's."""
        return self._engine.edit_draft(text, base_version)

    def add_note(self, text: str) -> None:
        """The engine's."""
        self._engine.add_note(text)

    def give_back_line(self, line_number: int) -> None:
        """The engine's."""
        self._engine.give_back_line(line_number)

    def show_footnotes(self, *, shown: bool) -> None:
        """The engine's."""
        self._engine.show_footnotes(shown=shown)

    def export(self) -> None:
        """The engine's."""
        self._engine.export()

    def look_beside_model(self) -> None:
        """The engine's."""
        self._engine.look_beside_model()

    def start_companion(self, offer: CompanionOffer) -> int:
        """The engine's."""
        return self._engine.start_companion(offer)

    def stop_companion(self, run_id: int) -> None:
        """The engine's."""
        self._engine.stop_companion(run_id)

    def start_check(self, name: str, values: Mapping[str, str]) -> int:
        """The engine's."""
        return self._engine.start_check(name, values)

    def confirm_check(self, run_id: int) -> None:
        """The engine's."""
        self._engine.confirm_check(run_id)

    def cancel_check(self, run_id: int) -> None:
        """The engine's."""
        self._engine.cancel_check(run_id)

    def stop(self, timeout_s: float) -> bool:
        """It goes on."""
        return timeout_s >= 0


def _worth_seeing(scenario: str, snapshot: Snapshot) -> bool:
    if scenario != "memory-leak":
        return True
    return any(one.id == "pods.oom_killed" for one in snapshot.evidence)


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GIVE_UP_AFTER_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing worth a picture in {GIVE_UP_AFTER_S:.0f} s")
        await asyncio.sleep(0.2)


async def shoot(scenario: str, folder: Path) -> None:
    """Saves `SCENARIO-WIDTHxHEIGHT.svg` for every size."""
    async with running(scenario) as lab:

        def build() -> Session:
            return make_session(None, str(lab.config_path), TargetFlags(), str(folder / scenario))

        engine = Engine(build)
        engine.start()
        began = time.monotonic()

        def ready() -> bool:
            found = engine.snapshot()
            waited = time.monotonic() - began >= WATCH_AT_LEAST_S
            return waited and found is not None and _worth_seeing(scenario, found)

        try:
            await _until(ready)
            for width, height in SIZES:
                app = InfdiagApp(Watching(engine), title="")
                async with app.run_test(size=(width, height)) as pilot:
                    await pilot.pause(1.5)
                    picture = app.export_screenshot(title=f"infdiag: {scenario}")
                    (HERE / f"{scenario}-{width}x{height}.svg").write_text(picture, encoding="utf-8")
        finally:
            await asyncio.to_thread(engine.stop, 10.0)


def main() -> None:
    """All pictures of the README."""
    with tempfile.TemporaryDirectory() as folder:
        for scenario in ("healthy", "memory-leak"):
            asyncio.run(shoot(scenario, Path(folder)))


if __name__ == "__main__":
    main()
