"""Groups a metrics page into families by what they measure, with their unit where the name or the page states one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from infdiag_tui.servers.adapters import Unit, unit_in
from infdiag_tui.servers.metrics_text import MetricsPage

Kind = Literal["time", "distribution", "counter", "seconds", "gauge", "gauge_time"]

_UNITS: dict[str, Unit] = {"seconds": "s", "milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
_DERIVED = ("_bucket", "_count", "_created", "_info", "_sum")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric as a server means it.

    `name` is that of the family (without `_sum` and `_count`), for counters and gauges that of the series. `words` is
    its name as `_word_word_`, singular and in lower case; `labels` are the label names that its series carry.
    """

    name: str
    kind: Kind
    unit: Unit | None
    words: str
    labels: frozenset[str]

    def has(self, words: Iterable[str]) -> bool:
        """True when its name has one of these words."""
        return any(f"_{word}_" in self.words for word in words)

    def rank(self, words: Iterable[str]) -> int | None:
        """The place of the first of `words` that its name has."""
        return next((place for place, word in enumerate(words) if f"_{word}_" in self.words), None)


def families_of(page: MetricsPage) -> tuple[Family, ...]:
    """Every family of a page whose kind can be told."""
    return tuple(_families(page))


def _families(page: MetricsPage) -> Iterator[Family]:
    for name in page.by_name:
        base = name.removesuffix("_sum")
        if base != name and f"{base}_count" in page:
            unit = _unit(page, base)
            yield _family(page, base, f"{base}_count", "time" if unit else "distribution", unit)
        elif not name.endswith(_DERIVED):
            kind = page.types.get(name) or page.types.get(name.removesuffix("_total"), "")
            # OpenMetrics demands "_total" of counters; a page without types is trusted that far and no further.
            if kind == "counter" or (not kind and name.endswith("_total")):
                unit = _unit(page, name)
                yield _family(page, name, name, "seconds" if unit else "counter", unit)
            elif kind == "gauge":
                unit = _unit(page, name)
                yield _family(page, name, name, "gauge_time" if unit else "gauge", unit)


def _family(page: MetricsPage, name: str, series: str, kind: Kind, unit: Unit | None) -> Family:
    labels = frozenset(label for sample in page.get(series) for label in sample.labels)
    return Family(name, kind, unit, words_of(name), labels)


def _unit(page: MetricsPage, name: str) -> Unit | None:
    stated = page.units.get(name) or page.units.get(name.removesuffix("_total"))
    return _UNITS.get(stated) if stated else unit_in(name)


@lru_cache(maxsize=8_192)
def words_of(name: str) -> str:
    """`name` as `_word_word_`: split at everything that is no letter or digit and before capitals, singular."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    found = (singular(word) for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word)
    return f"_{'_'.join(found)}_"


def singular(word: str) -> str:
    """A plural's singular, near enough for matching: both sides of a comparison go through it."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word
