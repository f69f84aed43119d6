"""A share as a bar of fixed width, in blocks or ASCII."""

from __future__ import annotations

import math

from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone


def bar(share: float | None, width: int, glyphs: Glyphs, tone: Tone = Tone.MARK) -> Line:
    """A bar of `width` columns for a share from 0 to 1; an unknown share is a dashed line, not an empty bar."""
    if width <= 0:
        return ()
    if share is None or not math.isfinite(share):
        return (Span(glyphs.missing * width, Tone.DIM),)
    steps = len(glyphs.bar_parts)
    filled = round(min(1.0, max(0.0, share)) * width * steps)
    whole, part = divmod(filled, steps)
    if share > 0 and filled == 0:
        part = 1 if steps > 1 else 0  # something is never drawn as nothing
    full = glyphs.bar_full * whole + (glyphs.bar_parts[part] if part else "")
    return tuple(
        span for span in (Span(full, tone), Span(glyphs.bar_empty * (width - len(full)), Tone.DIM)) if span.text
    )
