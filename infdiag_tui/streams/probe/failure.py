"""Turns whatever went wrong on the wire into a kind, one plain sentence and a remedy."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from infdiag_tui.model import ErrorKind
from infdiag_tui.streams.probe.phases import Stage, WireTimes
from infdiag_tui.text import clean, one_line

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_CERT_NOT_YET_VALID = 9
_CERT_HAS_EXPIRED = 10
_UNTRUSTED = frozenset({2, 18, 19, 20, 21})
_NAME_MISMATCH = frozenset({62, 64})


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt: what happened and where, what to try."""

    kind: ErrorKind
    text: str
    remedy: str = ""
    expired_certificate: bool = False


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """`error` and what caused it, outermost first.

    httpcore's pool cuts the chain (`raise ... from None`), but its errors carry the cause as their argument.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        carried = [one for one in current.args if isinstance(one, BaseException)]
        waiting += [current.__cause__, current.__context__, *carried]


def classify(error: BaseException, wire: WireTimes, server: str, host: str) -> Failure:
    """What `error` means, by the stage in which it struck.

    Args:
        error: as httpx or httpcore raised it.
        wire: the attempt's times.
        server: `host:port` as connected to, for the text.
        host: the name that was resolved.
    """
    if wire.stage is Stage.DNS:
        return _dns(error, host)
    if wire.stage in (Stage.START, Stage.CONNECT):
        return _connect(error, server)
    if wire.stage is Stage.TLS:
        return _tls(error, server)
    return _conversation(error, wire, server)


def timed_out(wire: WireTimes, timeout_s: float, server: str) -> Failure:
    """The failure of a request that was given up after `timeout_s`."""
    remedies = {
        Stage.DNS: "check this machine's DNS",
        Stage.CONNECT: "check the address, firewalls and network policies between here and the server",
        Stage.TLS: "is there a TLS server at this port?",
    }
    return Failure(
        ErrorKind.TIMEOUT,
        f"no reply from {server} within {timeout_s:g} s (given up while {wire.stage})",
        remedies.get(wire.stage, "is the server overloaded or hung? look at its pods and logs"),
    )


def _dns(error: BaseException, host: str) -> Failure:
    cause = next((one for one in chain_of(error) if isinstance(one, socket.gaierror)), None)
    reason = cause.strerror if cause is not None and cause.strerror else str(error)
    return Failure(
        ErrorKind.DNS,
        one_line(clean(f"cannot resolve the host name {host}: {reason}")),
        "check the host in endpoint.url, and this machine's DNS",
    )


def _connect(error: BaseException, server: str) -> Failure:
    for cause in chain_of(error):
        if isinstance(cause, OSError) and cause.errno is not None:
            if cause.errno == errno.ECONNREFUSED:
                return Failure(
                    ErrorKind.CONNECT,
                    f"connection refused by {server}",
                    "nothing listens there: is the model server running, and is the port right?",
                )
            reason = (cause.strerror or str(cause)).partition("[Errno")[0] or str(cause)
            break
    else:
        reason = str(error) or type(error).__name__
    return Failure(
        ErrorKind.CONNECT,
        one_line(clean(f"cannot connect to {server}: {reason}")),
        "check the address, and the network between here and the server",
    )


def _tls(error: BaseException, server: str) -> Failure:
    cause = next((one for one in chain_of(error) if isinstance(one, ssl.SSLError)), None)
    if cause is None:
        return Failure(
            ErrorKind.TLS,
            f"{server} closed the connection during the TLS handshake",
            "is there a TLS server at this port? otherwise use http:// in endpoint.url",
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _certificate(cause, server)
    if cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"):
        return Failure(ErrorKind.TLS, f"{server} does not speak TLS", "use http:// in endpoint.url")
    reason = (cause.reason or str(cause)).replace("_", " ").lower()
    return Failure(ErrorKind.TLS, one_line(clean(f"the TLS handshake with {server} failed: {reason}")), "")


def _certificate(cause: ssl.SSLCertVerificationError, server: str) -> Failure:
    code = cause.verify_code
    if code == _CERT_HAS_EXPIRED:
        text = f"the certificate of {server} has expired"
        return Failure(ErrorKind.TLS, text, "renew the server's certificate", expired_certificate=True)
    if code == _CERT_NOT_YET_VALID:
        text = f"the certificate of {server} is not valid yet"
        return Failure(ErrorKind.TLS, text, "check the server's certificate and this machine's clock")
    reason = clean(cause.verify_message or str(cause)).strip().rstrip(".")
    text = one_line(f"the certificate of {server} is refused: {reason[:1].lower()}{reason[1:]}")
    if code in _UNTRUSTED:
        return Failure(ErrorKind.TLS, text, "name the authority's file in endpoint.ca_file")
    if code in _NAME_MISMATCH:
        return Failure(ErrorKind.TLS, text, "use a host name of the certificate in endpoint.url")
    return Failure(ErrorKind.TLS, text, "")


def _conversation(error: BaseException, wire: WireTimes, server: str) -> Failure:
    # httpcore reports both a broken-off conversation and an unlawful one as a protocol error; h11's and httpcore's own
    # words tell them apart (covered by tests against real servers).
    protocol = next((one for one in chain_of(error) if "ProtocolError" in type(one).__name__), None)
    broke_off = protocol is None or any(word in str(protocol) for word in ("disconnected", "closed connection"))
    if not broke_off or (wire.got_bytes and not wire.got_head):
        return Failure(
            ErrorKind.BAD_REPLY,
            one_line(clean(f"{server} sent something that is no HTTP reply ({error})")),
            "is there an HTTP server at this port?",
        )
    verb = "reset" if any(isinstance(one, ConnectionResetError) for one in chain_of(error)) else "closed"
    if wire.got_head:
        text = f"{server} {verb} the connection in the middle of the reply"
    elif wire.reused:
        text = f"{server} {verb} a kept-alive connection instead of replying"
    else:
        text = f"{server} {verb} the connection instead of replying"
    return Failure(ErrorKind.DISCONNECT, text, "did the server crash or restart? look at its pods and logs")
