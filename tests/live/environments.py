"""Environments of real model servers, one virtual environment each in `.venv-servers`, made when first asked for.

`python -m tests.live.environments` makes them all, as `make test-servers` does before the tests.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".venv-servers"
REQUIREMENTS = {
    "pytriton": "nvidia-pytriton==0.7.*",  # brings a real Triton, which starts without a GPU
    "mlserver": "mlserver==1.7.*",
    "kserve": "kserve==0.21.*",
    "litserve": "litserve==0.2.19",
}
_INSTALL_TIMEOUT_S = 900.0


class NotOfferedError(Exception):
    """The package index does not offer the server for this Python, or cannot be reached."""


class InstallError(Exception):
    """The index offers the server, and yet it could not be installed."""


def environment(name: str) -> Path:
    """The Python of a server's environment, which is made first where it is absent or of another version.

    Raises:
        NotOfferedError: there is nothing to install.
        InstallError: installing failed; with pip's words.
    """
    folder, requirement = FOLDER / name, REQUIREMENTS[name]
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = f"{requirement} on Python {sys.version}"
    with _one_at_a_time(name):
        if stamp.exists() and stamp.read_text() == wanted:
            return python
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        try:
            _pip(python, "--dry-run", "--no-deps", requirement)
        except InstallError as error:
            why = str(error).partition("\n")[0]
            raise NotOfferedError(f"{requirement} cannot be had from the package index here: {why}") from error
        place, began = folder.relative_to(FOLDER.parent), time.monotonic()
        print(f"setting up {place} ({requirement}, once)", file=sys.stderr, flush=True)
        _pip(python, "--no-compile", requirement)  # of its thousands of modules a server imports a few
        print(f"{place} is there after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        stamp.write_text(wanted)
    return python


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pip(python: Path, *words: str) -> None:
    flags = ("--quiet", "--disable-pip-version-check", "--retries", "2")
    _run(sys.executable, "-m", "pip", "--python", str(python), "install", *flags, *words)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise InstallError("\n".join(said[-20:]))


def main() -> int:
    """Makes them all, two at a time; 1 when one that is offered could not be installed."""
    with ThreadPoolExecutor(2) as pool:
        return int(not all(pool.map(_made, REQUIREMENTS)))


def _made(name: str) -> bool:
    """False when it is offered and could not be installed; that it is not offered is said."""
    try:
        environment(name)
    except NotOfferedError as error:
        print(f"{error}\nits tests are skipped", file=sys.stderr, flush=True)
    except InstallError as error:
        print(f"{REQUIREMENTS[name]} could not be installed:\n{error}", file=sys.stderr, flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
