"""Starts a model server as a child process and speaks to it as any client would."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import eventually_blocking

_START_S = 90.0
_ENDS_WITHIN_S = 25.0
TETHER = Path(__file__).with_name("tether.py")
PROGRAMS = Path(__file__).with_name("programs")
V2_INPUT = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]}]}
"""What the served models add up: 6."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: where it predicts (`{model}` stands for the model) and where its metrics are."""

    predict: str
    metrics: str = ""

    def url(self, model: str) -> str:
        """The predict URL of one of its models."""
        return self.predict.replace("{model}", model)


@contextmanager
def child(
    command: Sequence[object], port: int, ready: str, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A server from when it answers `GET ready` with 200 until the end of the block.

    Raises:
        AssertionError: it ended or was not ready in time; with the end of what it wrote.
    """
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(TETHER), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "HOME": str(folder), **(env or {})},
            start_new_session=True,
        )
    try:
        try:
            eventually_blocking(lambda: process.poll() is not None or status_of(port, ready) == 200, _START_S)
            assert process.poll() is None, f"the server ended with {process.returncode}"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text(errors='replace')[-4000:]}") from None
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(_ENDS_WITHIN_S)


def status_of(port: int, path: str) -> int | None:
    """The status of `GET path`; None without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def latencies_ms(url: str, body: Any, requests: int) -> list[float]:
    """How long single requests on one connection take the standard library's client, after one that is not counted."""
    host, path = url.removeprefix("http://").split("/", 1)
    connection = http.client.HTTPConnection(host, timeout=30)
    found = []
    for _ in range(requests + 1):
        began = time.perf_counter()
        connection.request("POST", f"/{path}", json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        found.append((time.perf_counter() - began) * 1e3)
        assert reply.status == 200
    connection.close()
    return found[1:]


class Operator:
    """Someone at a shell in a folder of their own, with the known-good input in a file."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "input.json").write_text(json.dumps(V2_INPUT))

    def infdiag(self, *words: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the JSON document of a command; fails where there is none."""
        done = subprocess.run(
            [sys.executable, "-m", "infdiag_tui", *words, "--json", "--out", "incident"],
            cwd=self.home,
            env={
                **os.environ,
                "HOME": str(self.home),
                "XDG_STATE_HOME": str(self.home / "state"),
                "XDG_CONFIG_HOME": str(self.home / "config"),
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
            capture_output=True,
            text=True,
            timeout=150,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def v2(self, *words: str, url: str) -> tuple[int, dict[str, Any]]:
        """The same for a model behind the Open Inference Protocol."""
        return self.infdiag(*words, "--endpoint", url, "--protocol", "v2", "--body-file", "input.json")


def evidence(document: Mapping[str, Any], identity: str) -> dict[str, Any]:
    """The one piece of evidence with this id."""
    (found,) = (one for one in document["evidence"] if one["id"] == identity)
    assert isinstance(found, dict)
    return found
