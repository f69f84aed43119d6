"""Whether the target answers, judged from its replies one after another."""

from __future__ import annotations

from infdiag_tui.model import ErrorKind, Reply, SourceState, Status

SILENT_S = 1.5
"""With at least two failures in a row, no answer for this long means that the target does not answer; a single failure
among answers changes nothing."""
SILENT_ALONE_S = 3.0
"""With a single failure: the same at slow rates, or after a long timeout."""

_ANSWERED_BADLY = frozenset({ErrorKind.HTTP_STATUS, ErrorKind.BAD_REPLY})


class Reachability:
    """Turns replies into states: `LIVE` while answers come, `DEGRADED` when only bad ones do, `UNAVAILABLE` when none.

    The first reply decides at once. Back to `LIVE` takes one good answer.
    """

    def __init__(self) -> None:
        self._said: tuple[SourceState, str] | None = None
        self._answered_at: float | None = None
        self._failures = 0

    def note(self, reply: Reply, remedy: str, now: float) -> Status | None:
        """The state after `reply` if it is news, else None. `now` is monotonic seconds, never stepping back."""
        if reply.ok:
            self._failures = 0
            self._answered_at = now
            return self._say(SourceState.LIVE, reply, "", "")
        if reply.error is ErrorKind.OVERRUN:
            return None  # not sent: says nothing new about the target
        if reply.error is ErrorKind.TUNNEL:
            # Nothing new about the target either, but the probe is of no use meanwhile.
            return self._say(SourceState.UNAVAILABLE, reply, reply.error_text, remedy)
        self._failures += 1
        if self._answered_at is not None:
            silent_s = now - self._answered_at
            if silent_s < (SILENT_S if self._failures > 1 else SILENT_ALONE_S):
                return None
        state = SourceState.DEGRADED if reply.error in _ANSWERED_BADLY else SourceState.UNAVAILABLE
        return self._say(state, reply, reply.error_text, remedy)

    def _say(self, state: SourceState, reply: Reply, reason: str, remedy: str) -> Status | None:
        if self._said == (state, reason):
            return None
        self._said = (state, reason)
        return Status(state, reply.at, reason, remedy)
