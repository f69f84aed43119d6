"""Runs a function over data files in a child process: killable at once, its memory its own, the event loop free.

The parent writes one JSON line (`call`, `arguments`) and keeps the pipe open; the child answers with JSON lines:
`progress` at any time, then `result` or `error`. When the pipe closes, the parent is gone and the child ends itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from checks.base import CheckError
from infdiag_tui.model import Progress

Report = Callable[[str, float | None], None]
"""What a function in the child reports its progress to: a text, and the share done."""

_ROOT = str(Path(__file__).resolve().parent.parent)
_LINE_LIMIT = 64 * 1024 * 1024
_STDERR_KEPT = 2_000
_LEAVES_WITHIN_S = 5.0
_NICER = 10
"""How much the child gives way to others on a busy machine (`nice`)."""


async def in_child(
    call: str,
    arguments: Mapping[str, Any],
    report: Callable[[Progress], None],
    *,
    limit_s: float = 3_600,
) -> Any:
    """The result of `call` (`package.module:function`) with JSON-able `arguments` and a `report`, from a child process.

    Raises:
        CheckError: the function raised one, the child died, or it took longer than `limit_s`.
    """
    # -P: the working directory, which anybody may have written, gives no modules.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "checks.data_worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT,
        env=environment,
        start_new_session=True,
    )
    last_words: list[bytes] = []
    listener = asyncio.create_task(_drain(child.stderr, last_words))
    try:
        async with asyncio.timeout(limit_s):
            return await _converse(child, {"call": call, "arguments": arguments}, report, last_words, listener)
    except TimeoutError:
        raise CheckError(f"Reading and comparing took longer than {limit_s:g} s; try with fewer rows.") from None
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        if child.stdin is not None:
            child.stdin.close()
        listener.cancel()
        async with asyncio.timeout(_LEAVES_WITHIN_S):
            await child.wait()
        await asyncio.gather(listener, return_exceptions=True)


async def _converse(
    child: asyncio.subprocess.Process,
    request: Mapping[str, Any],
    report: Callable[[Progress], None],
    last_words: list[bytes],
    listener: asyncio.Task[None],
) -> Any:
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(ConnectionError):
        child.stdin.write(orjson.dumps(request) + b"\n")
        await child.stdin.drain()
    while line := await child.stdout.readline():
        message = orjson.loads(line)
        if "progress" in message:
            report(Progress(*message["progress"]))
        elif "error" in message:
            raise CheckError(message["error"])
        else:
            return message["result"]
    code = await child.wait()
    await listener
    if code == -signal.SIGKILL:
        raise CheckError(
            "The comparing process was killed, most likely for want of memory: compare fewer rows, or fewer features."
        )
    tail = b"".join(last_words).decode(errors="replace").strip().splitlines()
    raise CheckError(f"The comparing process ended with code {code}: {tail[-1] if tail else 'no message'}")


async def _drain(stream: asyncio.StreamReader | None, last_words: list[bytes]) -> None:
    while stream is not None and (chunk := await stream.read(4096)):
        last_words[:] = [b"".join([*last_words, chunk])[-_STDERR_KEPT:]]


def main() -> None:
    """The child's side."""
    # Beside a console that answers keys and streams that take times: whoever waits for this waits for seconds anyway.
    os.nice(_NICER)
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    request = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(message: Mapping[str, Any]) -> None:
        answers.write(orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")

    module, _, function = request["call"].partition(":")
    try:
        result = getattr(import_module(module), function)(
            **request["arguments"], report=lambda text, share: say({"progress": [text, share]})
        )
    except CheckError as error:
        say({"error": str(error)})
    except MemoryError:
        say({"error": "There is not enough memory to compare these files: compare fewer rows or name fewer features."})
    else:
        say({"result": result})


def _end_with_parent() -> None:
    # Not through sys.stdin: its lock, held here, would abort the interpreter's end.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
