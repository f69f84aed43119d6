"""Name lookups that can hang without taking anything else with them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

Lookup = Callable[..., Sequence[tuple[Any, ...]]]


def literal_address(host: str) -> str | None:
    """`host` as an IP address when it is one, else None."""
    try:
        return ipaddress.ip_address(host).compressed
    except ValueError:
        return None


class Resolver:
    """Resolves names on a daemon thread of its own, one lookup per name at a time.

    `loop.getaddrinfo` would use the loop's executor: with DNS down, one hung lookup per probe fills its few threads, so
    that file reads elsewhere wait for them, and the interpreter waits for them at its end. Here callers of the same
    name share the lookup in progress, and the thread does not hold the program.
    """

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._running: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def resolve(self, host: str, port: int) -> list[str]:
        """Addresses of `host`, IPv6 and IPv4 taking turns (RFC 8305), the system's first choice first.

        Raises `socket.gaierror` when the name cannot be resolved.
        """
        key = (host, port)
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = self._start(host, port)
            running.add_done_callback(lambda _: self._running.pop(key, None))
        return list(await asyncio.shield(running))

    def _start(self, host: str, port: int) -> asyncio.Future[list[str]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str]] = loop.create_future()
        # A lookup that fails after its last caller gave up is nobody's error.
        future.add_done_callback(lambda done: None if done.cancelled() else done.exception())

        def settle(addresses: list[str], error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(addresses)
            else:
                future.set_exception(error)

        def work() -> None:
            addresses: list[str] = []
            error: Exception | None = None
            try:
                addresses = _in_turns(self._lookup(host, port, type=socket.SOCK_STREAM))
                if not addresses:
                    error = socket.gaierror(socket.EAI_NODATA, "the name has no IP address")
            except OSError as caught:
                error = caught
            except UnicodeError:  # a label that is empty or too long for the DNS
                error = socket.gaierror(socket.EAI_NONAME, "this cannot be a host name")
            try:
                loop.call_soon_threadsafe(settle, addresses, error)
            except RuntimeError:
                return  # the loop has closed meanwhile: nobody waits any more

        threading.Thread(target=work, name=f"infdiag-dns-{host}", daemon=True).start()
        return future


def _in_turns(found: Sequence[tuple[Any, ...]]) -> list[str]:
    """Addresses of `getaddrinfo` entries without repeats, families taking turns."""
    by_family: dict[int, list[str]] = {}
    for family, _type, _proto, _name, address in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            addresses = by_family.setdefault(family, [])
            if address[0] not in addresses:
                addresses.append(address[0])
    queues = list(by_family.values())
    return [queue[turn] for turn in range(max(map(len, queues), default=0)) for queue in queues if turn < len(queue)]
