"""The logs of every container of the model's pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

from infdiag_tui.clock import Clock
from infdiag_tui.model import Container, Heartbeat, Observation, Pod, SourceState
from infdiag_tui.streams.base import Roster
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import (
    HTTP_BAD_REQUEST,
    HTTP_FORBIDDEN,
    HTTP_NOT_FOUND,
    HTTP_TOO_MANY,
    HTTP_UNAUTHORIZED,
    Access,
    ApiError,
    UnreachableError,
)
from infdiag_tui.streams.kube.log_follower import LogFollower, Record, pause
from infdiag_tui.streams.kube.merge import Outlet, merged
from infdiag_tui.text import one_line

MAX_FOLLOWED = 50
"""Each followed log is a connection to the API server and on to a kubelet; operators share both."""

_ENDED_WAIT_S = 30.0
_GATHER_S = 0.05
"""Changes of the roster that come in one go are answered at once."""
_Key = tuple[str, str]
"""Pod uid and container name."""


class PodLogsStream:
    """Follows each container of the roster's pods; what was read outlives a failed run.

    Args:
        client: shared with the pods stream.
        roster: the pods known.
        clock: wall and monotonic time.
        backlog_lines: lines read of a log that was there before infdiag.
        max_followed: logs followed at a time.
    """

    name = "pod-logs"
    stale_after_s = 20.0

    def __init__(
        self,
        client: KubeClient,
        roster: Roster,
        clock: Clock,
        *,
        backlog_lines: int,
        max_followed: int = MAX_FOLLOWED,
    ) -> None:
        self._client = client
        self._roster = roster
        self._clock = clock
        self._backlog_lines = backlog_lines
        self._max_followed = max_followed
        self._records: dict[_Key, Record] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._refusals: dict[str, ApiError] = {}
        self._primed = False
        self._freed = asyncio.Event()

    def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: kubeconfig or credentials are broken, or the API server is gone.
        """
        return merged(self._run, self._clock)

    async def _run(self, outlet: Outlet) -> None:
        self._refusals.clear()
        self._freed.clear()
        # A follower that was cancelled before its first step never ran what would have taken it from here, and its
        # container would not be followed again.
        self._tasks.clear()
        async with self._client.connected(), asyncio.TaskGroup() as group:
            group.create_task(self._pulse(outlet))
            group.create_task(self._flush(outlet))
            changes = asyncio.Event()
            group.create_task(self._listen(changes))
            while True:
                changes.clear()
                await self._tell_missed(self._assign(group, outlet), outlet)
                await changes.wait()
                await asyncio.sleep(_GATHER_S)

    async def _listen(self, changes: asyncio.Event) -> None:
        """Sets `changes` when the roster has changed, or when a follower has ended and another may begin."""
        freed = asyncio.ensure_future(self._freed.wait())
        roster = asyncio.ensure_future(self._roster.changed())
        try:
            await asyncio.sleep(0)  # both waits have begun; what changed before them is looked at again
            changes.set()
            while True:
                await asyncio.wait({freed, roster}, return_when=asyncio.FIRST_COMPLETED)
                if roster.done():
                    roster = asyncio.ensure_future(self._roster.changed())
                if freed.done():
                    self._freed.clear()
                    freed = asyncio.ensure_future(self._freed.wait())
                await asyncio.sleep(0)
                changes.set()
        finally:
            freed.cancel()
            roster.cancel()

    def _assign(self, group: asyncio.TaskGroup, outlet: Outlet) -> int:
        """Starts and ends followers as the roster wants it; returns how many containers are left out."""
        wanted = {
            (pod.uid, container.name): (pod, container)
            for pod in self._roster.current().values()
            for container in _worth_following(pod)
        }
        for key, record in list(self._records.items()):
            if key in wanted:
                record.gone = False
                record.update(wanted[key][1])
            else:
                record.leave()
                if key not in self._tasks:
                    del self._records[key]
        left_out = 0
        for key in sorted(wanted, key=lambda key: _urgency(*wanted[key])):
            if key in self._tasks:
                continue
            if len(self._tasks) >= self._max_followed:
                left_out += 1
                continue
            record = self._records.get(key) or self._records.setdefault(key, self._record(*wanted[key]))
            self._tasks[key] = group.create_task(self._follow(key, record, outlet))
        self._primed = self._primed or bool(wanted)
        return left_out

    def _record(self, pod: Pod, container: Container) -> Record:
        # A pod that came while infdiag watches is read from its first line.
        tail = None if self._primed else self._backlog_lines
        return Record(pod.namespace, pod.name, container.name, tail, container)

    async def _tell_missed(self, missed: int, outlet: Outlet) -> None:
        """Says how many logs are not followed."""
        if not missed:
            await outlet.well("cap")
            return
        await outlet.trouble(
            "cap",
            SourceState.DEGRADED,
            f"the logs of {missed} of {missed + len(self._tasks)} containers are not followed "
            f"(at most {self._max_followed} at a time; the ones in trouble come first)",
            "narrow kubernetes.selector in infdiag.toml (--selector) to the pods in question",
        )

    async def _follow(self, key: _Key, record: Record, outlet: Outlet) -> None:
        """Follows one container until its pod is gone."""
        follower = LogFollower(record, self._client, outlet, lambda: self._note(record.source, None, outlet))
        idle = 0
        try:
            while not record.gone:
                try:
                    idle = 0 if await follower.step() else idle + 1
                    wait_s = self._wait_s(record, idle)
                except ApiError as error:
                    idle += 1
                    wait_s = await self._refused(error, record, idle, outlet)
                if not record.gone:
                    await pause(record, wait_s)
            record.flush()
            await record.drain(outlet)
            await self._note(record.source, None, outlet)
            del self._records[key]
        finally:
            del self._tasks[key]
            self._freed.set()

    def _wait_s(self, record: Record, idle: int) -> float:
        """How long to wait before an ended log is opened again, unless the container's state changes before."""
        if record.known.state in ("terminated", "waiting") and idle and not record.restart_is_due:
            return _ENDED_WAIT_S
        return self._backoff_s(idle)

    def _backoff_s(self, idle: int) -> float:
        pace = self._client.pace
        return min(pace.reopen_most_s, pace.reopen_s * 2.0 ** min(idle, 10))

    async def _refused(self, error: ApiError, record: Record, idle: int, outlet: Outlet) -> float:
        """Judges a refusal; returns how long to wait, seconds.

        Raises:
            ApiError: it concerns all logs: the server is gone or the credentials are.
        """
        if error.status == HTTP_UNAUTHORIZED:
            raise error
        if error.status == HTTP_FORBIDDEN:
            await self._note(record.source, error, outlet)
            return self._client.pace.denied_s
        if error.status == HTTP_TOO_MANY:
            return error.retry_after_s or 1.0
        waits = error.status == HTTP_BAD_REQUEST and (
            "waiting to start" in error.message or record.known.state != "running"
        )
        if waits or error.status == HTTP_NOT_FOUND:
            # A container that waits to start, or a pod that is about to leave the roster: no failure.
            await self._note(record.source, None, outlet)
            return self._backoff_s(idle)
        if isinstance(error, UnreachableError):
            await self._contact()
        await self._note(record.source, error, outlet)
        return self._backoff_s(idle)

    async def _note(self, source: str, error: ApiError | None, outlet: Outlet) -> None:
        """Keeps the account of logs that can't be read, and tells it."""
        if self._refusals.get(source) is error:
            return
        if error is None:
            del self._refusals[source]
        else:
            self._refusals[source] = error
        denied = [other for other in self._refusals.values() if other.status == HTTP_FORBIDDEN]
        if denied:
            await outlet.trouble("", SourceState.FORBIDDEN, denied[0].reason, denied[0].remedy)
        else:
            await outlet.well("")
        failed = {name: other for name, other in self._refusals.items() if other.status != HTTP_FORBIDDEN}
        if not failed:
            await outlet.well("unreadable")
            return
        first, why = min(failed.items())
        await outlet.trouble(
            "unreadable",
            SourceState.DEGRADED,
            one_line(f"the logs of {len(failed)} containers can't be read; {first}: {why.reason}", 500),
            "check the nodes they run on: kubectl get pods -o wide; kubectl get nodes",
        )

    async def _flush(self, outlet: Outlet) -> None:
        """Completes entries whose source has been quiet for a moment."""
        flush_s = self._client.pace.flush_s
        while True:
            await asyncio.sleep(flush_s)
            now = self._clock.monotonic()
            for record in list(self._records.values()):
                if now - record.fed_at >= flush_s:
                    record.flush()
                    await record.drain(outlet)

    async def _pulse(self, outlet: Outlet) -> None:
        """Says that quiet logs are current for as long as the API server answers."""
        pace, failures = self._client.pace, 0
        while True:
            try:
                if self._clock.monotonic() - self._client.last_contact > 1.2 * pace.pulse_s:
                    await self._contact()
                failures = 0
                await outlet.put(Heartbeat(self._clock.now()))
            except UnreachableError:
                failures += 1
                if failures > 1:
                    raise
            await asyncio.sleep(pace.pulse_s)
            if self._roster.current():
                await outlet.well("pods")
            else:
                await outlet.trouble(
                    "pods",
                    SourceState.DEGRADED,
                    "no pods are known whose logs could be followed",
                    "see the pods source",
                )

    async def _contact(self) -> None:
        """Asks the API server for a sign of life.

        Raises:
            UnreachableError: there is none.
        """
        access = Access("get", "version", self._client.namespace)
        try:
            await self._client.get("/version", {}, access, timeout_s=self._client.pace.pulse_timeout_s)
        except UnreachableError:
            raise
        except ApiError:
            pass  # it may refuse this very question, but it is there


def _worth_following(pod: Pod) -> Iterator[Container]:
    """All containers, and init containers that failed."""
    yield from pod.containers
    for container in pod.init_containers:
        end = container.termination
        if container.restart_count or (end is not None and end.exit_code not in (0, None)):
            yield container


def _urgency(pod: Pod, container: Container) -> tuple[bool, int, str, str]:
    """Containers in trouble first."""
    return container.ready, -container.restart_count, pod.key, container.name
