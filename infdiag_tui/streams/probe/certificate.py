"""When a server's TLS certificate is valid, which Python's ssl does not say of one that it refused."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import NamedTuple

_SEQUENCE, _INTEGER, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x02, 0x17, 0x18, 0xA0


class Validity(NamedTuple):
    """From when until when a certificate is valid (UTC)."""

    not_before: datetime
    not_after: datetime


class _Element(NamedTuple):
    tag: int
    content: bytes
    rest: bytes


def validity(der: bytes) -> Validity:
    """The validity of a DER-encoded X.509 certificate (RFC 5280, section 4.1).

    Raises:
        ValueError: `der` is no such certificate.
    """
    inside = _expect(_expect(der, _SEQUENCE).content, _SEQUENCE).content
    first = _element(inside)
    if first.tag == _VERSION:
        inside = first.rest
    inside = _expect(inside, _INTEGER).rest  # serial number
    inside = _expect(inside, _SEQUENCE).rest  # signature algorithm
    inside = _expect(inside, _SEQUENCE).rest  # issuer
    begin = _element(_expect(inside, _SEQUENCE).content)
    return Validity(_time(begin), _time(_element(begin.rest)))


async def served_validity(host: str, address: str, port: int, timeout_s: float) -> Validity:
    """The validity of the certificate that the server shows, trusted or not.

    Args:
        host: the name to ask for (SNI).
        address: where to connect; may be `host` itself.
        port: TCP port.
        timeout_s: for the whole exchange.

    Raises:
        OSError: no TLS connection came about (`TimeoutError` included).
        ValueError: the server showed no X.509 certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(timeout_s):
        _reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host)
        try:
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        finally:
            # abort: nothing was said, and a TLS goodbye could hang on a sick server.
            writer.transport.abort()
    return validity(shown or b"")


def _element(data: bytes) -> _Element:
    """The first tag-length-value of `data`."""
    if len(data) < 2:
        raise ValueError("the certificate is cut short")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("the certificate is cut short")
    return _Element(data[0], data[start : start + length], data[start + length :])


def _expect(data: bytes, tag: int) -> _Element:
    element = _element(data)
    if element.tag != tag:
        raise ValueError(f"the certificate has {element.tag:#x} where {tag:#x} belongs")
    return element


def _time(element: _Element) -> datetime:
    text = element.content.decode("ascii")
    if element.tag == _UTC_TIME:
        # RFC 5280, 4.1.2.5.1: years 50 to 99 are of the 20th century.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != _GENERALIZED_TIME:
        raise ValueError("the certificate's validity is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
