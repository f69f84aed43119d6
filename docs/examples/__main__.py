"""Makes the example reports anew: a triage of the lab's incidents, saved as it is; nothing is written by hand.

python -m docs.examples                # all
python -m docs.examples memory-leak    # this one
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infdiag_tui.lab import running

HERE = Path(__file__).parent
INCIDENTS = {"memory-leak": 150, "data-drift": 75, "gpu-throttled": 75}
"""By scenario: seconds that the triage watches."""
_SAVED = {"report.md": "md", "report.html": "html", "alerts.yml": "alerts.yml"}


async def make(scenario: str, watch_s: int) -> None:
    """Writes `SCENARIO.md`, its page and its alert rules into this folder.

    Raises:
        RuntimeError: The triage did not end as one that found a problem does, or confirmed no root cause.
    """
    with tempfile.TemporaryDirectory() as home:
        out = Path(home) / "incident"
        async with running(scenario, seed=1) as lab:
            words = ("triage", "--config", str(lab.config_path), "--for", f"{watch_s}s", "--json", "--out", str(out))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "infdiag_tui", *words),
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "KUBECONFIG": ""},
            )
            said, _ = await asyncio.wait_for(process.communicate(), watch_s + 60.0)
        if process.returncode != 1 or not json.loads(said)["root_cause"]:
            raise RuntimeError(f"{scenario}: exit code {process.returncode}, no root cause was confirmed")
        for name, ending in _SAVED.items():
            # Where the lab kept its files is nobody's business.
            text = (out / name).read_text(encoding="utf-8").replace(str(lab.folder), "/lab").replace(home, "~")
            (HERE / f"{scenario}.{ending}").write_text(text, encoding="utf-8")


def main(names: Sequence[str]) -> None:
    """Makes those that are named, or all."""
    if unknown := set(names) - INCIDENTS.keys():
        sys.exit(f"no example {', '.join(sorted(unknown))}: there are {', '.join(INCIDENTS)}")
    for name in names or INCIDENTS:
        asyncio.run(make(name, INCIDENTS[name]))
        print(f"docs/examples/{name}.md", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
