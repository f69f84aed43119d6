"""The confidence interval of a share."""

from __future__ import annotations

import math

_Z = 1.959963984540054
"""The 97.5 % point of the normal distribution: a two-sided 95 % interval."""


def wilson(successes: int, size: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927): sensible at 0, at 1 and for few observations.

    Raises:
        ValueError: `size` is not positive or `successes` not within it.
    """
    if not 0 <= successes <= size or size < 1:
        raise ValueError(f"{successes} of {size} is no share")
    share, shrink = successes / size, 1.0 + _Z * _Z / size
    middle = (share + _Z * _Z / (2.0 * size)) / shrink
    reach = _Z * math.sqrt(share * (1.0 - share) / size + _Z * _Z / (4.0 * size * size)) / shrink
    return max(0.0, middle - reach), min(1.0, middle + reach)
