"""Whether a reply is an answer: the status says success, and the body is what the protocol promises."""

from __future__ import annotations

from typing import Any

import orjson

from infdiag_tui.text import clean, one_line

MAX_REPLY_BYTES = 8 * 1024 * 1024
"""A reply beyond this is refused, as the latency probe does."""
_QUOTE = 120


def complaint(protocol: str, content_type: str, body: bytes) -> str:
    """What is wrong with a successful reply's body, in words; empty when it is an answer."""
    if protocol == "openai" and content_type.partition(";")[0].strip().lower() == "text/event-stream":
        return _stream_complaint(body)
    if not body.strip():
        return "the reply is empty"
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return f"the reply is not JSON: {quote(body)}"
    if protocol == "json":
        return ""
    if isinstance(document, dict) and document.get("error"):
        return f"the server reports an error: {_error_text(document['error'])}"
    promised = "outputs" if protocol == "v2" else "choices"
    if not isinstance(document, dict) or not isinstance(document.get(promised), list):
        return f'the reply has no "{promised}"'
    return ""


def quote(body: bytes) -> str:
    """A short printable piece of a body."""
    return one_line(clean(body[: 4 * _QUOTE].decode("utf-8", "replace")), _QUOTE)


def _stream_complaint(body: bytes) -> str:
    choices = ended = False
    for line in body.splitlines():
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            ended = True
            break
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            return f"an event is not JSON: {quote(data)}"
        if not isinstance(event, dict):
            return f"an event is no JSON object: {quote(data)}"
        if event.get("error"):
            return f"the server reports an error: {_error_text(event['error'])}"
        held = [one for one in event.get("choices") or () if isinstance(one, dict)]
        choices = choices or bool(held)
        ended = ended or any(one.get("finish_reason") for one in held)
    if not choices:
        return "the event stream holds no choices"
    return "" if ended else "the event stream ended before [DONE]"


def _error_text(error: Any) -> str:
    text = error.get("message", error) if isinstance(error, dict) else error
    return one_line(clean(str(text)), _QUOTE)
