"""What a command beside the model says, kept within bounds."""

from __future__ import annotations

from collections.abc import Callable

STDOUT_BYTES = 64 * 2**20
STDERR_BYTES = 256 * 2**10
_NOISE_BYTES = 64 * 2**10


class TooMuchError(Exception):
    """The command said more than is kept."""


class Output:
    """Standard output from the line `begins` on (all of it without one), and the end of standard error.

    What comes before that line is a login's greeting, which SSH puts first. `hear` is given both outputs as they come,
    the greeting left out, each piece with its stream's name.
    """

    def __init__(
        self, begins: bytes, stdout_bytes: int = STDOUT_BYTES, hear: Callable[[str, bytes], None] | None = None
    ) -> None:
        self._hear = hear or (lambda _stream, _data: None)
        self._begins = begins
        self._stdout_bytes = stdout_bytes
        self._stdout = bytearray()
        self._stderr = bytearray()
        self.begun = not begins
        """Whether the command itself was started."""
        self.opened = False
        """Whether the way there was open, so that it may have been."""

    @property
    def stdout(self) -> bytes:
        """What it printed."""
        return bytes(self._stdout) if self.begun else b""

    @property
    def stderr(self) -> bytes:
        """What it complained about, the last of it."""
        return bytes(self._stderr)

    @property
    def instead(self) -> str:
        """What was said in place of the command's own words, where these never began."""
        return (bytes(self._stdout) + bytes(self._stderr)).decode("utf-8", "replace")

    def take(self, stream: str, data: bytes) -> None:
        """Adds a piece of `stdout` or `stderr`, which is empty when it only tells that the way is open.

        Raises:
            TooMuchError: standard output is larger than allowed; so may `hear`.
        """
        self.opened = True
        if stream == "stderr":
            self._stderr += data
            del self._stderr[:-STDERR_BYTES]
            if self.begun:
                self._hear(stream, data)
            return
        self._stdout += data
        if not self.begun:
            before, line, rest = bytes(self._stdout).partition(self._begins)
            self.begun = bool(line)
            self._stdout = bytearray(rest if line else before[-_NOISE_BYTES:])
            data = rest if line else b""
            if line and self._stderr:  # complaints may overtake the line on their own channel
                self._hear("stderr", self.stderr)
        if data:
            self._hear(stream, data)
        if len(self._stdout) > self._stdout_bytes:
            raise TooMuchError
