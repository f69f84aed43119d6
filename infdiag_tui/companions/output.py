"""What a companion says while it runs: bounded, printable, without secrets, cleaned piece by piece as it comes."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from infdiag_tui.remote.output import TooMuchError
from infdiag_tui.text import clean

MOST_BYTES = 2**20

_OPEN_ENDS = (":", "=", "=>")
"""A value may follow on the next line: `password:` is told from its secret only together with it."""
_KEY_BEGINS, _KEY_ENDS = "-----BEGIN ", "-----END "


class Heard:
    """Gathers the outputs of a command, line by line in the order in which they come.

    Whole lines are cleaned as they come, so that a megabyte does not hold up the loop at once; what a later line may
    turn out to belong to (a private key, a value that is still to come) waits for it.

    Args:
        told: called with the whole text so far whenever there is more.
        most_bytes: as much is kept.
    """

    def __init__(self, told: Callable[[str], None], most_bytes: int = MOST_BYTES) -> None:
        self._told = told
        self._room = most_bytes
        self._channels: dict[str, _Channel] = {}
        self.text = ""
        """What has been said, cleaned."""
        self.begun = False
        """Whether anything has."""

    def take(self, channel: str, data: bytes) -> None:
        """Adds a piece that came over a channel; a line of one is not broken by what comes over another.

        Raises:
            TooMuchError: it says more than is kept.
        """
        self.begun = self.begun or bool(data)
        kept = data[: self._room]
        self._room -= len(kept)
        self._add(self._channels.setdefault(channel, _Channel()).lines(kept))
        if len(kept) < len(data):
            raise TooMuchError

    def end(self) -> None:
        """Nothing more comes: what waits for more is cleaned as it is."""
        for channel in self._channels.values():
            if self.text and not self.text.endswith("\n"):
                self.text += "\n"
            self._add(channel.rest())
        self._channels.clear()

    def _add(self, text: str) -> None:
        if text:
            self.text += clean(text)
            self._told(self.text)


class _Channel:
    """What has come over one channel and is not told yet."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = ""

    def lines(self, data: bytes) -> str:
        """Takes a piece; the lines that are whole by now."""
        self._waiting += self._decoder.decode(data)
        ready = _ready(self._waiting)
        lines, self._waiting = self._waiting[:ready], self._waiting[ready:]
        return lines

    def rest(self) -> str:
        """What waits, at the end."""
        return self._waiting + self._decoder.decode(b"", final=True)


def _ready(text: str) -> int:
    """How many of the characters are whole lines that nothing to come belongs to."""
    end = text.rfind("\n") + 1
    key = text.rfind(_KEY_BEGINS)
    if key >= 0 and _KEY_ENDS not in text[key:end]:
        end = text.rfind("\n", 0, key) + 1
    while end:
        said = text[:end].rstrip()
        if not said.endswith(_OPEN_ENDS):
            break
        end = text.rfind("\n", 0, len(said)) + 1
    return end
