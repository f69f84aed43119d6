"""A throwaway certificate for the lab's API, made without a library: kubectl sends tokens only over TLS.

ECDSA over P-256 (FIPS 186-5, SEC 2) and the DER of RFC 5280 and RFC 5915, for a key that guards nothing and lives as
long as the lab; nothing here resists a side channel.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import secrets
import time
from dataclasses import dataclass

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_A = _P - 3
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point = tuple[int, int] | None

_ECDSA_SHA256 = "1.2.840.10045.4.3.2"
_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
_P256 = "1.2.840.10045.3.1.7"
_COMMON_NAME = "2.5.4.3"
_SUBJECT_KEY, _KEY_USAGE, _ALT_NAME, _BASIC = "2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19"
_BOOLEAN, _INTEGER, _BITS, _OCTETS, _OID, _UTF8, _UTC_TIME = 0x01, 0x02, 0x03, 0x04, 0x06, 0x0C, 0x17
_SEQUENCE, _SET = 0x30, 0x31
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate with its key, both PEM."""

    certificate: str
    key: str


def self_signed(address: str) -> Certificate:
    """A certificate for one IP address, valid from yesterday for a week, that is its own authority."""
    private = secrets.randbelow(_N - 1) + 1
    point = _times(private, _G)
    if point is None:
        raise ArithmeticError("a key in range has a public point")
    public = b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")
    algorithm = _sequence(_oid(_ECDSA_SHA256))
    name = _sequence(_der(_SET, _sequence(_oid(_COMMON_NAME), _der(_UTF8, b"infdiag lab"))))
    now = time.time()
    body = _sequence(
        _der(0xA0, _integer(2)),
        _integer(secrets.randbits(120) + 1),
        algorithm,
        name,
        _sequence(_time(now - _DAY_S), _time(now + 7 * _DAY_S)),
        name,
        _sequence(_sequence(_oid(_EC_PUBLIC_KEY), _oid(_P256)), _der(_BITS, b"\x00" + public)),
        _der(0xA3, _extensions(address, public)),
    )
    signed = _sequence(body, algorithm, _der(_BITS, b"\x00" + _signature(private, body)))
    key = _sequence(
        _integer(1),
        _der(_OCTETS, private.to_bytes(32, "big")),
        _der(0xA0, _oid(_P256)),
        _der(0xA1, _der(_BITS, b"\x00" + public)),
    )
    return Certificate(_pem("CERTIFICATE", signed), _pem("EC PRIVATE KEY", key))


def _extensions(address: str, public: bytes) -> bytes:
    critical = _der(_BOOLEAN, b"\xff")
    # digitalSignature and keyCertSign: bits 0 and 5, so two unused bits at the end.
    usage = _der(_BITS, b"\x02\x84")
    identifier = hashlib.sha1(public, usedforsecurity=False).digest()
    return _sequence(
        _sequence(_oid(_BASIC), critical, _der(_OCTETS, _sequence(critical))),
        _sequence(_oid(_KEY_USAGE), critical, _der(_OCTETS, usage)),
        _sequence(_oid(_SUBJECT_KEY), _der(_OCTETS, _der(_OCTETS, identifier))),
        _sequence(_oid(_ALT_NAME), _der(_OCTETS, _sequence(_der(0x87, ipaddress.ip_address(address).packed)))),
    )


def _signature(private: int, message: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    while True:
        nonce = secrets.randbelow(_N - 1) + 1
        point = _times(nonce, _G)
        r = point[0] % _N if point else 0
        s = pow(nonce, -1, _N) * (digest + r * private) % _N
        if r and s:
            return _sequence(_integer(r), _integer(s))


def _times(factor: int, point: _Point) -> _Point:
    result: _Point = None
    while factor:
        if factor & 1:
            result = _plus(result, point)
        point = _plus(point, point)
        factor >>= 1
    return result


def _plus(one: _Point, other: _Point) -> _Point:
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % _P == 0:
        return None
    slope = (3 * x1 * x1 + _A) * pow(2 * y1, -1, _P) if one == other else (y2 - y1) * pow(x2 - x1, -1, _P)
    x = (slope * slope - x1 - x2) % _P
    return x, (slope * (x1 - x) - y1) % _P


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(_SEQUENCE, b"".join(parts))


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    content = bytearray([40 * first + second])
    for arc in rest:
        number = arc
        groups = [number & 0x7F]
        while number > 0x7F:
            number >>= 7
            groups.append((number & 0x7F) | 0x80)
        content += bytes(reversed(groups))
    return _der(_OID, bytes(content))


def _time(at: float) -> bytes:
    # RFC 5280 wants UTCTime until 2049.
    return _der(_UTC_TIME, time.strftime("%y%m%d%H%M%SZ", time.gmtime(at)).encode())


def _pem(kind: str, content: bytes) -> str:
    text = base64.b64encode(content).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n"
