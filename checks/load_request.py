"""The request that load is made of, from the config's endpoint (blocking: reads the body's file)."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from checks.base import CheckError
from checks.load_gen.job import Setup
from infdiag_tui.config import Endpoint, Protocol
from infdiag_tui.text import clean, one_line

_MAX_BODY_BYTES = 64 * 1024 * 1024


def load_setup(endpoint: Endpoint, user_agent: str, *, keep_alive: bool) -> Setup:
    """What the generator has to know. The proxy is the environment's, but this machine itself is reached directly.

    Raises:
        CheckError: the endpoint or a file that it names cannot be used.
    """
    url, authorization = _without_credentials(endpoint.url)
    body = _body(endpoint)
    headers = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": user_agent}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if authorization:
        headers["Authorization"] = authorization
    for name, value in endpoint.headers.items():
        if not name.isascii() or any(character in name + value for character in "\r\n\0"):
            raise CheckError(f"endpoint.headers: {one_line(clean(name))!r} holds characters that no header may hold.")
        for known in [one for one in headers if one.lower() == name.lower()]:
            del headers[known]
        headers[name] = value.strip()
    return Setup(
        url=url,
        method=endpoint.method.upper() or ("GET" if body is None else "POST"),
        headers=headers,
        body=None if body is None else base64.b64encode(body).decode(),
        protocol=endpoint.protocol.value,
        timeout_s=endpoint.timeout_s,
        keep_alive=keep_alive,
        ca_file=None if endpoint.ca_file is None else str(endpoint.ca_file.expanduser()),
        verify_tls=endpoint.verify_tls,
        proxy=_proxy(url),
    )


def _without_credentials(text: str) -> tuple[str, str]:
    """The URL without user and password, and the header that carries them instead."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise CheckError(one_line(clean(f"endpoint.url {text!r} is no URL: {error}; correct it."))) from error
    if not host:
        raise CheckError(one_line(clean(f"endpoint.url {text!r} names no host; correct it.")))
    if parts.username is None:
        return text, ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    bare = f"[{host}]" if ":" in host else host
    where = bare if port is None else f"{bare}:{port}"
    return urlunsplit(parts._replace(netloc=where)), "Basic " + base64.b64encode(pair.encode()).decode()


def _body(endpoint: Endpoint) -> bytes | None:
    raw: bytes | None = None
    value, where = endpoint.body, "endpoint.body"
    if endpoint.body_file is not None:
        where = f"endpoint.body_file {endpoint.body_file}"
        raw = _read(endpoint.body_file)
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise CheckError(one_line(clean(f"{where} is not JSON: {error}."))) from error
    sent = _wrapped(endpoint, value, where)
    if sent is None:
        return None
    try:
        return raw if raw is not None and sent is value else orjson.dumps(sent)
    except TypeError as error:
        raise CheckError(one_line(clean(f"{where} cannot be sent as JSON: {error}."))) from error


def _wrapped(endpoint: Endpoint, value: Any, where: str) -> Any:
    """The value as the protocol sends it: openai gets `model` and `stream` where it leaves them out."""
    if endpoint.protocol is Protocol.JSON:
        return value
    if not isinstance(value, Mapping):
        raise CheckError(f'Protocol "{endpoint.protocol}" needs a JSON object in {where}.')
    if endpoint.protocol is Protocol.V2:
        return value
    return {**({"model": endpoint.model} if endpoint.model else {}), "stream": True, **value}


def _read(path: Path) -> bytes:
    expanded = path.expanduser()
    try:
        if expanded.stat().st_size > _MAX_BODY_BYTES:
            raise CheckError(f"endpoint.body_file {path} is larger than {_MAX_BODY_BYTES // 1024 // 1024} MiB.")
        return expanded.read_bytes()
    except OSError as error:
        raise CheckError(one_line(clean(f"endpoint.body_file {path} cannot be read: {error.strerror}."))) from error


def _proxy(url: str) -> str | None:
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
