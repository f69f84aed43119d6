"""Failures of Kubernetes requests as the operator should read them: what was asked of whom, and what to try."""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass

import aiohttp

from infdiag_tui.model import SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.text import clean, one_line

HTTP_BAD_REQUEST = 400
HTTP_UNAUTHORIZED = 401
HTTP_FORBIDDEN = 403
HTTP_NOT_FOUND = 404
HTTP_GONE = 410
HTTP_TOO_MANY = 429
HTTP_UNAVAILABLE = 503

CONNECTION_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError)
"""What a request may raise below HTTP."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a request does, in the words of Kubernetes' access rules."""

    verb: str
    resource: str
    namespace: str
    group: str = ""
    besides: tuple[str, ...] = ()
    """Further verbs that a server may ask for with the same request."""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource} in namespace {self.namespace}"

    def rule(self, context: str) -> str:
        """Which rule a role lacks and the command that checks it."""
        resource, _, sub = self.resource.partition("/")
        named = f"{resource}.{self.group}" if self.group else resource
        where = [*([f"--subresource={sub}"] if sub else []), *([f"--context {context}"] if context else [])]
        verbs = (self.verb, *self.besides)
        questions = [" ".join(("kubectl auth can-i", verb, named, *where, "-n", self.namespace)) for verb in verbs]
        quoted = ", ".join(f'"{verb}"' for verb in verbs)
        return (
            f'a Role must allow apiGroups ["{self.group}"], resources ["{self.resource}"], verbs [{quoted}]; '
            f"check with: {' && '.join(questions)}"
        )


class ApiError(SourceError):
    """A request to the API server failed; `status` is its HTTP status, 0 when there was none.

    `message` is what the server said, printable and on one line.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int = 0,
        message: str = "",
        remedy: str = "",
        state: SourceState = SourceState.UNAVAILABLE,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason, remedy=remedy, state=state, retry_after_s=retry_after_s)
        self.status = status
        self.message = message


class UnreachableError(ApiError):
    """No usable answer came: nobody listens, the connection broke, or (`timed_out`) time ran out."""

    timed_out = False


@dataclass(frozen=True, slots=True)
class Place:
    """Whom a request goes to: the server's URL, and how the kubeconfig calls context and user."""

    host: str
    context: str = ""
    user: str = ""
    source: str = ""
    credential: str = ""
    """The kind of credential in words: `credential plugin aws`, `token file /x`, `client certificate`."""

    def __str__(self) -> str:
        return f"{self.host} (context {self.context})" if self.context else self.host


def refused(status: int, message: str, access: Access, place: Place, retry_after_s: float | None) -> ApiError:
    """The error for an HTTP status of 400 or more."""
    said = f": {message}" if message else ""
    if status == HTTP_UNAUTHORIZED:
        return ApiError(
            f"the API server {place} does not accept the credentials of {place.user or 'this user'} (HTTP 401{said}): "
            "expired or revoked",
            status=status,
            message=message,
            remedy=f"log in again, then check with: kubectl get pods -n {access.namespace}"
            + (f" ({place.credential} from {place.source})" if place.credential else ""),
            retry_after_s=retry_after_s,
        )
    if status == HTTP_FORBIDDEN:
        return ApiError(
            f"not allowed to {access}{said}",
            status=status,
            message=message,
            remedy=access.rule(place.context),
            state=SourceState.FORBIDDEN,
            retry_after_s=retry_after_s,
        )
    if status == HTTP_TOO_MANY:
        wait_s = retry_after_s if retry_after_s is not None else 1.0
        return ApiError(
            f"the API server {place} asks to slow down (HTTP 429{said}); next try in {wait_s:g} s",
            status=status,
            message=message,
            remedy="nothing to do unless it lasts; the API server is overloaded or this user's share is used up",
            state=SourceState.DEGRADED,
            retry_after_s=wait_s,
        )
    if status == HTTP_BAD_REQUEST:
        return ApiError(
            f"the API server refused to {access} (HTTP 400{said})",
            status=status,
            message=message,
            remedy="if it names the selector, mend kubernetes.selector in infdiag.toml (or --selector)",
        )
    return ApiError(
        f"the API server {place} answered HTTP {status} to {access}{said}",
        status=status,
        message=message,
        remedy="check the cluster's health: kubectl get --raw /readyz?verbose",
        retry_after_s=retry_after_s,
    )


def unreachable(error: BaseException, place: Place) -> UnreachableError:
    """The error for a request that failed below HTTP."""
    certificate = _certificate_trouble(error)
    if certificate:
        return UnreachableError(f"TLS with the API server {place} failed: {certificate[0]}", remedy=certificate[1])
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return UnreachableError(
            f"the proxy on the way to the API server {place} does not answer: {_detail(error)}",
            remedy="check HTTPS_PROXY, NO_PROXY and the kubeconfig's proxy-url",
        )
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return UnreachableError(
            f"the API server {place} or a proxy before it did not open a WebSocket (HTTP {error.status})",
            remedy="proxies and load balancers on the way must pass WebSocket upgrades",
        )
    if isinstance(error, TimeoutError):
        text = f"the API server {place} does not answer: timed out"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        text = f"the API server's name is unknown: {place}: {_detail(error)}"
    elif _is_refusal(error):
        text = f"nobody listens at the API server's address {place}: connection refused"
    elif isinstance(error, aiohttp.InvalidURL):
        text = f"the API server's address {place} is no usable URL"
    else:
        text = f"the connection to the API server {place} broke: {_detail(error)}"
    failure = UnreachableError(
        text,
        remedy=f"check network, VPN and the server in {place.source or 'the kubeconfig'}: kubectl get --raw /livez",
    )
    failure.timed_out = isinstance(error, TimeoutError)
    return failure


def _is_refusal(error: BaseException) -> bool:
    # With several addresses asyncio joins the failures to one error that has no number of its own.
    refused_by_number = isinstance(error, OSError) and error.errno == errno.ECONNREFUSED
    return refused_by_number or "Connect call failed" in str(error) or "refused" in str(error).lower()


def _certificate_trouble(error: BaseException) -> tuple[str, str] | None:
    if not isinstance(error, (ssl.SSLError, aiohttp.ClientSSLError)):
        return None
    text = _detail(error)
    lowered = text.lower()
    if "alert" in lowered and "certificate" in lowered:
        return f"it rejects the client certificate ({text})", "get a new client certificate; log in again"
    if "expired" in lowered:
        return "its certificate has expired", "the cluster's administrator must renew it; check this machine's clock"
    if "certificate" in lowered:
        return f"its certificate is not trusted ({text})", "check certificate-authority in the kubeconfig"
    return text, "check the server's URL (https or http) and any proxy in between"


def _detail(error: BaseException) -> str:
    """The operating system's or OpenSSL's own words, without those that aiohttp wraps around them."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        cause = (
            error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error.os_error
        )
        return _detail(cause)
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        words = error.verify_message
    elif isinstance(error, ssl.SSLError) and error.reason:
        words = error.reason.replace("_", " ").lower()
    elif isinstance(error, OSError) and error.strerror:
        words = error.strerror
    else:
        words = str(error)
    return one_line(clean(words)) or type(error).__name__
