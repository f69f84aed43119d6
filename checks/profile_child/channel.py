"""Runs one job in a process of its own: its answers are kept apart from what the model prints, and it always ends."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
from typing import Any, Callable, Dict  # noqa: UP035 - the container's Python may be 3.8

FOLDER_PREFIX = "infdiag-profile-"
MAX_EMBEDDED_BYTES = 48_000_000
"""A larger trace does not travel inside the answer; it is left out, and said so."""

Document = Dict[str, Any]  # noqa: UP006


class JobError(Exception):
    """The job cannot be done: one sentence on what happened and what to try."""


class Channel:
    """Answers to infdiag, one JSON document per line; from now on standard output is standard error for the model."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, document: Document) -> None:
        """Writes one document at once."""
        with self._lock:
            self._out.write(json.dumps(document, default=str) + "\n")
            self._out.flush()

    def progress(self, text: str, share: float) -> None:
        """Says what is done at the moment, and which share of the job that is."""
        self.send({"progress": text, "share": share})


Run = Callable[[Document, Channel, pathlib.Path], Document]


def serve(run: Run, job: Document) -> None:
    """Does the job, sends `{"result": ...}` or `{"error": sentence}`, removes its folder and ends the process.

    The process ends at `job["timeout_s"]` by itself, even while the model's code holds on: nobody may be left to stop
    it when the connection to its container was lost.
    """
    channel = Channel()
    folder = _folder(str(job["token"]))

    def end(code: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        sys.stderr.flush()
        # Threads and exit handlers of the model's code may not keep the process.
        os._exit(code)

    def expire() -> None:
        channel.send({"error": "the profile took longer than {:g} s".format(job["timeout_s"])})
        end(3)

    watchdog = threading.Timer(float(job["timeout_s"]), expire)
    watchdog.daemon = True
    watchdog.start()
    code = 0
    try:
        channel.send({"result": run(job, channel, folder)})
    except JobError as error:
        channel.send({"error": str(error)})
        code = 1
    except BaseException as error:  # noqa: BLE001 - whatever the model's code raises is the answer
        channel.send({"error": f"{type(error).__name__}: {error}"})
        code = 1
    end(code)


def keep(job: Document, path: pathlib.Path, name: str) -> Document:
    """The finished file handed over: moved to `job["out"]` where that is a folder, else embedded in base64."""
    size = path.stat().st_size
    if job.get("out"):
        target = pathlib.Path(str(job["out"])) / name
        shutil.move(str(path), str(target))
        return {"name": name, "path": str(target), "bytes": size}
    if size > MAX_EMBEDDED_BYTES:
        return {"name": name, "bytes": size, "left_out": "too large to bring over"}
    return {"name": name, "bytes": size, "base64": base64.b64encode(path.read_bytes()).decode("ascii")}


def _folder(token: str) -> pathlib.Path:
    """A folder of this job's own, recognisable by its token; in memory where no disk is writable."""
    for parent in (None, "/dev/shm"):  # noqa: S108 - mkdtemp makes a folder that is nobody else's
        try:
            folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX + token + "-", dir=parent)
        except OSError:
            continue
        # What libraries write on the way goes the same way as ours.
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        return pathlib.Path(folder)
    raise SystemExit("no writable folder for temporary files (tried the usual ones and /dev/shm)")
