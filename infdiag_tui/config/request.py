"""The request that an endpoint's config describes: body, headers, proxy and TLS, for whoever sends it (blocking).

The latency probe and the load generator send the same thing over different clients; what it is, is decided here alone.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import orjson

from infdiag_tui.config.schema import Endpoint, Protocol, Via
from infdiag_tui.servers.in_cluster import cluster_host
from infdiag_tui.text import clean, one_line

_MAX_BODY_BYTES = 64 * 1024 * 1024


class RequestError(Exception):
    """The endpoint or a file that it names cannot be used: why, and what the operator can do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = one_line(clean(reason))
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Request:
    """Everything about the request that is the same each time. `url` holds no credentials; the headers carry them."""

    url: str
    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    proxy: str | None = field(repr=False)


def read_request(endpoint: Endpoint, user_agent: str) -> Request:
    """Reads and checks all that the request needs.

    The proxy is the environment's (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) as for other clients, except
    that this machine itself is always reached directly.

    Raises:
        RequestError: the config or a file that it names cannot be used.
    """
    url, authorization = _without_credentials(endpoint.url)
    body = _body(endpoint)
    return Request(
        url=url,
        method=endpoint.method.upper() or ("GET" if body is None else "POST"),
        headers=_headers(endpoint, user_agent, authorization, has_body=body is not None),
        body=body,
        proxy=None if _goes_another_way(endpoint.via, url) else proxy_for(url),
    )


def _goes_another_way(via: Via, url: str) -> bool:
    return via is Via.SSH or (via.in_cluster and cluster_host(urlsplit(url).hostname) is not None)


def request_body(protocol: Protocol, body: Any, model: str) -> Any:
    """The JSON value to send: `body`, for openai with `stream` and `model` added where it leaves them out.

    Raises:
        TypeError: the protocol needs a body of another kind; the message says which.
    """
    if protocol is Protocol.JSON:
        return body
    if not isinstance(body, Mapping):
        held = "there is none" if body is None else f"it is a {type(body).__name__}"
        raise TypeError(f'protocol "{protocol}" needs a JSON object as its body, and {held}')
    if protocol is Protocol.V2:
        return body
    return {**({"model": model} if model else {}), "stream": True, **body}


def tls_context(ca_file: Path | None, *, verify: bool) -> ssl.SSLContext:
    """Trusts `ca_file` alone if given; else the system's authorities and those that come with certifi.

    A jump host's own authorities are in the system's store, a slim container has none there: hence both. The
    environment's SSL_CERT_FILE and SSL_CERT_DIR replace them, as for other clients.

    Raises:
        RequestError: the file cannot be read or holds no certificate.
    """
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if ca_file is not None:
        try:
            return ssl.create_default_context(cafile=ca_file.expanduser())
        except OSError as error:  # ssl.SSLError is one: the file holds no certificate
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            raise RequestError(
                f"endpoint.ca_file {ca_file} cannot be used: {reason}",
                "name a PEM file with the authority's certificate",
            ) from error
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        context.load_verify_locations(cafile=certifi.where())
    return context


def _without_credentials(text: str) -> tuple[str, str]:
    """The URL without user and password, and the header that carries them instead."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RequestError(f"endpoint.url {text!r} is no URL: {error}", "correct endpoint.url") from error
    if not host:
        raise RequestError(f"endpoint.url {text!r} names no host", "correct endpoint.url")
    if parts.username is None:
        return text, ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    bare = f"[{host}]" if ":" in host else host
    where = bare if port is None else f"{bare}:{port}"
    return urlunsplit(parts._replace(netloc=where)), "Basic " + base64.b64encode(pair.encode()).decode()


def _headers(endpoint: Endpoint, user_agent: str, authorization: str, *, has_body: bool) -> dict[str, str]:
    headers = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": user_agent}
    if has_body:
        headers["Content-Type"] = "application/json"
    if authorization:
        headers["Authorization"] = authorization
    for name, value in endpoint.headers.items():
        if not name.isascii() or any(character in name + value for character in "\r\n\0"):
            raise RequestError(
                f"endpoint.headers: {one_line(clean(name))!r} holds characters that no header may hold",
                "correct endpoint.headers",
            )
        for known in [one for one in headers if one.lower() == name.lower()]:
            del headers[known]
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
            raise RequestError(f"{where} is not JSON: {error}", "put the known-good input there as JSON") from error
    try:
        sent = request_body(endpoint.protocol, value, endpoint.model)
        if sent is None:
            return None
        return raw if raw is not None and sent is value else orjson.dumps(sent)
    except (ValueError, TypeError) as error:
        remedy = "set endpoint.body or endpoint.body_file to the known-good input"
        raise RequestError(f"{where}: {error}", remedy) from error


def _read(path: Path) -> bytes:
    expanded = path.expanduser()
    try:
        with expanded.open("rb") as file:
            data = file.read(_MAX_BODY_BYTES + 1)  # not its stated size: pipes and devices have none, and may never end
    except OSError as error:
        remedy = "check its permissions" if isinstance(error, PermissionError) else "create the file"
        raise RequestError(
            f"endpoint.body_file {path} cannot be read: {error.strerror}", f"{remedy} or correct endpoint.body_file"
        ) from error
    if len(data) > _MAX_BODY_BYTES:
        raise RequestError(
            f"endpoint.body_file {path} is larger than {_MAX_BODY_BYTES // 1024 // 1024} MiB",
            "use a single small known-good input",
        )
    return data


def proxy_for(url: str) -> str | None:
    """The environment's proxy for a URL; None for this machine itself and where none is set."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
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
