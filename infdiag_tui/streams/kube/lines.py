"""Splits a reply that has no end into lines of any length, and tells a cut connection from an ordered end."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp

from infdiag_tui.streams.kube.errors import CONNECTION_ERRORS


class CutError(Exception):
    """The connection broke before the server had ended the reply."""


async def batches(content: aiohttp.StreamReader, most_bytes: int) -> AsyncGenerator[list[tuple[bytes, int]], None]:
    """Complete lines as they arrive, without their newlines, each with the bytes cut from it beyond `most_bytes`.

    What the server left without a newline comes last if it ended the reply in order.

    Raises:
        CutError: the connection broke; an unfinished line is dropped, for the server will send it again.
    """
    pending: list[bytes] = []
    held = cut = 0
    try:
        async for chunk in content.iter_any():
            *complete, rest = chunk.split(b"\n")
            found: list[tuple[bytes, int]] = []
            for part in complete:
                if pending:
                    kept = part[: max(0, most_bytes - held)]
                    found.append((b"".join((*pending, kept)), cut + len(part) - len(kept)))
                    pending.clear()
                    held = cut = 0
                else:
                    found.append((part[:most_bytes], max(0, len(part) - most_bytes)))
            kept = rest[: max(0, most_bytes - held)]
            if kept:
                pending.append(kept)
            held += len(kept)
            cut += len(rest) - len(kept)
            if found:
                yield found
    except CONNECTION_ERRORS as error:
        raise CutError(str(error) or type(error).__name__) from error
    if pending:
        yield [(b"".join(pending), cut)]
