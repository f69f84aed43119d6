"""The model's logs as Loki keeps them: the time before, then each line as it arrives there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from infdiag_tui.config import Loki, ModelConfig
from infdiag_tui.model import Heartbeat, Observation, SourceState
from infdiag_tui.streams.base import Stream, StreamContext
from infdiag_tui.streams.loki.client import Entry, LokiClient
from infdiag_tui.streams.loki.lines import Lines
from infdiag_tui.streams.loki.position import OVERLAP_NS, Position
from infdiag_tui.streams.troubles import Trouble, changes

NAME = "logs:loki"
PAGE_ENTRIES = 1_000
"""Loki refuses more than 5,000 by default (max_entries_limit_per_query)."""
AHEAD_NS = 60 * 1_000_000_000
"""How far past this machine's time a reading reaches: Loki's clock, or a sender's, may be ahead."""
_NS = 1_000_000_000


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The stream, when a Loki is configured."""
    if config.loki is None:
        return []
    return [LokiLogsStream(config.loki, context, backlog_lines=config.logs.backlog_lines)]


class LokiLogsStream:
    """Every line that the selector selects, once, in the order of their times as far as they arrive in it.

    It polls with an overlap rather than to hold Loki's tail open: a tail drops lines when its reader is slow, and after
    it broke nobody knows which. Where it stands outlives a failure.

    Args:
        settings: where Loki is, and the selector.
        context: clock and user agent.
        backlog_lines: lines read of the time before, the newest ones.
        page_entries: entries of one request.
    """

    name = NAME

    def __init__(
        self, settings: Loki, context: StreamContext, *, backlog_lines: int, page_entries: int = PAGE_ENTRIES
    ) -> None:
        self.stale_after_s = max(20.0, 4 * settings.interval_s)
        self._settings = settings
        self._clock = context.clock
        self._user_agent = context.user_agent
        self._backlog_lines = backlog_lines
        self._page_entries = page_entries
        self._lines = Lines()
        self._position: Position | None = None
        self._crowded = False

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: Loki cannot be asked, or refuses the selector.
        """
        told: dict[str, Trouble] = {}
        async with LokiClient(self._settings, self._user_agent) as client:
            while True:
                began = self._clock.monotonic()
                if self._position is None:
                    entries = await self._backlog(client)
                    for line in self._lines.feed(entries, self._clock.now()):
                        yield line
                else:
                    async for entries in self._arrived(client, self._position):
                        for line in self._lines.feed(entries, self._clock.now()):
                            yield line
                for line in self._lines.settle():
                    yield line
                troubles, self._crowded = (self._too_many() if self._crowded else {}), False
                for status in changes(told, troubles, self._clock.now()):
                    yield status
                told = troubles
                yield Heartbeat(self._clock.now())
                await asyncio.sleep(max(0.0, self._settings.interval_s - (self._clock.monotonic() - began)))

    async def _backlog(self, client: LokiClient) -> list[Entry]:
        """The newest lines of the time before; the place to go on from is known from then on."""
        now_ns = int(self._clock.wall() * _NS)
        start_ns = now_ns - int(self._settings.backlog_s * _NS)
        end_ns, found, complete = now_ns + AHEAD_NS, dict[Entry, None](), False
        while len(found) < self._backlog_lines and end_ns > start_ns and not complete:
            page = await client.page(start_ns=start_ns, end_ns=end_ns, limit=self._page_entries, direction="backward")
            found = dict.fromkeys((*page, *found))
            complete = len(page) < self._page_entries
            # The end is exclusive: the page's first time is asked for again, for there may be more lines of it.
            end_ns = min(page[0].at_ns + 1, end_ns - 1) if page else start_ns
        newest = sorted(found, key=lambda entry: entry.at_ns)[-self._backlog_lines :] if self._backlog_lines else []
        oldest_ns = newest[0].at_ns if newest else now_ns
        if complete and len(newest) == len(found):
            oldest_ns = min(oldest_ns, now_ns - OVERLAP_NS)  # what is late to arrive is of the backlog as well
        self._position = Position(oldest_ns)
        return self._position.news(newest)

    async def _arrived(self, client: LokiClient, position: Position) -> AsyncGenerator[list[Entry], None]:
        """What is new, page by page."""
        begin_ns = position.begin_ns
        while True:
            end_ns = int(self._clock.wall() * _NS) + AHEAD_NS
            page = await client.page(
                start_ns=begin_ns,
                end_ns=max(end_ns, begin_ns + AHEAD_NS),
                limit=self._page_entries,
                direction="forward",
            )
            yield position.news(page)
            if len(page) < self._page_entries:
                return
            if page[0].at_ns == page[-1].at_ns:
                # More lines of one nanosecond than a page holds: the API has no way to the rest of them.
                self._crowded = True
                begin_ns = page[-1].at_ns + 1
            else:
                begin_ns = page[-1].at_ns

    def _too_many(self) -> dict[str, Trouble]:
        return {
            "crowded": Trouble(
                SourceState.DEGRADED,
                f"{self._page_entries} or more lines bear one and the same time; Loki does not tell the rest of them",
                "let the agent that ships them keep the lines' own times",
            )
        }
