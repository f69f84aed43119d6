"""Untrusted text made printable: no terminal escapes, no control characters, no secrets.

Every pattern here runs in linear time on any input: repetitions are possessive or bounded, and a match can only start
where a preceding one cannot have scanned.
"""

from __future__ import annotations

import base64
import binascii
import re

MARK = "[redacted]"

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"  # CSI: colours, cursor movement
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f\n]*+(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, PM, APC
    r"|(?:\x1b\[|\x9b)"  # an unfinished CSI: what follows it is text, not to be hidden
    r"|\x1b[ -/]*+[0-~]?",  # any other escape
)
# Bidirectional overrides reorder what the reader sees; zero-width and tag characters hide text.
_UNPRINTABLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]",
)

_SECRET_KEY = re.compile(
    r"""(?ix)
    (?P<word>passw(?:or)?d|passphrase|passcode|pwd|(?:db|redis|smtp|mysql|pg|postgres|admin|root|user|auth|ldap)_?pass
      |secret|token|credentials?|authorization|(?:api|access|private|account|signing|encryption)[-_]?key|apikey
      |signature|\bsig)
    (?P<suffix>s|_?(?:access_?)?key(?:_?id)?|_?(?:value|hash|plain|base64|b64|id)|_?\d{1,3})?+
    (?P<separator>
      ["']?\ {0,3}(?:=>|:=|[:=])\s{0,3}   # key=value, key: value, "key": "value"
      |(?<=["'])?["'],\ {0,3}(?=b?["'])   # ("key", "value"), as HTTP headers are dumped
      |\ {1,3}                            # --key value
    )
    (?P<value>
      \[redacted\]
      |[\[(]?b?(?P<quote>["'])(?P<inner>(?:\\.|(?!(?P=quote))[^\\\n]){0,4096}+)(?P=quote)?
      |(?:bearer|basic|digest|token|negotiate)\s{1,3}[^\s"',;]++
      |[^\s"',;&}\])]++
    )
    """,
)
# A header of several cookies is secret as a whole.
_COOKIE = re.compile(r"""(?i)(cookie["']?\s{0,3}[:=,]\s{0,3}(?:b?["'])?)(?=[^\s"'=]{1,128}=)[^\n"']++""")
_SHAPES = re.compile(
    r"""(?x)
    -----BEGIN\ [A-Z ]{0,40}PRIVATE\ KEY-----(?s:.*?)(?:-----END\ [A-Z ]{0,40}PRIVATE\ KEY-----|\Z)
    |://[^\s/:@"'?\#]{0,128}:(?P<password>[^\s/"']{1,256})@
    |(?i:\bbearer\s{1,3})(?P<bearer>[A-Za-z0-9._~+/=-]{8,}+)
    |(?i:\bbasic\s{1,3})(?P<basic>[A-Za-z0-9+/]{6,}+={0,2})
    |(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+){0,3}
    |(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])|AIza[\w-]{30,}+|ya29\.[\w-]{20,}+)
    |(?<![\w-])(?:gh[pousr]_\w{20,}+|github_pat_\w{20,}+|glpat-[\w-]{16,}+|hf_\w{20,}+|nvapi-[\w-]{20,}+
      |xox[abeprs]-[\w-]{10,}+|npm_\w{20,}+|pypi-[\w-]{20,}+|dckr_pat_[\w-]{16,}+)
    |(?<![\w-])(?P<sk>sk-[\w-]{16,}+)
    """,
)
# Cheap searches that spare the ordinary line the patterns above; token counts ("prompt_tokens: 33") are ordinary, too.
_KEY_HINTS = ("pass", "pwd", "secret", "token", "key", "credential", "authoriz", "cookie", "sig")
_KEY_LIKELY = re.compile(
    r"(?:passw(?:or)?d|passphrase|passcode|pwd|_?pass|secret|token(?!s|iz)|credential|authorization|key"
    r"|cookie|signature|sig)\w{0,16}[\"']?\s{0,3}[=:,\s]",
)
_SHAPE_HINTS = (
    *("://", "eyJ", "AKIA", "ASIA", "AIza", "ya29.", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
    *("hf_", "nvapi-", "xox", "npm_", "pypi-", "dckr_pat_", "sk-", "PRIVATE KEY"),
)

# Words that say something about a secret instead of being one: "using password: YES", "token: expired".
_NO_SECRET = frozenset(
    {
        "true",
        "false",
        "yes",
        "no",
        "none",
        "null",
        "nil",
        "undefined",
        "empty",
        "missing",
        "required",
        "optional",
        "invalid",
        "incorrect",
        "expired",
        "wrong",
        "unknown",
        "not",
        "is",
        "was",
        "has",
        "error",
        "failed",
        "denied",
        "ok",
        "set",
        "unset",
        "given",
        "present",
        "absent",
        "absence",
        "str",
        "string",
        "int",
        "bytes",
        "mismatch",
        "signature",
    },
)
# Before "token", these make it a unit of text or a count, not a secret.
_TEXT_TOKEN = re.compile(
    r"(?i)(?:eos|bos|pad|unk|mask|sep|cls|eot|stop|start|end|special|image|first|last|next|prev|per|new|unexpected"
    r"|illegal|unknown|output|input|prompt|completion|generated|max|min|num|total|to|cur|current|sampled)[ _.-]?$",
)
_NUMBER = re.compile(r"[-+~<>]{0,2}\d[\d.,_]{0,30}(?:e[-+]?\d{1,4})?\s?[A-Za-zµ/%]{0,8}")
_PASSES = 8
"""Rounds after which text that still changes is given up as hostile; ordinary text is stable after the first."""


def printable(text: str) -> str:
    """`text` without escapes and control characters; newlines stay, tabs and carriage returns become spaces."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return _UNPRINTABLE.sub("", _ESCAPES.sub("", text).replace("\r", " "))


def one_line(text: str, limit: int = 300) -> str:
    """`text` printable, on one line, cut to `limit` characters with an ellipsis."""
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def redact(text: str) -> str:
    """`text` with what looks like a secret replaced by `[redacted]`; redacting twice changes nothing more."""
    for _ in range(_PASSES):
        changed = _redact_once(text)
        if changed == text:
            return text
        text = changed
    return MARK


def clean(text: str) -> str:
    """Printable and redacted: what may reach screen and disk."""
    return redact(printable(text))


def _redact_once(text: str) -> str:
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered or any(hint in text for hint in _SHAPE_HINTS):
        text = _SHAPES.sub(_hide_shape, text)
    if any(hint in lowered for hint in _KEY_HINTS) and _KEY_LIKELY.search(lowered):
        if "cookie" in lowered:
            text = _COOKIE.sub(rf"\g<1>{MARK}", text)
        text = _hide_values(text, depth=2)
    return text


def _hide_shape(match: re.Match[str]) -> str:
    whole = match[0]
    for group in ("password", "bearer", "basic", "sk"):
        value = match[group]
        if value is None:
            continue
        secret = (
            group == "password"
            or (group == "bearer" and (len(value) >= 20 or not value.isalpha()))
            or (group == "basic" and _is_basic_credential(value))
            or (group == "sk" and _is_random(value))
        )
        if not secret or value == MARK:
            return whole
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return whole[:start] + MARK + whole[end:]
    return MARK


def _is_basic_credential(value: str) -> bool:
    """True when `value` is base64 of `user:password`; "basic configuration" is not."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False


def _is_random(value: str) -> bool:
    """True for a run too random for the name of a thing: long without a dash, or of mixed case with digits."""
    if any(character.isdigit() for character in value) and any(character.isupper() for character in value):
        return True
    return any(len(part) >= 20 for part in value.split("-"))


def _hide_values(text: str, *, depth: int) -> str:
    """`text` without the values of secret keys; a harmless value is searched for keys in turn, `depth` times."""

    def hide(match: re.Match[str]) -> str:
        group = "value" if match["inner"] is None else "inner"
        value, whole = match[group], match[0]
        if not value or value == MARK:
            return whole
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        if _is_secret(match, value, quoted=group == "inner"):
            return whole[:start] + MARK + whole[end:]
        if depth and ("=" in value or ":" in value):
            return whole[:start] + _hide_values(value, depth=depth - 1) + whole[end:]
        return whole

    return _SECRET_KEY.sub(hide, text)


def _is_secret(match: re.Match[str], value: str, *, quoted: bool) -> bool:
    word, separator = match["word"].lower(), match["separator"]
    before = match.string[max(0, match.start() - 48) : match.start()]
    if separator.isspace() and not _is_option(before):
        return False
    if "," in separator and word not in ("authorization", "api-key", "api_key", "apikey"):
        return False
    if value.lower().strip(".,;:!") in _NO_SECRET:
        return False
    if word == "token":
        return _is_token(match, value, before, quoted=quoted)
    if word == "pwd":
        return not value.startswith("/")
    if word in ("signature", "sig"):
        return len(value) >= 20 and "=" in separator
    if match["suffix"] and match["suffix"].lower() == "_id" and word != "secret":
        return False
    if word in ("secret", "credential", "credentials") and _is_prose(before, separator, quoted=quoted):
        return len(value) >= 8 and any(character.isdigit() for character in value)
    return True


def _is_token(match: re.Match[str], value: str, before: str, *, quoted: bool) -> bool:
    """True for a credential; counts, text units ("eos_token", "tokens: 33") and prose are none."""
    suffix = (match["suffix"] or "").lower()
    if suffix and suffix not in ("_value", "_key", "_hash", "_plain", "_base64", "_b64"):
        return False
    if _TEXT_TOKEN.search(before) or _NUMBER.fullmatch(value) or len(value) < 4:
        return False
    if value[0].isspace() or (len(value) < 8 and value.isalpha()):
        return False  # a piece of generated text
    if _is_prose(before, match["separator"], quoted=quoted):
        return len(value) >= 6 and value[:1].isalnum()
    return True


def _is_prose(before: str, separator: str, *, quoted: bool) -> bool:
    """True for a bare word followed by a colon and a space, as sentences have it too."""
    return (
        not quoted and separator.startswith(":") and separator != ":" and not before.endswith(("_", "-", ".", '"', "'"))
    )


def _is_option(before: str) -> bool:
    """True when the key is a command-line option: `--password hunter2`."""
    last = before.rpartition(" ")[2]
    return last.startswith("--") and len(last) < 40
