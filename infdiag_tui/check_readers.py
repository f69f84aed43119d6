"""Keeps what a check's request was answered with; imports httpx, so it is itself imported late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import orjson

from infdiag_tui.config import Protocol
from infdiag_tui.streams.probe.protocols import Answer, JsonReader, ReplyReader, model_version_of, reader_for


class TextReader:
    """Takes any text up to a size and leaves the rest unread."""

    def __init__(self, limit_bytes: int) -> None:
        self.done_at: float | None = None
        self.cut = False
        self._left_bytes = limit_bytes

    def feed(self, chunk: bytes, at: float) -> None:
        """Counts the next part."""
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            self.done_at, self.cut = at, True

    def finish(self) -> Answer:
        """Anything is an answer."""
        return Answer()


class KeptReply:
    """One reply: headers, text and document, gathered while the probe's code reads and judges it."""

    def __init__(self, protocol: Protocol | None, limit_bytes: int | None) -> None:
        self.headers: Mapping[str, str] = {}
        self._status = 0
        self._protocol = protocol
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self._reader: ReplyReader | None = None
        self._document: Any = None
        self._parsed = False

    @classmethod
    def of_protocol(cls, protocol: Protocol) -> KeptReply:
        """For a predict call, whose reply the protocol's reader judges."""
        return cls(protocol, None)

    @classmethod
    def of_text(cls, limit_bytes: int) -> KeptReply:
        """For any text, cut off at `limit_bytes`."""
        return cls(None, limit_bytes)

    def watching(self, transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """`transport`, with the head of each reply noted here."""
        return _Watching(transport, self)

    def open(self, content_type: str) -> ReplyReader:
        """The reader of a successful reply; what it is fed is kept. A second attempt starts afresh."""
        self._parts = []
        if self._protocol is None:
            self._reader = TextReader(self._limit_bytes or 0)
        else:
            self._reader = reader_for(self._protocol, content_type)
        return _Keeping(self._reader, self._parts)

    def saw_head(self, response: httpx.Response) -> None:
        """Notes the reply's head."""
        self._status = response.status_code
        self.headers = dict(response.headers)

    def redirect(self, url: str) -> str | None:
        """Where the reply sends a GET of `url`, when that is on the same server; else None."""
        location = self.headers.get("location", "")
        if not (location and 300 <= self._status < 400):
            return None
        target = urljoin(url, location)
        asked, given = urlsplit(url), urlsplit(target)
        same = (asked.scheme, asked.hostname, asked.port) == (given.scheme, given.hostname, given.port)
        return target if same and target != url else None

    @property
    def text(self) -> str:
        """The reply's text so far as it was read."""
        data = b"".join(self._parts)
        return (data if self._limit_bytes is None else data[: self._limit_bytes]).decode("utf-8", "replace")

    @property
    def body(self) -> Any:
        """The reply's JSON document, None when it is none or was cut off."""
        if not self._parsed:
            self._parsed = True
            self._document = self._read_document()
        return self._document

    @property
    def model_version(self) -> str:
        """The document's top-level `model_version`."""
        return model_version_of(self.body)

    def _read_document(self) -> Any:
        if isinstance(self._reader, JsonReader):
            return self._reader.document
        if isinstance(self._reader, TextReader):
            if self._reader.cut:
                return None
            try:
                return orjson.loads(b"".join(self._parts))
            except orjson.JSONDecodeError:
                return None
        return joined_events(b"".join(self._parts))


class _Watching(httpx.AsyncBaseTransport):
    """Closing it closes nothing: the connections belong to the sender."""

    def __init__(self, transport: httpx.AsyncBaseTransport, kept: KeptReply) -> None:
        self._transport = transport
        self._kept = kept

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        self._kept.saw_head(response)
        return response


class _Keeping:
    def __init__(self, reader: ReplyReader, parts: list[bytes]) -> None:
        self._reader = reader
        self._parts = parts

    @property
    def done_at(self) -> float | None:
        return self._reader.done_at

    @done_at.setter
    def done_at(self, at: float | None) -> None:
        self._reader.done_at = at

    def feed(self, chunk: bytes, at: float) -> None:
        self._parts.append(chunk)
        self._reader.feed(chunk, at)

    def finish(self) -> Answer:
        return self._reader.finish()


def joined_events(data: bytes) -> dict[str, Any] | None:
    """An OpenAI event stream as the one document that it would have been: choices with their whole text.

    None when there is no choice in it. Events that are no JSON objects are left out.
    """
    texts: dict[int, str] = {}
    chat: set[int] = set()
    ends: dict[int, Any] = {}
    head: dict[str, Any] = {}
    for line in data.split(b"\n"):
        event = _event(line)
        choices = event.get("choices")
        head |= {name: event[name] for name in ("id", "model", "model_version") if event.get(name)}
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or not isinstance(choice.get("index", 0), int):
                continue
            index, delta = choice.get("index", 0), choice.get("delta")
            if isinstance(delta, dict):
                chat.add(index)
            piece = delta.get("content") if isinstance(delta, dict) else choice.get("text")
            texts[index] = texts.get(index, "") + (piece if isinstance(piece, str) else "")
            ends[index] = choice.get("finish_reason") or ends.get(index)
    if not texts:
        return None
    made: list[dict[str, Any]] = []
    for index in sorted(texts):
        said: dict[str, Any] = {"text": texts[index]}
        if index in chat:
            said = {"message": {"role": "assistant", "content": texts[index]}}
        made.append({"index": index, **said, "finish_reason": ends[index]})
    return {**head, "choices": made}


def _event(line: bytes) -> dict[str, Any]:
    if not line.startswith(b"data:"):
        return {}
    try:
        event = orjson.loads(line[5:].strip())
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}
