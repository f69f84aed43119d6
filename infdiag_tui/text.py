"""Untrusted text made printable: no terminal escapes, no control characters, no secrets."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # OSC, DCS, SOS, PM, APC: titles, clipboard, images
    r"|\x9b[0-?]*[ -/]*[@-~]"  # CSI as one C1 byte
    r"|\x1b[@-Z\\-_ -/]?[0-~]?",  # any other escape
    re.DOTALL,
)
# Bidirectional overrides reorder what the reader sees; zero-width characters hide text.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]",
)

_SECRETS = (
    # key=value and "key": "value" where the key says that the value is secret
    re.compile(
        r"""(?ix)
        (?P<key>["']?[\w.-]*(?:password|passwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key
        |credential|authorization)["']?\s*(?:=|:)\s*)
        (?P<quote>["']?)(?!\[redacted\])(?:(?:bearer|basic|digest)\s+)?[^\s"',;&}]{4,}(?P=quote)
        """,
    ),
    re.compile(r"(?i)\b(?P<key>(?:bearer|basic)\s+)(?P<quote>)(?!\[redacted\])[A-Za-z0-9._~+/=-]{8,}"),
    # user:password@ in URLs
    re.compile(r"(?P<key>\b[a-z][a-z0-9+.-]*://[^\s/:@]+:)(?P<quote>)[^\s/@]+(?=@)"),
    # token shapes: JWT, AWS, GitHub, Hugging Face, OpenAI-style, Slack, Google
    re.compile(
        r"(?P<key>)(?P<quote>)\b(?:eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_\w{20,}"
        r"|github_pat_\w{20,}|hf_\w{20,}|sk-[\w-]{20,}|xox[abprs]-[\w-]{10,}|AIza[\w-]{30,})",
    ),
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
# One cheap scan spares the ordinary line the six above.
_MAYBE_SECRET = re.compile(
    r"(?i)passw|secret|token|api[_-]?key|access[_-]?key|private[_ -]?key|credential|authorization|bearer|basic"
    r"|://[^\s/:@]+:|eyJ|AKIA|ASIA|gh[pousr]_|github_pat|hf_|sk-|xox|AIza",
)


def printable(text: str) -> str:
    """`text` without escapes and control characters; newlines stay, tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    if "\x1b" in text or "\x9b" in text:
        text = _ESCAPES.sub("", text)
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\t", "    "))


def one_line(text: str, limit: int = 300) -> str:
    """`text` printable, on one line, cut to `limit` characters with an ellipsis."""
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def redact(text: str) -> str:
    """`text` with what looks like a secret replaced by `[redacted]`."""
    if not _MAYBE_SECRET.search(text):
        return text
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub("[redacted]", text)
    for pattern in _SECRETS:
        text = pattern.sub(r"\g<key>\g<quote>[redacted]\g<quote>", text)
    return text


def clean(text: str) -> str:
    """Printable and redacted: what may reach screen and disk."""
    return redact(printable(text))
