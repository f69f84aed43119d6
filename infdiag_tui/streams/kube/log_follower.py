"""Follows one container's log across cuts, quiet hours and restarts, each line once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from infdiag_tui.model import Container, LogLine
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_BAD_REQUEST, HTTP_NOT_FOUND, Access, ApiError, UnreachableError
from infdiag_tui.streams.kube.lines import CutError, batches
from infdiag_tui.streams.kube.merge import Outlet
from infdiag_tui.streams.kube.resume import Replay, ResumePoint, stamp_ns
from infdiag_tui.streams.log_assembler import MAX_LINE_CHARACTERS, LineAssembler

_STAMP_BYTES = 36
_LINE_BYTES = 4 * MAX_LINE_CHARACTERS + _STAMP_BYTES
_SLICE = 200
"""Lines taken before other tasks get their turn."""
_ENDS_KEPT = 16
_PREVIOUS_ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class Record:
    """What is known of one container's log; outlives connections, so that nothing is lost or told twice.

    `restarts_read` is the restart count whose previous run has been read, `began_at` when the run of that count began.
    `first_tail` bounds the first request.
    """

    namespace: str
    pod: str
    container: str
    first_tail: int | None
    known: Container
    gone: bool = False
    restarts_read: int = 0
    began_at: float | None = None
    point: ResumePoint = field(default_factory=ResumePoint)
    ends: deque[ResumePoint] = field(default_factory=lambda: deque(maxlen=_ENDS_KEPT))
    previous_point: ResumePoint | None = None
    previous_failures: int = 0
    ready: deque[LogLine] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    fed_at: float = 0.0
    unstamped: bytes = b""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    assembler: LineAssembler = field(init=False)
    previous_assembler: LineAssembler = field(init=False)

    def __post_init__(self) -> None:
        self.assembler = LineAssembler(self.source)
        self.previous_assembler = LineAssembler(self.source, previous=True)
        self.note_begin()

    @property
    def source(self) -> str:
        """`namespace/pod/container`."""
        return f"{self.namespace}/{self.pod}/{self.container}"

    @property
    def restart_is_due(self) -> bool:
        """True while a restart is known whose previous run has not been read."""
        return self.known.restart_count > self.restarts_read

    def update(self, container: Container) -> None:
        """Takes the container's newest state."""
        if container != self.known:
            self.known = container
            self.note_begin()
            self.changed.set()

    def note_begin(self) -> None:
        """Remembers when the run began whose log is being followed."""
        if not self.restart_is_due and self.known.started_at is not None:
            self.began_at = self.known.started_at

    def leave(self) -> None:
        """Notes that the pod is gone: what is still under way is read, nothing more is asked for."""
        self.gone = True
        self.changed.set()

    def flush(self) -> None:
        """Completes the entries that wait for more lines."""
        for assembler in (self.previous_assembler, self.assembler):
            self.ready.extend(assembler.flush())

    async def drain(self, outlet: Outlet) -> None:
        """Hands on what is ready; an entry leaves `ready` only once it is handed on."""
        async with self.lock:
            while self.ready:
                await outlet.put(self.ready[0])
                self.ready.popleft()


class LogFollower:
    """Reads one record's log until the pod is gone; `ApiError`s are the caller's to judge.

    `opened` is awaited whenever the API server has begun to send a log.
    """

    def __init__(
        self,
        record: Record,
        client: KubeClient,
        outlet: Outlet,
        opened: Callable[[], Awaitable[None]],
    ) -> None:
        self._record = record
        self._client = client
        self._outlet = outlet
        self._opened = opened
        self._news = False

    async def step(self) -> bool:
        """Reads the previous run if one is due, then follows until the log ends, is cut or is quiet for long.

        Returns:
            Whether anything new came.

        Raises:
            ApiError: the API server refused, or can't be reached.
        """
        self._news = False
        record = self._record
        record.changed.clear()
        await record.drain(self._outlet)
        if record.restart_is_due:
            await self._read_previous()
        if not record.gone:
            await self._follow_guarded()
        return self._news

    async def _follow_guarded(self) -> None:
        """Follows, but not into a new run before the previous run's rest was read."""
        record = self._record
        following = asyncio.ensure_future(self._follow())
        try:
            while not following.done():
                if record.gone or record.restart_is_due:
                    await asyncio.wait({following}, timeout=self._client.pace.last_words_s)
                    break
                change = asyncio.ensure_future(record.changed.wait())
                try:
                    await asyncio.wait({following, change}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    change.cancel()
                record.changed.clear()
        finally:
            if not following.done():
                following.cancel()
                await asyncio.wait({following})
        if not following.cancelled():
            following.result()

    async def _follow(self) -> None:
        record = self._record
        query: dict[str, str | int] = {"container": record.container, "timestamps": "true", "follow": "true"}
        if record.point.since:
            query["sinceTime"] = record.point.since
        elif record.first_tail is not None:
            query["tailLines"] = record.first_tail
        try:
            await self._read(query, record.point, record.assembler)
        except CutError:
            pass  # reopened from where it stood; if the server is gone, opening says so
        except UnreachableError as error:
            if not error.timed_out:
                raise
            # The log of a silent container may not even begin: quiet, not unreachable.
        finally:
            record.ends.append(record.point.copy())

    async def _read_previous(self) -> None:
        """The run before the present one: of a run that was followed only what is missing, else its end."""
        record = self._record
        restarts = record.known.restart_count
        if record.previous_point is None:
            record.previous_point = self._point_in_previous_run()
        query: dict[str, str | int] = {"container": record.container, "timestamps": "true", "previous": "true"}
        if record.previous_point.since:
            query["sinceTime"] = record.previous_point.since
        elif record.first_tail is not None:
            query["tailLines"] = record.first_tail
        try:
            await self._read(query, record.previous_point, record.previous_assembler)
        except ApiError as error:
            if error.status not in (HTTP_BAD_REQUEST, HTTP_NOT_FOUND):
                self._previous_failed(restarts, counts=error.status >= 500)
                raise
            if record.known.state != "running":
                # Between two runs: the one that ended may not be the previous one yet.
                self._previous_failed(restarts, counts=True)
                return
            # Else the runtime has removed it, and there is nothing to read.
        except CutError:
            self._previous_failed(restarts, counts=True)
            return  # the rest at the next step
        self._previous_done(restarts)

    def _previous_failed(self, restarts: int, *, counts: bool) -> None:
        """After some failures goes on without the previous run: the present one matters more."""
        self._record.previous_failures += counts
        if self._record.previous_failures >= _PREVIOUS_ATTEMPTS:
            self._previous_done(restarts)

    def _previous_done(self, restarts: int) -> None:
        record = self._record
        record.restarts_read, record.previous_point, record.previous_failures = restarts, None, 0
        record.note_begin()

    def _point_in_previous_run(self) -> ResumePoint:
        """The newest place that was reached before the present run began (the present log may have gone on)."""
        known = self._record.known
        if known.started_at is not None and known.started_at == self._record.began_at:
            # The restart is counted, but the state is still how the run before ended: no log of a new one was read.
            return self._record.point.copy()
        points = [*self._record.ends, self._record.point]
        ended_at = known.termination.finished_at if known.termination else None
        began_at = known.started_at or ended_at
        if began_at is None:
            return points[-1].copy()
        limit_ns = (int(began_at) + 1) * 1_000_000_000  # stated in whole seconds
        within = [point for point in points if point.newest_ns is not None and point.newest_ns < limit_ns]
        return within[-1].copy() if within else ResumePoint()

    async def _read(self, query: dict[str, str | int], point: ResumePoint, assembler: LineAssembler) -> None:
        record, client = self._record, self._client
        path = f"/api/v1/namespaces/{record.namespace}/pods/{record.pod}/log"
        access = Access("get", "pods/log", record.namespace)
        quiet_s = client.pace.log_quiet_s
        replay = point.replay()
        async with (
            client.follow(path, query, access, quiet_s=quiet_s, open_s=quiet_s) as reply,
            aclosing(batches(reply.content, _LINE_BYTES)) as arrivals,
        ):
            await self._opened()
            async for lines in arrivals:
                client.touch()
                for start in range(0, len(lines), _SLICE):
                    self._take(lines[start : start + _SLICE], replay, assembler)
                    await record.drain(self._outlet)
                    await asyncio.sleep(0)

    def _take(self, lines: list[tuple[bytes, int]], replay: Replay, assembler: LineAssembler) -> None:
        """Marks lines as read and turns them into entries, in one go that no cancellation can split."""
        record, clock = self._record, self._client.clock
        now, record.fed_at = clock.now(), clock.monotonic()
        for line, cut_bytes in lines:
            head, _, text = line.partition(b" ")
            at_ns = stamp_ns(head.decode(errors="replace"))
            if at_ns is None:
                # The API server's own words amid the log; it repeats them each time the log is opened.
                if not line or line == record.unstamped:
                    continue
                record.unstamped = line
                at, text = None, line
            elif replay.is_news(at_ns, line):
                at = at_ns / 1e9
            else:
                continue
            self._news = True
            record.ready.extend(assembler.feed(text.decode(errors="replace"), now, at=at, cut_bytes=cut_bytes))


async def pause(record: Record, seconds: float) -> None:
    """Waits until the container's state changes, at most `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await record.changed.wait()
