"""Remembers what was computed from data that has not changed since: assessing runs twice a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Memo:
    """Results by key, each valid while the very objects that it was made from are handed in again.

    Views of series and replies are the same objects until something new comes, so identity is all that is compared.

    Args:
        heavy_per_round: how many results of `heavily` may be made anew in a round; the others stay as they were until
            their turn comes. None: all.
    """

    def __init__(self, heavy_per_round: int | None = None) -> None:
        self._heavy_per_round = heavy_per_round
        self._held: dict[Hashable, tuple[tuple[object, ...], Any]] = {}
        self._used: set[Hashable] = set()
        self._made = 0
        self._waiting: dict[Hashable, None] = {}

    def begin(self) -> None:
        """Starts a round of assessing; what the last one did not ask for is forgotten."""
        if self._used:
            self._held = {key: held for key, held in self._held.items() if key in self._used}
            self._waiting = {key: None for key in self._waiting if key in self._used}
        self._used = set()
        self._made = 0

    def of(self, key: Hashable, stamp: tuple[object, ...], make: Callable[[], T]) -> T:
        """`make()`, or what it gave when the same objects were in `stamp`."""
        self._used.add(key)
        held = self._held.get(key)
        if held is not None and _same(held[0], stamp):
            return cast("T", held[1])
        made = make()
        self._held[key] = (stamp, made)
        return made

    def heavily(self, key: Hashable, stamp: tuple[object, ...], make: Callable[[], T]) -> T | None:
        """As `of`, but an older result, or None, while others have had their turn in this round."""
        held = self._held.get(key)
        if held is not None and _same(held[0], stamp):
            self._used.add(key)
            return cast("T", held[1])
        self._used.add(key)
        if self._heavy_per_round is not None and not self._is_turn(key):
            return cast("T", held[1]) if held is not None else None
        self._made += 1
        return self.of(key, stamp, make)

    def _is_turn(self, key: Hashable) -> bool:
        """First come, first served: who waits longest is next, so that nobody waits for ever."""
        assert self._heavy_per_round is not None
        self._waiting.setdefault(key)
        if self._made >= self._heavy_per_round:
            return False
        ahead = list(self._waiting)[: self._heavy_per_round - self._made]
        if key not in ahead:
            return False
        del self._waiting[key]
        return True


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
