"""The lines of a Python server whose memory grew, for a server that opted in.

The hook is a route of the server's own, behind whatever access control it has, that answers with tracemalloc's
statistics as JSON: a list of `{"file": str, "line": int, "size": bytes, "count": int}`. In FastAPI, for example, after
`tracemalloc.start()` at start-up:

    @app.get("/debug/tracemalloc")
    def lines():
        top = tracemalloc.take_snapshot().statistics("lineno")[:500]
        return [{"file": s.traceback[0].filename, "line": s.traceback[0].lineno, "size": s.size, "count": s.count}
                for s in top]

JSON and no pickle: a snapshot's pickle would run whatever a compromised server puts in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from checks.base import CheckError, Sender
from infdiag_tui.text import clean, one_line

TOP = 10


@dataclass(frozen=True, slots=True)
class GrownLine:
    """One line of code that holds more than before."""

    where: str
    grown_bytes: int
    size_bytes: int
    blocks: int


async def lines_now(sender: Sender, url: str) -> dict[str, tuple[int, int]]:
    """Bytes and blocks by `file:line`.

    Raises:
        CheckError: the hook does not answer, or with something else.
    """
    answer = await sender.get(url, timeout_s=30)
    if not answer.ok:
        reason = answer.error or f"status {answer.status}"
        raise CheckError(one_line(clean(f"The tracemalloc hook {url} did not answer: {reason}.")), unreachable=True)
    if not isinstance(answer.body, list):
        raise CheckError(one_line(clean(f"{url} answers no list of file, line, size and count: see the manual.")))
    found: dict[str, tuple[int, int]] = {}
    for row in answer.body:
        if not isinstance(row, dict):
            continue
        size, count = row.get("size"), row.get("count", 0)
        if isinstance(size, int) and isinstance(count, int):
            found[one_line(clean(f"{row.get('file')}:{row.get('line')}"), 200)] = (size, count)
    return found


def grown(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[GrownLine]:
    """The lines that grew most, the greatest first."""
    lines = [
        GrownLine(where, size - before.get(where, (0, 0))[0], size, count - before.get(where, (0, 0))[1])
        for where, (size, count) in after.items()
    ]
    return sorted((line for line in lines if line.grown_bytes > 0), key=lambda line: -line.grown_bytes)[:TOP]
