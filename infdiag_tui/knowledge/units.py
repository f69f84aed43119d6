"""Units of evidence and of the metrics that alerts watch, and the factors between them."""

from __future__ import annotations

_FACTORS = {
    ("ms", "s"): 1e-3,
    ("percent", "share"): 0.01,
    ("share", "percent"): 100.0,
    ("MiB/min", "bytes/s"): 2**20 / 60,
}


def factor_between(given: str, wanted: str) -> float | None:
    """What a value in the unit `given` is multiplied by to be in `wanted`; None where they measure different things."""
    return 1.0 if given == wanted else _FACTORS.get((given, wanted))
