"""Which model versions were deployed when the baseline was saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from checks.base import CheckError
from infdiag_tui.text import clean, one_line


def baseline_versions(path: Path) -> frozenset[str]:
    """The versions in a baseline's section `version`, whether from replies or this check's result (blocking).

    Empty without a file or without versions in it.

    Raises:
        CheckError: the file is there and cannot be read.
    """
    try:
        document: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return frozenset()
    except (OSError, orjson.JSONDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not JSON: {error}"
        raise CheckError(
            one_line(clean(f"the baseline {path} cannot be read: {reason}; save it anew with `infdiag check baseline`"))
        ) from error
    section = document.get("version") if isinstance(document, dict) else None
    return frozenset(one_line(clean(text), 120) for text in _stated(section))


def _stated(section: Any) -> Iterator[str]:
    if not isinstance(section, dict):
        return
    replies, replicas = section.get("replies"), section.get("replicas")
    found = list(replies.values()) if isinstance(replies, dict) else []
    if isinstance(replicas, list):
        found += [one.get("version") for one in replicas if isinstance(one, dict)]
    for text in found:
        if isinstance(text, str) and text:
            yield text
