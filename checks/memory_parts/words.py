"""The memory check's findings as evidence and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from checks.memory_parts.python_lines import GrownLine
from infdiag_tui.model import Evidence, Verdict
from infdiag_tui.stats.growth import Growth, Judgement, Series
from infdiag_tui.text import one_line

SOURCE = "memory"
_MIB = 2**20


def evidence_of(series: Series, of: Judgement, fail_within_s: float, at: float) -> list[Evidence]:
    """`memory.leak`, `memory.slope` (bytes/s) and, where it will be reached, `memory.time_to_limit` (s)."""
    n, window_s = len(series.used_bytes), series.at_s[-1] - series.at_s[0]
    verdict = _verdict(of, fail_within_s)
    found = [
        Evidence(
            "memory.leak",
            one_line(f"{series.subject}: {of.growth.value}; {of.words}", 300),
            verdict,
            SOURCE,
            at,
            value=None if of.growth is Growth.TOO_SHORT else of.growth is Growth.LEAK,
            subject=series.subject,
            window_s=window_s,
            sample_size=n,
        )
    ]
    if of.slope is not None:
        low, high = (None if math.isnan(end) else end for end in (of.slope.low, of.slope.high))
        found.append(
            Evidence(
                "memory.slope",
                one_line(f"{series.subject}: {rate(of.slope.slope)} over {window_s:.0f} s"),
                verdict,
                SOURCE,
                at,
                value=of.slope.slope,
                unit="B/s",
                subject=series.subject,
                window_s=window_s,
                sample_size=n,
                low=low,
                high=high,
            )
        )
    if of.time_to_limit_s is not None and series.limit_bytes is not None:
        found.append(
            Evidence(
                "memory.time_to_limit",
                one_line(
                    f"{series.subject} reaches {series.limit_bytes / _MIB:.0f} MiB ({series.limit_source}) in"
                    f" {span(of.time_to_limit_s)}"
                ),
                verdict,
                SOURCE,
                at,
                value=of.time_to_limit_s,
                unit="s",
                subject=series.subject,
                sample_size=n,
                low=of.soonest_s,
                high=of.latest_s,
                threshold=fail_within_s,
                threshold_source="fail_within_h",
            )
        )
    return found


def fragmentation_evidence(allocated: float, reserved: float, max_share: float, at: float) -> Evidence:
    """`memory.fragmentation`: the share of the allocator's reserve that holds nothing."""
    if reserved <= 0 or allocated > reserved:
        words = f"allocated {allocated / _MIB:.0f} MiB of {reserved / _MIB:.0f} MiB reserved makes no sense"
        return Evidence("memory.fragmentation", words, Verdict.UNKNOWN, SOURCE, at)
    share = 1 - allocated / reserved
    words = f"{share:.0%} of {reserved / _MIB:.0f} MiB reserved by the allocator hold nothing"
    verdict = Verdict.WARN if share > max_share else Verdict.OK
    if verdict is Verdict.WARN:
        words += "; PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True helps when shapes vary"
    return Evidence(
        "memory.fragmentation",
        words,
        verdict,
        SOURCE,
        at,
        value=share,
        threshold=max_share,
        threshold_source="fragmentation_max_share",
    )


def summary_of(judged: Sequence[tuple[Series, Judgement]], lines: list[GrownLine] | None) -> str:
    """One sentence: the leak that reaches its limit first, or what memory does instead."""
    leaks = [(series, of) for series, of in judged if of.growth is Growth.LEAK]
    if not leaks:
        return one_line("; ".join(f"{series.subject}: {of.growth.value}, {of.words}" for series, of in judged) + ".")
    series, of = min(leaks, key=lambda item: math.inf if item[1].time_to_limit_s is None else item[1].time_to_limit_s)
    words = f"{series.subject} leaks {rate(of.slope.slope) if of.slope else ''}"
    if of.time_to_limit_s is not None:
        words += f" and reaches its limit in {span(of.time_to_limit_s)}"
    if lines:
        words += f"; most of it at {lines[0].where}"
    return one_line(words + ".")


def span(seconds: float) -> str:
    """A duration as a person says it."""
    for size, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"


def rate(bytes_per_s: float) -> str:
    """A slope as a person says it."""
    mib_per_h = bytes_per_s * 3600 / _MIB
    return f"{mib_per_h:+,.0f} MiB/h" if abs(mib_per_h) >= 100 else f"{mib_per_h:+.3g} MiB/h"


def _verdict(of: Judgement, fail_within_s: float) -> Verdict:
    if of.growth is Growth.TOO_SHORT:
        return Verdict.UNKNOWN
    if of.growth is not Growth.LEAK:
        return Verdict.OK
    soon = of.time_to_limit_s is not None and of.time_to_limit_s <= fail_within_s
    return Verdict.FAIL if soon else Verdict.WARN
