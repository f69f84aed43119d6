"""Short names of log sources: what tells them apart is kept, what they all share goes; pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType

from widgets.ink import cells, clip, flat, keep_tail

_NAME_CHARS = 400
_BOUNDARY = re.compile(r"[-/._:]")
_LEAST_TAIL = 5
"""A name is cut behind a separator only if this many characters are left of it."""


def tail_of(source: str, width: int, ellipsis: str = "…") -> str:
    """`source` cut at its front to at most `width` columns, behind a separator where one is near."""
    name = flat(source[-_NAME_CHARS:])
    if cells(name) <= width:
        return name
    room = width - cells(ellipsis)
    if room <= 0 or not name.isascii():
        return clip(keep_tail(name, width, ellipsis), width, ellipsis)
    tail = name[-room:]
    found = _BOUNDARY.search(tail)
    if found and len(tail) - found.end() >= _LEAST_TAIL and not _BOUNDARY.match(name[-room - 1]):
        tail = tail[found.end() :]
    return ellipsis + tail


def source_labels(sources: Iterable[str], width: int, ellipsis: str = "…") -> MappingProxyType[str, str]:
    """What each of `sources` is called in a column of at most `width`; empty when there is no column.

    Of containers (`namespace/pod/container`) goes what all of them share: the namespace, the container's name, the
    beginning of several pods' names; of several files the folders that all are in. Sources that would then be called
    the same keep both ends of their names.
    """
    return _labels(tuple(sources), width, ellipsis) if width > 0 else MappingProxyType({})


@lru_cache(maxsize=16)
def _labels(sources: tuple[str, ...], width: int, ellipsis: str) -> MappingProxyType[str, str]:
    containers = [source for source in sources if _is_container(source)]
    others = [source for source in sources if not _is_container(source)]
    names = dict(zip(containers, _containers(containers), strict=True))
    names |= dict(zip(others, _without_start(others, "/"), strict=True))
    labels = [_label(*names[source], width, ellipsis) for source in sources]
    times = Counter(labels)
    return MappingProxyType(
        {
            source: label if times[label] == 1 else keep_tail(source, width, ellipsis)
            for source, label in zip(sources, labels, strict=True)
        },
    )


def _label(name: str, cut: bool, width: int, ellipsis: str) -> str:
    """`name` in at most `width` columns; `cut` when its beginning is gone already."""
    marked = ellipsis + flat(name) if cut else flat(name)
    return marked if cells(marked) <= width else tail_of(name, width, ellipsis)


def _is_container(source: str) -> bool:
    parts = source.split("/")
    return len(parts) == 3 and all(parts)


def _containers(sources: list[str]) -> list[tuple[str, bool]]:
    """The names of containers without what they share, and whether their beginning went."""
    parts = [source.split("/") for source in sources]
    if len({container for _, _, container in parts}) == 1:
        parts = [part[:2] for part in parts]
    if len({part[0] for part in parts}) == 1:
        return _without_start(["/".join(part[1:]) for part in parts], "-")
    return [("/".join(part), False) for part in parts]


def _without_start(names: list[str], separator: str) -> list[tuple[str, bool]]:
    """`names` without the beginning that all of several share up to a `separator`."""
    first, last = min(names, default=""), max(names, default="")
    differ = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    shared = first.rfind(separator, 0, differ) + 1 if len(names) > 1 else 0
    if shared < 2 or shared == len(first):
        return [(name, False) for name in names]
    return [(name[shared:], True) for name in names]
