"""Asks the operator which of several findings is meant; what is asked and answered goes to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from infdiag_tui.discovery.score import Candidate
from infdiag_tui.text import one_line

MOST_SHOWN = 30
_TRIES = 3


def interactive() -> bool:
    """True when somebody can be asked: input and the place where the question is shown are terminals."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()


def rows(candidates: Sequence[Candidate], *, width: int = 0) -> list[str]:
    """A numbered line for each, with place and reasons; of very many the first."""
    made = []
    for number, one in enumerate(candidates[:MOST_SHOWN], 1):
        workload = one.workload
        server = f", {one.server.name}" if one.server else ""
        why = f": {one.why}" if one.reasons else ""
        line = one_line(f"{number:3}  {workload.name}  ({workload.kind}{server}, {workload.where}){why}", 500)
        made.append(line[:width] if width else line)
    if len(candidates) > MOST_SHOWN:
        made.append(f"     and {len(candidates) - MOST_SHOWN} more: name one, or a namespace (-n)")
    return made


def choose(
    candidates: Sequence[Candidate], *, several: bool, read: Callable[[str], str], say: Callable[[str], None]
) -> list[Candidate]:
    """The candidates that the operator picks; none when the answer is empty, or never a number that is there.

    Args:
        candidates: what there is to pick from.
        several: whether more than one may be picked, as `1,3` or `a` for all.
        read: shows a prompt and returns the answer; raises `EOFError` at the end of input.
        say: prints a line.
    """
    for line in rows(candidates):
        say(line)
    shown = candidates[:MOST_SHOWN]
    prompt = f"Which? 1 to {len(shown)}{', several as 1,3, a for all' if several else ''}, Enter for none: "
    for _ in range(_TRIES):
        try:
            answer = read(prompt).strip().lower()
        except EOFError:
            return []
        if not answer:
            return []
        if several and answer in ("a", "all"):
            return list(shown)
        numbers = [part.strip() for part in answer.split(",")]
        if all(part.isascii() and part.isdigit() and 0 < int(part) <= len(shown) for part in numbers) and (
            several or len(numbers) == 1
        ):
            return [shown[int(part) - 1] for part in dict.fromkeys(numbers)]
        say(f"{one_line(answer, 40)!r} is no number from 1 to {len(shown)}.")
    return []
