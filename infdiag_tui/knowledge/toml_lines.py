"""Where in a TOML text each key stands, for messages that name the line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence

Place = tuple[str | int, ...]
"""Keys and list indices from the top of a document down to a value."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*+"')
_LITERAL = re.compile(r"'[^'\n]*+'")
_MULTILINE = {
    '"""': re.compile(r'"""(?s:[^"\\]|\\.|"(?!""))*+"{3,5}'),
    "'''": re.compile(r"'''(?s:[^']|'(?!''))*+'{3,5}"),
}
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*+")
_SCALAR = re.compile(r"[^,\]}#\n]*+")


def line_of(text: str, place: Sequence[str | int]) -> int:
    """The line (from 1) of what stands at `place`, or of the innermost thing around it that the text has.

    Args:
        text: a document that `tomllib` accepts.
        place: keys and list indices, outermost first.
    """
    lines = _Scanner(text).lines
    for end in range(len(place), 0, -1):
        found = lines.get(tuple(place[:end]))
        if found is not None:
            return found
    return 1


def all_lines(text: str) -> dict[Place, int]:
    """The line (from 1) of each key, table and list item of a document that `tomllib` accepts."""
    return _Scanner(text).lines


class _Scanner:
    """Walks a valid document once; values are passed over, not read."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Place, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._counted_to = 0
        self._tables: dict[Place, int] = {}
        """How many tables each `[[...]]` has so far."""
        self._document()

    def _document(self) -> None:
        table: Place = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()

    def _header(self) -> Place:
        several = self._peek("[[")
        self._at += 2 if several else 1
        keys = self._keys()
        self._at = self._text.index("]", self._at) + (2 if several else 1)
        above: Place = ()
        for key in keys[:-1]:
            above = self._inside((*above, key))
            self._note(above)
        here: Place = (*above, keys[-1])
        if several:
            self._note(here)
            self._tables[here] = self._tables.get(here, 0) + 1
        here = self._inside(here)
        # A table that keys above it have named already is where its own header stands.
        self.lines[here] = self._here()
        return here

    def _inside(self, place: Place) -> Place:
        count = self._tables.get(place)
        return place if count is None else (*place, count - 1)

    def _pair(self, table: Place) -> None:
        place = table
        for key in self._keys():
            place = (*place, key)
            self._note(place)
        self._at = self._text.index("=", self._at) + 1
        self._value(place)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip_spaces()
            for pattern in (_BARE_KEY, _BASIC, _LITERAL):
                match = pattern.match(self._text, self._at)
                if match:
                    break
            else:
                raise ValueError(f"no key at character {self._at}")
            self._at = match.end()
            keys.append(next(iter(tomllib.loads(f"{match[0]} = 0"))))
            self._skip_spaces()
            if not self._peek("."):
                return keys
            self._at += 1

    def _value(self, place: Place) -> None:
        self._skip_spaces()
        if self._peek("["):
            self._at += 1
            self._skip_blank()
            index = 0
            while not self._peek("]"):
                self._note((*place, index))
                self._value((*place, index))
                index += 1
                self._after_item()
            self._at += 1
        elif self._peek("{"):
            self._at += 1
            self._skip_blank()
            while not self._peek("}"):
                self._pair(place)
                self._after_item()
            self._at += 1
        else:
            self._scalar()

    def _after_item(self) -> None:
        self._skip_blank()
        if self._peek(","):
            self._at += 1
            self._skip_blank()

    def _scalar(self) -> None:
        quote = self._text[self._at : self._at + 3]
        pattern = _MULTILINE.get(quote)
        if pattern is None:
            pattern = {'"': _BASIC, "'": _LITERAL}.get(quote[:1], _SCALAR)
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"no value at character {self._at}")
        self._at = match.end()

    def _note(self, place: Place) -> None:
        self.lines.setdefault(place, self._here())

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = max(self._counted_to, self._at)
        return self._line

    def _peek(self, sign: str) -> bool:
        return self._text.startswith(sign, self._at)

    def _skip_spaces(self) -> None:
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
