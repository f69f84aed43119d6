"""Numbers as an operator reads them: rounded, always with their unit, and "n/a" where there is none."""

from __future__ import annotations

import math

from infdiag_tui.model import Quantile
from infdiag_tui.model.latency import LatencyWindow

NOT_AVAILABLE = "n/a"
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _three_digits(value: float) -> str:
    """About three significant digits, never in exponent form."""
    size = abs(value)
    if size >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"


def short(value: float | None) -> str:
    """A bare number in about three digits, without trailing zeros; thousands as `1.2k`."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:
            return _trim(_three_digits(value / limit)) + suffix
    return _trim(_three_digits(value))


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: int | None) -> str:
    """An exact count with thousands separators."""
    return NOT_AVAILABLE if value is None else f"{value:,}"


def number_bytes(value: float | None) -> str:
    """Bytes in binary units: `1.50 GiB`, `512 B`."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    size = float(value)
    for unit in _BINARY:
        if abs(size) < 1023.5 or unit == _BINARY[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{_three_digits(size)} {unit}"
        size /= 1024
    raise AssertionError  # the loop ends at the largest unit


def short_bytes(value: float | None) -> str:
    """Bytes in few columns, as Kubernetes writes them: `1.5Gi`, `512Mi`."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    text = number_bytes(value)
    figure, unit = text.split(" ")
    return _trim(figure) + unit.removesuffix("B") if unit != "B" else f"{figure}B"


def rate_bytes(value: float | None) -> str:
    """Bytes per second."""
    return NOT_AVAILABLE if not _known(value) else f"{number_bytes(value)}/s"


def milliseconds(value: float | None) -> str:
    """A latency: `0.35 ms`, `9.87 ms`, `123 ms`, `4.20 s`, `2.0 min`."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    if value == 0:
        return "0 ms"
    if abs(value) < 999.5:
        return f"{_three_digits(value)} ms"
    if abs(value) < 59_995:
        return f"{_three_digits(value / 1000)} s"
    return f"{value / 60_000:.1f} min"


def percent(value: float | None, digits: int = 0) -> str:
    """A share that is already in percent: `87 %`."""
    return NOT_AVAILABLE if value is None or not math.isfinite(value) else f"{value:.{digits}f} %"


def share(value: float | None) -> str:
    """A share from 0 to 1 in percent; a small one keeps digits so that it never reads as zero."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    in_percent = value * 100
    if in_percent == 0 or abs(in_percent) >= 9.95:
        return f"{in_percent:.0f} %"
    return f"{in_percent:.1f} %" if abs(in_percent) >= 0.1 else "<0.1 %"


def cores(value: float | None) -> str:
    """CPU in cores: `1.25 cores`; below a tenth of a core in millicores (`35m`) as Kubernetes does."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    if 0 < abs(value) < 0.0995:
        return f"{value * 1000:.0f}m"
    return f"{_trim(_three_digits(value))} cores"


def short_cores(value: float | None) -> str:
    """CPU in few columns: `1.25`, `350m`."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    return f"{value * 1000:.0f}m" if abs(value) < 0.9995 else _trim(_three_digits(value))


def watts(value: float | None) -> str:
    """Electric power."""
    return NOT_AVAILABLE if value is None or not math.isfinite(value) else f"{value:.0f} W"


def celsius(value: float | None) -> str:
    """Temperature."""
    return NOT_AVAILABLE if value is None or not math.isfinite(value) else f"{value:.0f} °C"


def megahertz(value: float | None) -> str:
    """Clock rate."""
    return NOT_AVAILABLE if value is None or not math.isfinite(value) else f"{value:.0f} MHz"


def duration(seconds: float | None) -> str:
    """A span of time in one or two units: `45 s`, `2m 05s`, `3h 12m`, `4d 03h`."""
    if seconds is None or not math.isfinite(seconds):
        return NOT_AVAILABLE
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600:02d}h"


def age(seconds: float | None) -> str:
    """An age in few columns: `12s`, `5m`, `3h`, `4d`."""
    if seconds is None or not math.isfinite(seconds):
        return NOT_AVAILABLE
    whole = int(max(0.0, seconds))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if whole >= size * (2 if unit != "m" else 1):
            return f"{whole // size}{unit}"
    return f"{whole // 60}m" if whole >= 60 else f"{whole}s"


def fresh_age(seconds: float | None) -> str:
    """The age of live data: below two seconds it is `<2 s`, so that the screen rests while data flows."""
    if seconds is None:
        return NOT_AVAILABLE
    return "<2 s" if seconds < 2 else duration(seconds)


def quantile(value: Quantile | None, *, sample_size: int | None = None, interval: bool = True) -> str:
    """A quantile as far as the sample allows.

    A figure with its 95 % interval `123 ms (118–131)`; without an upper bound a range `43–80+ ms`; among timeouts
    `≥ 5.00 s`; `n/a` without any reply. A range carries the sample size, which is why it is one.
    """
    if value is None or not math.isfinite(value.value_ms):
        return NOT_AVAILABLE
    size = f" (n={sample_size:,})" if sample_size is not None else ""
    if value.censored:
        return f"≥ {milliseconds(value.value_ms)}"
    if value.is_figure:
        text = milliseconds(value.value_ms)
        return f"{text} ({_interval(value.low_ms, value.high_ms, value.value_ms)})" if interval else text
    scale, unit = _scale(value.value_ms)
    upper = f"{_three_digits(value.value_ms / scale)}+ {unit}"
    if value.low_ms is None or value.low_ms >= value.value_ms:
        return upper + size
    return f"{_three_digits(value.low_ms / scale)}–{upper}{size}"


def _scale(value_ms: float) -> tuple[float, str]:
    if abs(value_ms) < 999.5:
        return 1.0, "ms"
    return (1000.0, "s") if abs(value_ms) < 59_995 else (60_000.0, "min")


def _interval(low_ms: float | None, high_ms: float | None, value_ms: float) -> str:
    """Both ends in the unit of the value, which stands before them."""
    scale, _ = _scale(value_ms)
    ends = [NOT_AVAILABLE if end is None else _three_digits(end / scale) for end in (low_ms, high_ms)]
    return "–".join(ends)


def window_name(window: LatencyWindow) -> str:
    """What a latency window covers: `1 min`, `5 min`, `all`."""
    if window.window_s is None:
        return "all"
    minutes = window.window_s / 60
    return f"{minutes:g} min" if minutes >= 1 else f"{window.window_s:g} s"
