"""The `Remote` of checks: a command beside the model, with its output bounded and nothing of it left running."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import shlex
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol

from checks.base import CheckError
from infdiag_tui.remote import scripts
from infdiag_tui.remote.output import STDOUT_BYTES, Output, TooMuchError
from infdiag_tui.text import clean, one_line

log = logging.getLogger(__name__)
# What was run in production is worth a line in the incident's log, whatever else is kept there.
log.setLevel(logging.INFO)

END_WITHIN_S = 8.0
"""How long it may take to end what was left running."""

_NOT_ALLOWED = re.compile(r"permission denied", re.IGNORECASE)
_CANNOT_RUN, _NO_PROGRAM = 126, 127
"""The shell's exit codes for these."""


class Carrier(Protocol):
    """A way to one place beside the model."""

    kind: Literal["container", "host"]
    place: str
    """What it is called: `container server of pod scorer-1 (namespace ml)`."""

    async def carry(
        self, words: tuple[str, ...], stdin: bytes, take: Callable[[str, bytes], None]
    ) -> tuple[int | None, str]:
        """Runs one command to its end: its exit code, or None and why this program could not be started.

        `take` is given its output, and first of all nothing, once the way is open.

        Raises:
            CheckError: there is no way there, or (`unreachable`) it broke; it says why and what to try.
        """
        ...

    async def aclose(self) -> None:
        """Closes what it keeps open."""
        ...


class GuardedRemote:
    """Runs commands through a carrier.

    A run that is cancelled, takes too long, says too much or loses its connection is ended in its place by a second
    command. That needs `sh` there, and reaches all processes of the run that this user may see; where there is no `sh`,
    commands run without it and an abandoned one may go on. Belongs to one event loop; close it with `aclose`.
    """

    def __init__(self, carrier: Carrier, stdout_bytes: int = STDOUT_BYTES) -> None:
        self._carrier = carrier
        self._stdout_bytes = stdout_bytes
        self._has_shell = True
        self._logged: tuple[str, ...] = ()
        self._endings: set[asyncio.Task[str]] = set()
        self.kind = carrier.kind
        self.place = carrier.place
        self.where = f"{'in' if self.kind == 'container' else 'on'} {self.place}"

    async def run(
        self,
        command: tuple[str, ...],
        *,
        timeout_s: float,
        stdin: bytes = b"",
        hear: Callable[[str, bytes], None] | None = None,
    ) -> tuple[int, bytes, bytes]:
        """As `Remote.run`; `hear` is given both outputs (name, piece) as they come, and may raise `TooMuchError`."""
        if command != self._logged:
            self._logged = command
            log.info("running %s: %s", self.where, one_line(clean(shlex.join(command))))
        if self._has_shell:
            ended = await self._attempt(command, timeout_s, stdin, secrets.token_hex(8), hear)
            if ended is not None:
                return ended
            self._has_shell = False
        ended = await self._attempt(command, timeout_s, stdin, "", hear)
        assert ended is not None
        return ended

    async def aclose(self) -> None:
        """Waits for what is being ended, then closes the way."""
        if self._endings:
            await asyncio.wait(self._endings)
        await self._carrier.aclose()

    async def _attempt(
        self,
        command: tuple[str, ...],
        timeout_s: float,
        stdin: bytes,
        token: str,
        hear: Callable[[str, bytes], None] | None,
    ) -> tuple[int, bytes, bytes] | None:
        """One run, under a token if given; None: there is no shell to start it with."""
        output = Output(scripts.begins(token) if token else b"", self._stdout_bytes, hear)
        words = scripts.start(command, token) if token else command
        program = one_line(clean(command[0]), 60)
        try:
            async with asyncio.timeout(timeout_s):
                code, said = await self._carrier.carry(words, stdin, output.take)
        except asyncio.CancelledError:
            if output.opened:
                await self._ended(token)
            raise
        except TimeoutError as error:
            left = f"{await self._ended(token)}; " if output.opened else ""
            raise CheckError(
                f"{program} {self.where} did not end within {timeout_s:g} s; {left}allow it more time, or look what "
                "holds it up there"
            ) from error
        except TooMuchError as error:
            limit = f"{self._stdout_bytes / 2**20:g} MiB"
            raise CheckError(
                f"{program} {self.where} printed more than {limit}; {await self._ended(token)}; ask it for less"
            ) from error
        except CheckError as error:
            if not (output.opened and error.unreachable):
                raise
            raise CheckError(f"{error}; {await self._ended(token)}", unreachable=error.unreachable) from error
        if token and not output.begun:
            if code in (None, _CANNOT_RUN, _NO_PROGRAM):
                return None
            instead = one_line(clean(output.instead)) or f"exit code {code}"
            raise CheckError(f"no command can be run {self.where}: {instead}; is there a shell for this user?")
        if code is None:
            return self._not_started(program, said)
        return code, output.stdout, output.stderr

    def _not_started(self, program: str, said: str) -> tuple[int, bytes, bytes]:
        """What a shell would say of a program that is not there or may not be run."""
        if _NOT_ALLOWED.search(said):
            return _CANNOT_RUN, b"", f"{program} may not be run {self.where} ({said})".encode()
        return _NO_PROGRAM, b"", f"there is no program {program} {self.where} ({said})".encode()

    async def _ended(self, token: str) -> str:
        return await asyncio.shield(self._ending(token))

    def _ending(self, token: str) -> asyncio.Task[str]:
        """Ends what runs under the token, whatever becomes of who waits for it; the result says what came of it."""
        work: Coroutine[Any, Any, str] = self._end(token)
        task = asyncio.create_task(work, name=f"end of a command {self.where}")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        return task

    async def _end(self, token: str) -> str:
        if not token:
            return "it may still run there, for without a shell it cannot be ended from here"
        output = Output(b"")
        try:
            async with asyncio.timeout(END_WITHIN_S):
                code, said = await self._carrier.carry(scripts.end(token), b"", output.take)
        except (CheckError, TimeoutError, TooMuchError) as error:
            code, said = None, str(error)
        told = output.stdout.split()[-1:]
        if code != 0 or told not in ([b"yes"], [b"none"]):
            said = one_line(clean(said or output.instead), 200) or f"exit code {code}"
            log.warning("a command %s could not be ended: %s", self.where, said)
            return f"it may still run there, for it could not be ended ({said})"
        return "it was ended there" if told == [b"yes"] else "nothing of it runs there any more"
