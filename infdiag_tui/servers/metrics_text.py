"""Prometheus and OpenMetrics text as samples, whatever a server sends under that name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAX_SAMPLES = 200_000
"""Samples read of one page; a server with more label sets than this is cut off, and the page says so."""

MAX_LINE = 20_000

_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:.]{0,299}")
_LABEL = re.compile(r'\s{0,20}([A-Za-z_][A-Za-z0-9_.]{0,199})\s{0,20}=\s{0,20}"((?:[^"\\]|\\.)*+)"\s{0,20}(,?)')
_BLANK = frozenset((" ", "\t"))
_META = re.compile(r"#\s{1,20}(TYPE|UNIT)\s{1,20}([A-Za-z_:][A-Za-z0-9_:.]{0,299})\s{1,20}(\w{1,40})\s*\Z")
_ESCAPED = re.compile(r"\\(.)")
_SPECIAL = {"+inf": math.inf, "inf": math.inf, "-inf": -math.inf, "nan": math.nan}


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One line: a metric's name, its labels and its value (may be NaN or infinite)."""

    name: str
    labels: Mapping[str, str]
    value: float

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when it has all of `labels`."""
        return all(self.labels.get(name) == value for name, value in labels.items())


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """A scraped page: samples by name, and how much of it could not be read.

    `types` and `units` are what the page's own `# TYPE` and `# UNIT` lines say of a family, by its name.
    """

    by_name: Mapping[str, tuple[MetricSample, ...]] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    malformed_lines: int = 0
    truncated: bool = False

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    def get(self, name: str, labels: Mapping[str, str] | None = None) -> tuple[MetricSample, ...]:
        """The samples of that name that have these labels."""
        found = self.by_name.get(name, ())
        return found if not labels else tuple(sample for sample in found if sample.matches(labels))

    def total(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """The sum of its finite samples; None without any."""
        values = [sample.value for sample in self.get(name, labels) if math.isfinite(sample.value)]
        return math.fsum(values) if values else None


def parse_metrics(text: str, *, max_samples: int = MAX_SAMPLES) -> MetricsPage:
    """Samples of a metrics page. Unreadable lines are counted, not fatal; linear in the text's length."""
    by_name: dict[str, list[MetricSample]] = {}
    told: dict[str, dict[str, str]] = {"TYPE": {}, "UNIT": {}}
    malformed = samples = 0
    truncated = False
    for line in _lines(text):
        if not line or line.startswith("#"):
            meta = _META.match(line) if len(line) <= MAX_LINE else None
            if meta is not None and len(told[meta[1]]) < max_samples:
                told[meta[1]][meta[2]] = meta[3]
            continue
        if samples >= max_samples:
            truncated = True
            break
        sample = _sample(line)
        if sample is None:
            malformed += 1
            continue
        samples += 1
        by_name.setdefault(sample.name, []).append(sample)
    return MetricsPage(
        {name: tuple(found) for name, found in by_name.items()}, told["TYPE"], told["UNIT"], malformed, truncated
    )


def _lines(text: str) -> Iterator[str]:
    """Lines one by one: a huge page is not held twice."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end].strip()
        start = end + 1


def _sample(line: str) -> MetricSample | None:
    if len(line) > MAX_LINE:
        return None
    name = _NAME.match(line)
    if name is None:
        return None
    position = name.end()
    while line[position : position + 1] in _BLANK:
        position += 1
    labels: dict[str, str] = {}
    if line[position : position + 1] == "{":
        parsed = _labels(line, position + 1)
        if parsed is None:
            return None
        labels, position = parsed
    # What follows the value (a time stamp, an exemplar after "#") does not matter here.
    words = line[position : position + 200].split(maxsplit=1)
    value = _number(words[0]) if words else None
    return None if value is None else MetricSample(name[0], labels, value)


def _labels(line: str, position: int) -> tuple[dict[str, str], int] | None:
    """The labels up to the closing brace, and the position after it."""
    labels: dict[str, str] = {}
    while (label := _LABEL.match(line, position)) is not None:
        labels[label[1]] = _ESCAPED.sub(_unescape, label[2]) if "\\" in label[2] else label[2]
        position = label.end()
        if not label[3]:
            break
    rest = line[position:]
    closing = position + len(rest) - len(rest.lstrip())
    return (labels, closing + 1) if line[closing : closing + 1] == "}" else None


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n"}.get(match[1], match[1])


def _number(word: str) -> float | None:
    special = _SPECIAL.get(word.lower())
    if special is not None:
        return special
    if "_" in word:  # Python's float takes digit groups, the format has none
        return None
    try:
        return float(word)
    except ValueError:
        return None
