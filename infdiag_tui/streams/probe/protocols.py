"""What a reply of each protocol must hold to count as an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import orjson

from infdiag_tui.config import Protocol as Spoken
from infdiag_tui.text import clean, one_line

MAX_REPLY_BYTES = 8 * 1024 * 1024
"""A predict reply beyond this is refused: reading it would cost the console more than the figure is worth."""
_QUOTE = 160
_TOKEN_FIELDS = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls")
"""Where a chat delta may hold generated output: a reasoning model's first token is in one of the middle two."""


class BadReplyError(Exception):
    """The reply claims success but is not what its protocol promises; the message says how."""


class NotFiniteError(BadReplyError):
    """All that is wrong with the reply are NaN or infinities, as a model gone bad produces them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a good reply told: the model's version if stated, when the first token came (monotonic seconds)."""

    model_version: str = ""
    first_token_at: float | None = None


class ReplyReader(Protocol):
    """Takes the decoded body as it arrives."""

    done_at: float | None
    """When the protocol's own end mark came (monotonic seconds), None while it hasn't or where there is none."""

    def feed(self, chunk: bytes, at: float) -> None:
        """Takes the next part of the body, received at `at`; raises `BadReplyError`."""
        ...

    def finish(self) -> Answer:
        """The verdict once the body is complete; raises `BadReplyError`."""
        ...


def reader_for(protocol: Spoken, content_type: str) -> ReplyReader:
    """The reader of a successful reply of this content type."""
    if protocol is Spoken.OPENAI:
        if content_type.partition(";")[0].strip().lower() == "text/event-stream":
            return EventReader()
        return JsonReader(_check_openai)
    return JsonReader(_check_v2 if protocol is Spoken.V2 else _check_nothing)


class JsonReader:
    """Gathers a body that must be one JSON document; `document` is that once `finish` has returned."""

    def __init__(self, check: Callable[[Any], None]) -> None:
        self.done_at: float | None = None
        self.document: Any = None
        self._check = check
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes, at: float) -> None:  # noqa: ARG002 - the protocol's signature
        """Takes the next part."""
        self._size += len(chunk)
        _refuse_huge(self._size)
        self._parts.append(chunk)

    def finish(self) -> Answer:
        """Parses and checks the document."""
        self.document = _parsed(b"".join(self._parts))
        self._check(self.document)
        return Answer(model_version_of(self.document))


class EventReader:
    """Reads an OpenAI-style stream of server-sent events up to `[DONE]`."""

    def __init__(self) -> None:
        self.done_at: float | None = None
        self._first_token_at: float | None = None
        self._model_version = ""
        self._line = bytearray()
        self._size = 0
        self._choices = False
        self._finished = False

    def feed(self, chunk: bytes, at: float) -> None:
        """Takes the next part; events may begin and end anywhere in it."""
        self._size += len(chunk)
        _refuse_huge(self._size)
        self._line += chunk
        if b"\n" not in chunk:
            return
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        for line in lines:
            self._take(line.rstrip(b"\r"), at)

    def finish(self) -> Answer:
        """The verdict. A stream without `[DONE]` is whole if the model said why it stopped."""
        if not self._choices:
            raise BadReplyError("the event stream holds no choices")
        if self.done_at is None and not self._finished:
            raise BadReplyError("the event stream ended before [DONE]")
        return Answer(self._model_version, self._first_token_at)

    def _take(self, line: bytes, at: float) -> None:
        if self.done_at is not None or not line.startswith(b"data:"):
            return  # comments, event names and blank lines carry no data
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done_at = at
            return
        event = _parsed(data)
        _refuse_error(event)
        if not isinstance(event, dict):
            raise BadReplyError(f"an event is no JSON object: {_quote(data)}")
        self._model_version = self._model_version or model_version_of(event)
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._choices = True
                self._finished = self._finished or bool(choice.get("finish_reason"))
                if self._first_token_at is None and _has_output(choice):
                    self._first_token_at = at


def _has_output(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    if isinstance(delta, dict) and any(delta.get(name) for name in _TOKEN_FIELDS):
        return True
    return bool(choice.get("text"))


def _check_nothing(document: Any) -> None:
    del document


def _check_v2(document: Any) -> None:
    _refuse_error(document)
    if not isinstance(document, dict) or not isinstance(document.get("outputs"), list):
        raise BadReplyError('the reply has no "outputs", which the Open Inference Protocol promises')


def _check_openai(document: Any) -> None:
    _refuse_error(document)
    if not isinstance(document, dict) or not isinstance(document.get("choices"), list):
        raise BadReplyError('the reply has no "choices", which the OpenAI protocol promises')


def _refuse_error(document: Any) -> None:
    """Raises for an error object that came with a success status, as servers do in mid-stream."""
    if isinstance(document, dict) and document.get("error"):
        error = document["error"]
        text = error.get("message", error) if isinstance(error, dict) else error
        raise BadReplyError(f"the server reports an error: {one_line(clean(str(text)), _QUOTE)}")


def _refuse_huge(size: int) -> None:
    if size > MAX_REPLY_BYTES:
        raise BadReplyError(f"the reply is larger than {MAX_REPLY_BYTES // 1024 // 1024} MiB; the rest was not read")


def _parsed(data: bytes) -> Any:
    if not data.strip():
        raise BadReplyError("the reply is empty")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        _refuse_unlawful_numbers(data)
        raise BadReplyError(f"the reply is not JSON: {_quote(data)}") from None


def _refuse_unlawful_numbers(data: bytes) -> None:
    """Raises the plain reason when all that is wrong are NaN or infinities, as a model gone bad produces them."""

    def refuse(name: str) -> NoReturn:
        raise NotFiniteError(f"the reply holds {name}, which is not JSON")

    try:
        json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError):
        return


def _quote(data: bytes) -> str:
    return one_line(clean(data[: 4 * _QUOTE].decode("utf-8", "replace")), _QUOTE)


def excerpt(data: bytes) -> str:
    """A short printable piece of an error page's or error object's body."""
    return _quote(data)


_REPLICA_HEADERS = (
    "x-pod-name",
    "x-pod",
    "x-replica",
    "x-served-by",
    "x-hostname",
    "x-backend-server",
    "x-backend",
    "x-instance-id",
)
_REPLICA_FIELDS = ("pod", "replica", "served_by", "hostname")


def replica_of(headers: Mapping[str, str], document: Any) -> str:
    """The replica that answered, where a customary header or top-level field of the reply names it."""
    stated: Any = next((headers[name] for name in _REPLICA_HEADERS if headers.get(name)), "")
    if not stated and isinstance(document, dict):
        stated = next((document[name] for name in _REPLICA_FIELDS if isinstance(document.get(name), str)), "")
    return one_line(clean(str(stated)), 100)


def model_version_of(document: Any) -> str:
    """The top-level `model_version`, where the reply states one."""
    stated = document.get("model_version") if isinstance(document, dict) else None
    if isinstance(stated, bool) or not isinstance(stated, str | int | float):
        return ""
    return one_line(clean(str(stated)), 100)
