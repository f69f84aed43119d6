"""The JSON HTTP APIs of the monitoring (Prometheus, Loki): bounded, timed, and every failure named with a remedy."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson

from infdiag_tui.config import HttpApi
from infdiag_tui.config.request import RequestError, proxy_for, tls_context
from infdiag_tui.model import SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    import httpx

MAX_REPLY_BYTES = 32 * 1024 * 1024
_SAID_BYTES = 4_096
_LONG_BYTES = 256 * 1024
"""From here on a reply is parsed on a thread: smaller ones take less than a millisecond."""
_LONG_QUERY = 4_000
"""From here on parameters are posted as a form: proxies cut long URLs."""
HTTP_BAD_REQUEST, HTTP_UNAUTHORIZED, HTTP_FORBIDDEN, HTTP_NOT_FOUND = 400, 401, 403, 404
HTTP_UNPROCESSABLE, HTTP_TOO_MANY, HTTP_UNAVAILABLE = 422, 429, 503


class HttpApiError(SourceError):
    """A refusal. `status` is the HTTP status (0: no answer) and `said` what the server says, printable, on one line."""

    def __init__(
        self,
        reason: str,
        *,
        remedy: str = "",
        state: SourceState = SourceState.UNAVAILABLE,
        retry_after_s: float | None = None,
        status: int = 0,
        said: str = "",
    ) -> None:
        super().__init__(reason, remedy=remedy, state=state, retry_after_s=retry_after_s)
        self.status = status
        self.said = said


@dataclass(frozen=True, slots=True)
class Service:
    """What is spoken with: its name in sentences, its config section, its URL, and how to find that out."""

    name: str
    section: str
    url: str
    url_hint: str
    """What the section's `url` should be."""

    @property
    def shown(self) -> str:
        """Name and address, printable and without credentials."""
        return f"{self.name} at {one_line(clean(self.url), 200)}"


class HttpApiClient:
    """One API over one connection pool; use it as `async with`. Belongs to one event loop.

    Args:
        service: what is asked.
        settings: credentials, certificate authority, timeout.
        user_agent: the header.
        max_reply_bytes: a longer reply is refused.
    """

    def __init__(
        self, service: Service, settings: HttpApi, user_agent: str, *, max_reply_bytes: int = MAX_REPLY_BYTES
    ) -> None:
        self.service = service
        self._settings = settings
        self._user_agent = user_agent
        self._max_reply_bytes = max_reply_bytes
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        # Importing httpx and loading the certificate store takes a tenth of a second: not on the event loop.
        self._client = await asyncio.to_thread(self._made)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _made(self) -> httpx.AsyncClient:
        import httpx

        settings = self._settings
        try:
            context = tls_context(settings.ca_file, verify=settings.verify_tls)
        except RequestError as error:
            raise SourceError(
                error.reason.replace("endpoint.", f"{self.service.section}.", 1), remedy=error.remedy
            ) from error
        return httpx.AsyncClient(
            headers={"user-agent": self._user_agent, "accept": "application/json", **settings.headers},
            timeout=settings.timeout_s,
            verify=context,
            proxy=proxy_for(self.service.url),
            trust_env=False,
        )

    def _credentials(self) -> dict[str, str]:
        """The header that says who asks; files are read each time, for tokens are replaced in them."""
        settings, section = self._settings, self.service.section
        if settings.token_file is not None:
            return {"authorization": f"Bearer {_secret(settings.token_file, f'{section}.token_file')}"}
        if settings.user:
            password = ""
            if settings.password_file is not None:
                password = _secret(settings.password_file, f"{section}.password_file")
            return {"authorization": "Basic " + base64.b64encode(f"{settings.user}:{password}".encode()).decode()}
        return {}

    async def ask(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The JSON object that `path` (below the service's URL) answers with.

        Raises:
            HttpApiError: refused, unreachable, too slow, too long, or no JSON object.
            SourceError: a file with credentials cannot be read.
        """
        import httpx

        assert self._client is not None
        service, timeout_s = self.service, self._settings.timeout_s
        headers = await asyncio.to_thread(self._credentials)
        url = service.url.rstrip("/") + path
        long = sum(len(value) for value in parameters.values()) > _LONG_QUERY
        sent: dict[str, Any] = {"data": dict(parameters)} if long else {"params": dict(parameters)}
        try:
            async with (
                asyncio.timeout(2 * timeout_s),
                self._client.stream("POST" if long else "GET", url, headers=headers, **sent) as reply,
            ):
                body = await self._body(reply)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise HttpApiError(
                f"{service.shown} does not answer within {timeout_s:g} s",
                remedy=f"look whether it is overloaded, or allow {service.section}.timeout_s more",
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            detail = one_line(clean(str(error)), 200) or type(error).__name__
            raise HttpApiError(
                f"{service.shown} cannot be reached: {detail}",
                remedy=f"check {service.section}.url, network and VPN: curl {one_line(clean(service.url), 200)}",
            ) from error
        if reply.status_code != httpx.codes.OK:
            raise self._refused(reply, body)
        return await self._parsed(body)

    async def _body(self, reply: httpx.Response) -> bytes:
        body = bytearray()
        failed = reply.status_code >= HTTP_BAD_REQUEST
        limit = _SAID_BYTES if failed else self._max_reply_bytes
        async for chunk in reply.aiter_bytes():
            body += chunk
            if len(body) > limit:
                if failed:
                    break
                raise HttpApiError(
                    f"the reply of {self.service.shown} is larger than {limit / 2**20:.0f} MiB",
                    remedy=f"narrow what is asked: {self.service.section}.{self._narrower} in infdiag.toml",
                )
        return bytes(body)

    @property
    def _narrower(self) -> str:
        return "matchers" if self.service.section == "prometheus" else "selector"

    async def _parsed(self, body: bytes) -> dict[str, Any]:
        try:
            found = await asyncio.to_thread(orjson.loads, body) if len(body) > _LONG_BYTES else orjson.loads(body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            kind = "a web page" if body.lstrip()[:1] == b"<" else "nothing" if not body.strip() else "no JSON object"
            raise HttpApiError(
                f"{self.service.shown} answers with {kind}: that is not its API, or a login page stands before it",
                remedy=self.service.url_hint,
            )
        return found

    def _refused(self, reply: httpx.Response, body: bytes) -> HttpApiError:
        service, status, said = self.service, reply.status_code, _said(body)
        words = f": {said}" if said else ""
        state = SourceState.UNAVAILABLE
        section = service.section
        if status in (HTTP_UNAUTHORIZED, HTTP_FORBIDDEN):
            state = SourceState.FORBIDDEN
            remedy = f"set {section}.token_file, {section}.user and password_file, or {section}.headers"
        elif status == HTTP_NOT_FOUND or reply.is_redirect:
            to = one_line(clean(reply.headers.get("location", "")), 200)
            words = f" (redirects to {to})" if to else words
            remedy = service.url_hint
        elif status == HTTP_TOO_MANY:
            remedy = f"others ask it as well; give {section}.interval_s a larger value"
        elif status in (HTTP_BAD_REQUEST, HTTP_UNPROCESSABLE):
            remedy = f"correct what {section} names in infdiag.toml"
        else:
            remedy = f"look at its own log and whether it is ready: {one_line(clean(service.url), 200)}"
        return HttpApiError(
            f"{service.shown} answers with status {status}{words}",
            remedy=remedy,
            state=state,
            retry_after_s=_seconds(reply.headers.get("retry-after")),
            status=status,
            said=said,
        )


def _said(body: bytes) -> str:
    """What a refusing reply says: the API's own error, else its text; nothing of a web page."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace")
        return "" if text.lstrip()[:1] == "<" else one_line(clean(text.strip()), 300)
    error = found.get("error") or found.get("message") if isinstance(found, dict) else None
    return one_line(clean(error), 300) if isinstance(error, str) else ""


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else min(600.0, max(0.0, float(text)))
    except ValueError:
        return None


def _secret(path: Path, key: str) -> str:
    try:
        text = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SourceError(
            f"{key} {one_line(clean(str(path)))} cannot be read: {why}",
            remedy=f"create the file or correct {key}",
            state=SourceState.FORBIDDEN,
        ) from error
    if not text or not text.isascii() or not text.isprintable():
        raise SourceError(
            f"{key} {one_line(clean(str(path)))} holds no usable secret", remedy="put it there on one line"
        )
    return text
