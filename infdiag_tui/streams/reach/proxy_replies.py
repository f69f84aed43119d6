"""Which replies are the API server's own instead of the model server's, and what they mean."""

from __future__ import annotations

from typing import Any

import orjson

from infdiag_tui.model import ErrorKind
from infdiag_tui.servers.in_cluster import ClusterHost
from infdiag_tui.streams.kube.errors import (
    HTTP_FORBIDDEN,
    HTTP_NOT_FOUND,
    HTTP_TOO_MANY,
    HTTP_UNAUTHORIZED,
    HTTP_UNAVAILABLE,
    Access,
    Place,
    refused,
)
from infdiag_tui.streams.reach.base import ReachError
from infdiag_tui.text import clean, one_line

PEEKED_BYTES = 64 * 1024
"""As much of a reply is read to tell whose it is; the API server's own are far shorter."""

PERHAPS_ITS_OWN = frozenset({HTTP_UNAUTHORIZED, HTTP_FORBIDDEN, HTTP_NOT_FOUND, HTTP_TOO_MANY, 500, 502, 503, 504})
"""Statuses with which the API server itself answers a proxied request."""

_NOT_REACHED = b"rror trying to reach service"
_CUT_OFF = ("eof", "connection reset", "broken pipe")


def own_message(body: bytes) -> str | None:
    """The API server's own words in a reply's body; None when the reply is the model server's.

    The API server answers with a `Status` object, and in plain text when it found no connection.
    """
    if _NOT_REACHED in body[:200]:
        return one_line(clean(body.decode(errors="replace")), 300)
    if body.lstrip()[:1] != b"{":
        return None
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, dict) and found.get("kind") == "Status" and found.get("apiVersion") == "v1":
        return one_line(clean(str(found.get("message") or found.get("reason") or "")), 300)
    return None


def proxy_failure(status: int, message: str, access: Access, place: Place, host: ClusterHost) -> ReachError:
    """What the API server's own reply to a proxied request means."""
    look = f"-n {host.namespace}" + (f" --context {place.context}" if place.context else "")
    if status == HTTP_NOT_FOUND:
        return ReachError(
            f"there is no {host} ({message})",
            kind=ErrorKind.CONNECT,
            remedy=f"correct endpoint.url; kubectl get {host.kind.resource} {look} lists them",
        )
    lowered = message.lower()
    if status == HTTP_UNAVAILABLE and "no endpoints" in lowered:
        return ReachError(
            f"no ready pod stands behind {host}: {message}",
            kind=ErrorKind.CONNECT,
            remedy=f"look at its pods and their readiness: kubectl get pods,endpoints {look}",
        )
    if "trying to reach service" in lowered:
        why = message.partition(": ")[2].strip("'\" ") or message
        if any(word in lowered for word in _CUT_OFF):
            return ReachError(
                f"{host} closed the connection instead of replying ({why})",
                kind=ErrorKind.DISCONNECT,
                remedy="did the server crash or restart? look at its pods and logs",
            )
        return ReachError(
            f"the API server cannot connect to {host}: {why}",
            kind=ErrorKind.CONNECT,
            remedy="is the server running and the port right? a network policy may also keep the control plane out",
        )
    return ReachError.of(refused(status, message, access, place, None))
