"""Replies of the API in the words of a real API server."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    503: "ServiceUnavailable",
}


class ApiError(Exception):
    """A request that fails with a Kubernetes Status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def status(self) -> dict[str, Any]:
        """The Status object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": _REASONS[self.code],
            "code": self.code,
        }


def json_reply(content: Any, code: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(body=orjson.dumps(content), status=code, content_type="application/json")


def whole_number(query: str | None, name: str) -> int | None:
    """A query parameter that must be a number of at least 0; None when it is absent.

    Raises:
        ApiError: It is something else.
    """
    if not query:
        return None
    if not query.isdecimal():
        raise ApiError(400, f"invalid value for {name}: {query!r} must be a whole number of at least 0")
    return int(query)
