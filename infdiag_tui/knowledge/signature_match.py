"""Finds the known lines among all lines: one scan for required literals, then only the patterns these belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from ahocorasick_rs import AhoCorasick

from infdiag_tui.knowledge.literals import required_literals
from infdiag_tui.knowledge.signatures import FLAGS, GENERIC, Signature, families

MAX_CHARACTERS = 8_192
"""How much of an entry is looked at. Of a longer one, the end as well as the beginning: a traceback's exception comes
last."""
_TAIL_CHARACTERS = 2_048

_QUOTES_INPUT = re.compile(r"Received request [\w.-]{1,80}: prompt: |\"(?:prompt|messages|inputs)\": ?[\"\[]", FLAGS)
"""Lines that quote what a client sent, which may be about errors and is none."""


class Matcher:
    """Tells which signatures a line has.

    Args:
        library: the signatures by family; those of the family `generic` count only where no other one is found.
    """

    def __init__(self, library: Mapping[str, Mapping[str, Signature]]) -> None:
        self._patterns: dict[str, str] = {}
        self._generic = frozenset(library.get(GENERIC, ()))
        self._compiled: dict[str, re.Pattern[str]] = {}
        owners: dict[str, set[str]] = {}
        for family in library.values():
            for id_, signature in family.items():
                self._patterns[id_] = signature.pattern
                for literal in required_literals(signature.pattern):
                    owners.setdefault(literal, set()).add(id_)
        self._owners = [tuple(owners[literal]) for literal in owners]
        self._literals = AhoCorasick(list(owners))

    def match(self, text: str) -> tuple[str, ...]:
        """Ids of the signatures that `text` has, in alphabetical order; empty for most lines."""
        text = _looked_at(text)
        found = self._literals.find_matches_as_indexes(text.lower(), overlapping=True)
        if not found:
            return ()
        candidates = {id_ for index in {one[0] for one in found} for id_ in self._owners[index]}
        return self._told(text, candidates)

    def match_all(self, text: str) -> tuple[str, ...]:
        """The same by running every pattern: slow, to hold `match` against."""
        return self._told(_looked_at(text), set(self._patterns))

    def _told(self, text: str, candidates: set[str]) -> tuple[str, ...]:
        # A generic wording is looked for only in a line that nothing more exact is known of.
        held = self._holding(text, candidates - self._generic) or self._holding(text, candidates & self._generic)
        return () if held and _QUOTES_INPUT.search(text) else held

    def _holding(self, text: str, candidates: set[str]) -> tuple[str, ...]:
        return tuple(sorted(id_ for id_ in candidates if self._pattern(id_).search(text)))

    def _pattern(self, id_: str) -> re.Pattern[str]:
        # Compiled when first needed: of all patterns an incident needs a few, and compiling them all takes long.
        pattern = self._compiled.get(id_)
        if pattern is None:
            pattern = self._compiled[id_] = re.compile(self._patterns[id_], FLAGS)
        return pattern


@cache
def matcher() -> Matcher:
    """The matcher of the built-in library. The first call reads it, which takes a tenth of a second."""
    return Matcher(families())


def _looked_at(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[: MAX_CHARACTERS - _TAIL_CHARACTERS]}\n{text[-_TAIL_CHARACTERS:]}"
