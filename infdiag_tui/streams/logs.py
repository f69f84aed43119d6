"""Log files on this machine, each a stream of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from infdiag_tui.config import ModelConfig
from infdiag_tui.streams.base import Stream, StreamContext
from infdiag_tui.streams.log_file import LogFileStream
from infdiag_tui.text import one_line


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """One stream per file of `logs.files`; a file that is named twice is followed once."""
    paths = list(dict.fromkeys(Path(path).expanduser().absolute() for path in config.logs.files))
    names = short_names(paths)
    return [
        LogFileStream(name, path, config.logs.backlog_lines, context.clock)
        for name, path in zip(names, paths, strict=True)
    ]


def short_names(paths: Sequence[Path]) -> list[str]:
    """The shortest endings of the paths that tell them apart: the file name, with parent folders where needed."""
    depths = [1] * len(paths)
    while True:
        names = [_ending(path, depth) for path, depth in zip(paths, depths, strict=True)]
        counts = Counter(names)
        longer = [
            depth + 1 if counts[name] > 1 and depth < len(path.parts) else depth
            for name, path, depth in zip(names, paths, depths, strict=True)
        ]
        if longer == depths:
            return _distinct([one_line(name) for name in names])
        depths = longer


def _ending(path: Path, depth: int) -> str:
    return str(path) if depth >= len(path.parts) else "/".join(path.parts[-depth:])


def _distinct(names: Sequence[str]) -> list[str]:
    """Numbers names that differ only in what can't be shown."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return distinct
