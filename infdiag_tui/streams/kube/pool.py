"""The connections to an API server: as many as are needed, each watched by the kernel for a dead peer."""

from __future__ import annotations

import socket
from typing import Any

import aiohttp

_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""The kernel finds a dead peer within 25 s, also on a connection that only waits, such as a watch."""


def session_of(api: Any) -> aiohttp.ClientSession:
    """The connection pool in place of the client's own, which allows 100 connections and has no keep-alive probes."""
    connector = aiohttp.TCPConnector(limit=0, ssl=api.rest_client.ssl_context, socket_factory=_keepalive_socket)
    return aiohttp.ClientSession(connector=connector, trust_env=True, read_bufsize=2**18)


def _keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # absent on some systems, which then use their own, slower intervals
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
