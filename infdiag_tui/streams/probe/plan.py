"""The probe's request, TLS settings and proxy, made from the config once before the first send (blocking)."""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

import certifi
import httpx
import orjson

from infdiag_tui.config import Endpoint, Protocol
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.probe.protocols import request_body
from infdiag_tui.text import clean, one_line

_MAX_BODY_BYTES = 64 * 1024 * 1024


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

    The proxy is the environment's (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) as for other clients, except
    that this machine itself is always reached directly.

    Raises:
        SourceError: the config or a file that it names cannot be used.
    """
    url = _url(endpoint.url)
    body = _body(endpoint)
    method = endpoint.method.upper() or ("GET" if body is None else "POST")
    return Plan(
        target=target_name(endpoint),
        method=method,
        url=url,
        headers=_headers(endpoint, url, user_agent, has_body=body is not None),
        body=body,
        protocol=endpoint.protocol,
        timeout_s=endpoint.timeout_s,
        tls=_tls(endpoint) if url.scheme == "https" else None,
        proxy=proxy_for(url),
    )


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        reason = f"endpoint.url {clean(text)!r} is no URL: {error}"
        raise SourceError(one_line(reason), remedy="correct endpoint.url") from error
    return url


def _headers(endpoint: Endpoint, url: httpx.URL, user_agent: str, *, has_body: bool) -> httpx.Headers:
    headers = httpx.Headers({"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": user_agent})
    if has_body:
        headers["Content-Type"] = "application/json"
    if url.userinfo:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    for name, value in endpoint.headers.items():
        if not name.isascii() or any(character in name + value for character in "\r\n\0"):
            reason = f"endpoint.headers: {one_line(clean(name))!r} holds characters that no header may hold"
            raise SourceError(reason, remedy="correct endpoint.headers")
        headers[name] = value.strip()
    return headers


def _body(endpoint: Endpoint) -> bytes | None:
    """The bytes to send; a file's own bytes where the protocol adds nothing to them."""
    raw: bytes | None = None
    value = endpoint.body
    where = "endpoint.body"
    if endpoint.body_file is not None:
        where = f"endpoint.body_file {endpoint.body_file}"
        raw = _read(endpoint.body_file)
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            reason = one_line(clean(f"{where} is not JSON: {error}"))
            raise SourceError(reason, remedy="put the known-good input there as JSON") from error
    try:
        sent = request_body(endpoint.protocol, value, endpoint.model)
        if sent is None:
            return None
        return raw if raw is not None and sent is value else orjson.dumps(sent)
    except (ValueError, TypeError) as error:
        remedy = "set endpoint.body or endpoint.body_file to the known-good input"
        raise SourceError(one_line(clean(f"{where}: {error}")), remedy=remedy) from error


def _read(path: Path) -> bytes:
    expanded = path.expanduser()
    try:
        with expanded.open("rb") as file:
            data = file.read(_MAX_BODY_BYTES + 1)  # not its stated size: pipes and devices have none, and may never end
    except OSError as error:
        reason = one_line(clean(f"endpoint.body_file {path} cannot be read: {error.strerror}"))
        remedy = "check its permissions" if isinstance(error, PermissionError) else "create the file"
        raise SourceError(reason, remedy=f"{remedy} or correct endpoint.body_file") from error
    if len(data) > _MAX_BODY_BYTES:
        reason = f"endpoint.body_file {path} is larger than {_MAX_BODY_BYTES // 1024 // 1024} MiB"
        raise SourceError(reason, remedy="use a single small known-good input")
    return data


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    """Trusts `ca_file` alone if given; else the system's authorities and those that come with certifi.

    A jump host's own authorities are in the system's store, a slim container has none there: hence both. The
    environment's SSL_CERT_FILE and SSL_CERT_DIR replace them, as for other clients.
    """
    if not endpoint.verify_tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if endpoint.ca_file is not None:
        try:
            return ssl.create_default_context(cafile=endpoint.ca_file.expanduser())
        except OSError as error:  # ssl.SSLError is one: the file holds no certificate
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            text = one_line(clean(f"endpoint.ca_file {endpoint.ca_file} cannot be used: {reason}"))
            raise SourceError(text, remedy="name a PEM file with the authority's certificate") from error
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        context.load_verify_locations(cafile=certifi.where())
    return context


def proxy_for(url: httpx.URL) -> str | None:
    """The environment's proxy for a URL; None for this machine itself and where none is set."""
    if _is_loopback(url.host):
        return None
    if proxy_bypass(url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
