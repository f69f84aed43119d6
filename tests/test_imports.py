"""What may be imported before the first frame, proven in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    *("scipy", "torch", "kubernetes", "pandas", "numpy", "pydantic", "httpx", "aiohttp", "psutil", "pynvml"),
    "asyncssh",
)


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import infdiag_tui.cli", "import infdiag_tui.app", "import infdiag_tui.engine", "import infdiag_tui.model"],
)
def test_nothing_heavy_is_imported_before_the_first_frame(statement: str) -> None:
    assert not modules_after(statement) & set(HEAVY)


@pytest.mark.parametrize(
    "statement",
    [
        "import infdiag_tui.session, infdiag_tui.headless",
        (
            "import infdiag_tui.streams.registry as r, importlib\n"
            "[importlib.import_module('infdiag_tui.streams.' + name) for name in r.BUILT_IN]"
        ),
        "import checks",
    ],
)
def test_sessions_streams_and_checks_need_no_screen(statement: str) -> None:
    assert not {name for name in modules_after(statement) if name.split(".")[0] == "textual"}
