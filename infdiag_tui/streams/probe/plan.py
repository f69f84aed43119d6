"""The probe's plan: the endpoint's request in httpx's terms, made once before the first send (blocking)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

import httpx

from infdiag_tui.config import Endpoint, Protocol
from infdiag_tui.config.request import Request, RequestError, read_request, tls_context
from infdiag_tui.streams.base import SourceError
from infdiag_tui.text import clean, one_line


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about the request that is the same each time."""

    target: str
    method: str
    url: httpx.URL
    headers: httpx.Headers
    body: bytes | None = field(repr=False)
    protocol: Protocol
    timeout_s: float
    tls: ssl.SSLContext | None
    proxy: str | None

    @property
    def host(self) -> str:
        """The name or address in the URL."""
        return self.url.host

    @property
    def port(self) -> int:
        """The port in the URL, or its scheme's."""
        return self.url.port or (443 if self.url.scheme == "https" else 80)

    @property
    def server(self) -> str:
        """`host:port` for sentences, with the proxy when one stands between."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        through = f" through proxy {httpx.URL(self.proxy).host}" if self.proxy else ""
        return one_line(f"{host}:{self.port}{through}")


def target_name(endpoint: Endpoint) -> str:
    """The endpoint's URL as it may be shown: printable, without credentials."""
    return one_line(clean(endpoint.url))


def load_plan(endpoint: Endpoint, user_agent: str) -> Plan:
    """Reads and checks all that the request needs.

    Raises:
        SourceError: the config or a file that it names cannot be used.
    """
    try:
        request = read_request(endpoint, user_agent)
        url = httpx.URL(request.url)
        tls = tls_context(endpoint.ca_file, verify=endpoint.verify_tls) if url.scheme == "https" else None
    except RequestError as error:
        raise SourceError(error.reason, remedy=error.remedy) from error
    except httpx.InvalidURL as error:
        reason = f"endpoint.url {clean(endpoint.url)!r} is no URL: {error}"
        raise SourceError(one_line(reason), remedy="correct endpoint.url") from error
    return Plan(
        target=target_name(endpoint),
        method=request.method,
        url=url,
        headers=_headers(request),
        body=request.body,
        protocol=endpoint.protocol,
        timeout_s=endpoint.timeout_s,
        tls=tls,
        proxy=request.proxy,
    )


def _headers(request: Request) -> httpx.Headers:
    headers = httpx.Headers()
    for name, value in request.headers.items():  # one by one: only so does httpx send more than ASCII, as UTF-8
        headers[name] = value
    return headers
