"""A stand-in for nvidia-smi: a real program that answers --query-gpu as a driver of its kind would."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CARD = {
    "index": "0",
    "uuid": "GPU-6b1c1f5c-0b7e-4c3f-9d2a-000000000000",
    "name": "NVIDIA L4",
    "driver_version": "550.90.07",
    "mig.mode.current": "[N/A]",
    "utilization.gpu": "87",
    "utilization.memory": "41",
    "memory.total": "23034",
    "memory.used": "20480",
    "memory.reserved": "434",
    "temperature.gpu": "71",
    "power.draw": "68.52",
    "enforced.power.limit": "72.00",
    "clocks.sm": "1410",
    "clocks.max.sm": "2040",
    "clocks.mem": "6251",
    "clocks.max.mem": "6251",
    "clocks_event_reasons.active": "0x0000000000000044",
    "ecc.errors.corrected.volatile.total": "0",
    "ecc.errors.uncorrected.volatile.total": "[N/A]",
    "pcie.link.gen.current": "3",
    "pcie.link.gen.max": "4",
    "pcie.link.width.current": "8",
    "pcie.link.width.max": "16",
}

_PROGRAM = """\
#!{python}
import json, sys
says = json.load(open({state!r}))
with open({asked!r}, "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if says["instead"]:
    print(says["instead"])
    sys.exit(says["code"])
fields = sys.argv[1].removeprefix("--query-gpu=").split(",")
for field in fields:
    if field not in says["known"]:
        print(f'Field "{{field}}" is not a valid field to query.')
        sys.exit(2)
for card in says["cards"]:
    print(", ".join(card.get(field, "[Not Supported]") for field in fields))
sys.exit(says["code"])
"""


class StandIn:
    """The program in `folder`; what it says can be changed while it is in use."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "nvidia-smi"
        self._state, self._asked = folder / "smi.json", folder / "smi.asked"
        self._says: dict[str, Any] = {"known": list(CARD), "cards": [CARD], "instead": "", "code": 0}
        self.says()
        text = _PROGRAM.format(python=sys.executable, state=str(self._state), asked=str(self._asked))
        self.program.write_text(text)
        self.program.chmod(0o755)

    def says(self, **what: Any) -> None:
        """Changes some of: known (fields), cards, instead (of a table), code."""
        self._says |= what
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(self._says))
        fresh.rename(self._state)

    @property
    def asked(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []

    def remove(self) -> None:
        for file in (self.program, self._state, self._asked):
            file.unlink(missing_ok=True)
