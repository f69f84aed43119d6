"""What every section of infdiag.toml is made of: strictness, URLs, headers, spans of time."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict


def _http_url(value: str) -> str:
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("holds blanks or control characters. Remove them")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is no URL: {error}. Correct it") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError("is no http:// or https:// URL. Write it in full, such as http://model:8000/predict")
    if not parts.hostname or port == 0:
        raise ValueError(f"names {'port 0' if parts.hostname else 'no host'}. Write it as http://HOST:PORT/PATH")
    return value


def _http_url_or_nothing(value: str) -> str:
    return _http_url(value) if value else value


def _header_values(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not name or not name.isascii() or any(character in name + text for character in "\r\n\0"):
            raise ValueError(f"holds {name!r}, which no header may be or hold. Correct it")
    return value


_SPAN = re.compile(r"(\d{1,6})([smhd])")
_SPAN_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_S = 7 * 86_400


def span_s(text: str) -> float:
    """Seconds of a span such as `90s`, `30m`, `1h` or `2d`; 0 for `0` and nothing.

    Raises:
        ValueError: it is no such span.
    """
    if text in ("", "0"):
        return 0.0
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError('is no span of time. Write it as "30m", "1h" or "0"')
    return float(match[1]) * _SPAN_S[match[2]]


def _span(value: str) -> str:
    if span_s(value) > _LONGEST_S:
        raise ValueError('is longer than a week. Write it as "1h" or "6h"')
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
OptionalHttpUrl = Annotated[str, AfterValidator(_http_url_or_nothing)]
Headers = Annotated[dict[str, str], AfterValidator(_header_values)]
Span = Annotated[str, AfterValidator(_span)]


class Section(BaseModel):
    """A config section: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
