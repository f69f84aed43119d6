"""Turns the bytes of a terminal into events: a paste stays text whatever it holds, a wrong byte costs one character."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from textual._xterm_parser import XTermParser
from textual.message import Message

_START, _END = "\x1b[200~", "\x1b[201~"
"""Bracketed paste: what a terminal sends around pasted text (xterm control sequences)."""


class TerminalInput:
    """Decodes and parses what arrives in pieces of any size.

    Textual's own input thread gives up on a byte that is no UTF-8, as another encoding's accented letter, and takes up
    to 32 characters after an escape inside a paste for keys: pasted text would run commands.

    Args:
        debug: let Textual's parser log what it reads.
    """

    def __init__(self, *, debug: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pastes = PasteGuard()
        self._parser = XTermParser(debug)

    def feed(self, data: bytes) -> Iterator[Message]:
        """The events that `data` completes."""
        text = self._pastes.pass_on(self._decoder.decode(data))
        if text:  # to the parser nothing means the end
            yield from self._parser.feed(text)

    def tick(self) -> Iterator[Message]:
        """The events that are complete because nothing followed, such as a lone Escape."""
        yield from self._parser.tick()


class PasteGuard:
    """Takes the escape characters out of pasted text, so that nothing in it is read as a key."""

    def __init__(self) -> None:
        self._inside = False
        self._matched = 0
        """How many characters of the next mark have come."""

    def pass_on(self, text: str) -> str:
        """`text` as it may go to the parser. Inside a paste the beginning of its end mark waits for the rest."""
        passed: list[str] = []
        for character in text:
            mark = _END if self._inside else _START
            if character == mark[self._matched]:
                self._matched += 1
                if not self._inside:
                    passed.append(character)
                if self._matched == len(mark):
                    passed.append(_END if self._inside else "")
                    self._inside, self._matched = not self._inside, 0
                continue
            if self._inside:
                passed.append(mark[1 : self._matched])  # it was none: text, without its escape
            self._matched = 1 if character == "\x1b" else 0
            if not (self._inside and self._matched):
                passed.append(character)
        return "".join(passed)
