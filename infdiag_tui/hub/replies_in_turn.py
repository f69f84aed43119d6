"""Replies of replicas that are probed in turn: one log each, for as long as the replica is probed."""

from __future__ import annotations

from infdiag_tui.hub.replies import ReplyLog
from infdiag_tui.model import LatencyView, Reply

GONE_AFTER_S = 300.0
"""A replica that was not probed for this long is no longer shown."""
MAX_REPLICAS = 500
CAPACITY = 10_000
"""Raw replies kept of each."""


class RepliesInTurn:
    """Logs by replica."""

    def __init__(self) -> None:
        self._logs: dict[str, ReplyLog] = {}
        self._newest: dict[str, float] = {}

    def add(self, reply: Reply) -> None:
        """Takes one reply; beyond `MAX_REPLICAS` the one not heard of for longest is forgotten."""
        name = reply.replica
        if name not in self._logs and len(self._logs) >= MAX_REPLICAS:
            self._forget(min(self._newest, key=self._newest.__getitem__))
        self._logs.setdefault(name, ReplyLog(name, capacity=CAPACITY)).add(reply)
        self._newest[name] = reply.at

    def views(self, now: float) -> tuple[LatencyView, ...]:
        """Everything known as of `now` (Unix seconds), by name."""
        for name in [name for name, at in self._newest.items() if now - at > GONE_AFTER_S]:
            self._forget(name)
        return tuple(self._logs[name].view(now) for name in sorted(self._logs))

    def _forget(self, name: str) -> None:
        del self._logs[name], self._newest[name]
