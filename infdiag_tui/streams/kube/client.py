"""The shared connection to one API server: raw requests through the official asyncio client, credentials kept fresh."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import orjson

from infdiag_tui.clock import Clock
from infdiag_tui.config import Kubernetes
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.kube.errors import (
    CONNECTION_ERRORS,
    HTTP_BAD_REQUEST,
    HTTP_TOO_MANY,
    HTTP_UNAUTHORIZED,
    Access,
    ApiError,
    Place,
    UnreachableError,
    refused,
    unreachable,
)
from infdiag_tui.streams.kube.exec_plugin import Credential, run_plugin
from infdiag_tui.streams.kube.kubeconfig import Kubeconfig, connect, read_kubeconfig, stamp_of
from infdiag_tui.streams.kube.pace import Pace
from infdiag_tui.streams.kube.pool import session_of
from infdiag_tui.streams.kube.requests import RequestCount
from infdiag_tui.streams.kube.throttle import Throttle
from infdiag_tui.text import clean, one_line

Query = Mapping[str, str | int | bool]
_Answer = TypeVar("_Answer")

_JSON = "application/json"
_RENEW_BEFORE_S = 60.0
_LONG_BYTES = 256 * 1024


@dataclass(slots=True)
class _Link:
    """One client with the config and credential it was made from."""

    config: Kubeconfig
    api: Any
    renew_at: float | None
    """When (Unix seconds) its credential should be replaced."""
    expires_at: float | None
    token_read_at: float
    """Monotonic."""


class KubeClient:
    """Speaks with the API server of the configured context, for as many streams as share it.

    Nothing is read or imported before the first use of `connected`. Belongs to one event loop.

    Attributes:
        last_contact: monotonic time of the server's last answer, -inf before the first.
        requests: what was asked so far, counted.
    """

    def __init__(self, settings: Kubernetes, clock: Clock, user_agent: str, pace: Pace | None = None) -> None:
        self.pace = pace or Pace()
        self.last_contact = float("-inf")
        self.requests = RequestCount()
        self._throttle = Throttle(clock, self.pace)
        self._settings = settings
        self.clock = clock
        self._user_agent = user_agent
        self._link: _Link | None = None
        self._retired: list[Any] = []
        self._users = 0
        self._generation = 0
        self._forced_at = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def place(self) -> Place:
        """Whom requests go to; empty before the first connection."""
        return self._link.config.place if self._link else Place(host="")

    @property
    def namespace(self) -> str:
        """The configured namespace, else the context's."""
        return self._link.config.namespace if self._link else self._settings.namespace

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[KubeClient]:
        """Keeps the client open; the last one to leave closes its sockets.

        Raises:
            SourceError: kubeconfig or credentials are missing or broken.
        """
        self._users += 1
        try:
            async with self._lock:
                stamp = await asyncio.to_thread(stamp_of, self._settings)
                if self._link is None or self._link.config.stamp != stamp:
                    await self._relink()
            yield self
        finally:
            self._users -= 1
            if self._users == 0:
                await self._close()

    async def get(self, path: str, query: Query, access: Access, *, accept: str = _JSON, timeout_s: float = 0) -> bytes:
        """The body of a short request.

        Raises:
            ApiError: refused (with the HTTP status) or, as `UnreachableError`, not answered.
            SourceError: credentials could not be renewed.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s or self.pace.request_s)
        return await self._read(await self._ask(path, query, access, accept, timeout))

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        try:
            body: bytes = await reply.read()
        except CONNECTION_ERRORS as error:
            raise unreachable(error, self.place) from error
        finally:
            reply.release()
        self.last_contact = self.clock.monotonic()
        return body

    async def get_json(
        self,
        path: str,
        query: Query,
        access: Access,
        *,
        accept: str = _JSON,
        timeout_s: float = 0,
    ) -> dict[str, Any]:
        """The JSON object that a short request answers with; parsed in a thread, for lists are long.

        Raises:
            ApiError: as `get`, or the answer is no JSON object.
        """
        return await self._object(await self.get(path, query, access, accept=accept, timeout_s=timeout_s), access)

    async def post_json(
        self, path: str, body: Mapping[str, Any], access: Access, *, timeout_s: float = 0
    ) -> dict[str, Any]:
        """The JSON object that a POST answers with: reviews (what may this user do?), which change nothing.

        Raises:
            ApiError: as `get_json`.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s or self.pace.request_s)
        reply = await self._ask(path, {}, access, _JSON, timeout, body=body)
        return await self._object(await self._read(reply), access)

    async def _object(self, body: bytes, access: Access) -> dict[str, Any]:
        try:
            found = await asyncio.to_thread(_loads, body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise self.no_object(access)
        return found

    def no_object(self, access: Access) -> ApiError:
        """The error for an answer that is no Kubernetes object."""
        return ApiError(
            f"{self.place} answered something that is no Kubernetes object to {access}",
            remedy=f"check that the server in {self.place.source} is a Kubernetes API and no login page or proxy",
        )

    @contextlib.asynccontextmanager
    async def follow(
        self,
        path: str,
        query: Query,
        access: Access,
        *,
        quiet_s: float,
        open_s: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A reply without end (a watch, a followed log); reading fails once it was silent for `quiet_s`.

        `open_s` bounds the wait for its head, which for the log of a silent container may not come before its first
        line.

        Raises:
            ApiError: as `get`, while opening it.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.pace.request_s, sock_read=quiet_s)
        reply = await self._ask(path, query, access, "*/*", timeout, encoding="identity", open_s=open_s)
        try:
            yield reply
        finally:
            reply.close()

    def touch(self) -> None:
        """Notes that the server was heard on an open reply."""
        self.last_contact = self.clock.monotonic()

    async def _ask(
        self,
        path: str,
        query: Query,
        access: Access,
        accept: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own, not a deadline of this function
        *,
        encoding: str = "gzip",
        open_s: float | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept, "Accept-Encoding": encoding}
        if body is not None:
            headers["Content-Type"] = _JSON

        async def send(api: Any) -> aiohttp.ClientResponse:
            method, url, own_headers, sent, _ = await api.param_serialize(
                "GET" if body is None else "POST",
                path,
                query_params=dict(query),
                header_params=dict(headers),
                body=body,
                auth_settings=["BearerToken"],
            )
            reply: aiohttp.ClientResponse = (
                await api.call_api(method, url, own_headers, sent, _request_timeout=timeout)
            ).response
            if reply.status >= HTTP_BAD_REQUEST:
                raise await self.refusal(reply, access)
            return reply

        return await self.answered(send, access, open_s=open_s)

    async def answered(
        self,
        send: Callable[[Any], Awaitable[_Answer]],
        access: Access,
        *,
        open_s: float | None = None,
        patient: bool = True,
    ) -> _Answer:
        """What `send` gets from an `ApiClient` with fresh credentials; after a 401 once more, with new ones.

        It is sent when the server's last "not now" allows, and counted. Who measures time is not `patient`: a request
        that would have to wait fails instead, lest the wait be taken for the model's.

        Raises:
            ApiError: as `get`; `send` raises what `refusal` makes of a refusing reply.
        """
        renewed = False
        while True:
            if not patient and (wait_s := self._throttle.wait_s(access)) > 0:
                raise refused(HTTP_TOO_MANY, "still holding back", access, self.place, wait_s)
            await self._throttle.passed(access)
            api = await self._fresh()
            self.requests.note(access, self.clock.monotonic())
            generation = self._generation
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that comes with the reply.
                async with asyncio.timeout(open_s or self.pace.request_s):
                    answer = await send(api)
            except ApiError as refusal:
                self.last_contact = self.clock.monotonic()
                self._throttle.refused(access, refusal.status, refusal.retry_after_s)
                if refusal.status != HTTP_UNAUTHORIZED:
                    raise
                if renewed or not await self._reauthenticate(generation):
                    refusal.retry_after_s = max(refusal.retry_after_s or 0.0, min(5.0, self.pace.denied_s))
                    raise
                renewed = True
            except (*CONNECTION_ERRORS, ValueError) as error:
                raise unreachable(error, self.place) from error
            else:
                self.last_contact = self.clock.monotonic()
                self._throttle.answered(access)
                return answer

    async def refusal(self, reply: aiohttp.ClientResponse, access: Access) -> ApiError:
        """What a reply of status 400 or more says; the reply is closed."""
        try:
            body = await reply.content.read(65_536)
        except CONNECTION_ERRORS:
            body = b""
        finally:
            reply.close()
        try:
            message = str(orjson.loads(body)["message"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            message = body[:500].decode(errors="replace")
        try:
            retry_after_s = max(0.0, float(reply.headers.get("Retry-After", "")))
        except ValueError:
            retry_after_s = None
        return refused(reply.status, one_line(clean(message)), access, self.place, retry_after_s)

    async def _fresh(self) -> Any:
        """The client, its credential renewed where it is about to expire."""
        async with self._lock:
            link = self._link
            if link is None:
                await self._relink()
            elif link.renew_at is not None and self.clock.wall() >= link.renew_at:
                await self._renew(link)
            elif link.config.token_file and self.clock.monotonic() - link.token_read_at > self.pace.token_file_s:
                await self._reread_token(link)
            assert self._link is not None
            return self._link.api

    async def _reauthenticate(self, generation: int) -> bool:
        """Gets new credentials after a 401; False when that was done just before."""
        async with self._lock:
            if generation != self._generation:
                return True
            if self.clock.monotonic() - self._forced_at < self.pace.reauthenticate_s:
                return False
            self._forced_at = self.clock.monotonic()
            await self._relink()
            return True

    async def _renew(self, link: _Link) -> None:
        try:
            await self._relink()
        except SourceError:
            if link.expires_at is None or self.clock.wall() >= link.expires_at:
                raise
            # The present credential still holds: use it and try again soon.
            link.renew_at = min(link.expires_at, self.clock.wall() + self.pace.reauthenticate_s)

    async def _reread_token(self, link: _Link) -> None:
        assert link.config.token_file is not None
        link.token_read_at = self.clock.monotonic()
        try:
            token = (await asyncio.to_thread(link.config.token_file.read_text)).strip()
        except (OSError, UnicodeDecodeError):
            return  # perhaps being replaced; the token in hand counts until the server says otherwise
        if token:
            link.api.configuration.api_key["BearerToken"] = f"Bearer {token}"

    async def _relink(self) -> None:
        """Reads the kubeconfig anew, runs its plugin and replaces the client."""
        config = await asyncio.to_thread(read_kubeconfig, self._settings)
        credential = await run_plugin(config.plugin, self.pace.plugin_s) if config.plugin else None
        api = await asyncio.to_thread(connect, config, credential, self._user_agent)
        api.rest_client.pool_manager = session_of(api)
        expires_at = credential.expires_at if credential else None
        previous, self._link = (
            self._link,
            _Link(config, api, _renewal(expires_at, self.clock.wall()), expires_at, self.clock.monotonic()),
        )
        self._generation += 1
        if previous is not None:
            # Replies that are still open live on until the next change of credentials.
            await self._close_retired()
            self._retired.append(previous.api)

    async def _close_retired(self) -> None:
        while self._retired:
            await self._retired.pop().close()

    async def _close(self) -> None:
        link, self._link = self._link, None
        await self._close_retired()
        if link is not None:
            await link.api.close()


def _loads(body: bytes) -> Any:
    """`orjson.loads` without the garbage collector, which otherwise takes most of the time of a long list.

    Measured on ten pages of 500 pods: 0.47 s instead of 1.2 s of CPU. JSON has no cycles to collect.
    """
    pause = len(body) > _LONG_BYTES and gc.isenabled()
    if pause:
        gc.disable()
    try:
        return orjson.loads(body)
    finally:
        if pause:
            gc.enable()


def _renewal(expires_at: float | None, now: float) -> float | None:
    """A minute before the end, or for short-lived credentials after four fifths of their life.

    A credential that comes expired is renewed when the server rejects it: clocks may differ.
    """
    if expires_at is None or expires_at <= now:
        return None
    return max(expires_at - _RENEW_BEFORE_S, now + 0.8 * (expires_at - now))


__all__ = ["Access", "ApiError", "Credential", "KubeClient", "Query", "UnreachableError"]
