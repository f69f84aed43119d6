from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.model import LatencyWindow, Quantile
from widgets import units

EVERY_FORMAT = (
    units.short, units.number_bytes, units.short_bytes, units.rate_bytes, units.milliseconds, units.percent,
    units.share, units.cores, units.short_cores, units.watts, units.celsius, units.megahertz, units.duration, units.age,
)  # fmt: skip


@pytest.mark.parametrize("text_of", EVERY_FORMAT)
def test_an_absent_figure_is_not_available_and_never_zero(text_of: Callable[[float | None], str]) -> None:
    assert text_of(None) == "n/a"
    assert text_of(math.nan) == "n/a"
    assert text_of(math.inf) == "n/a"


@pytest.mark.parametrize("text_of", EVERY_FORMAT)
@given(value=st.floats(min_value=0, max_value=1e15))
def test_every_figure_is_short(text_of: Callable[[float | None], str], value: float) -> None:
    assert 0 < len(text_of(value)) <= 24


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"), (0.351, "0.35 ms"), (9.871, "9.87 ms"), (99.94, "99.9 ms"), (123.4, "123 ms"), (999.4, "999 ms"),
        (999.6, "1.00 s"), (4200, "4.20 s"), (61_000, "1.0 min"),
    ],
)  # fmt: skip
def test_latencies(value: float, text: str) -> None:
    assert units.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (512, "512 B"), (1024, "1.00 KiB"), (1536 * 2**20, "1.50 GiB"), (1023.7 * 2**20, "1.00 GiB")],
)
def test_bytes(value: float, text: str) -> None:
    assert units.number_bytes(value) == text


def test_short_bytes_are_written_as_kubernetes_writes_them() -> None:
    assert units.short_bytes(2 * 2**30) == "2Gi"
    assert units.short_bytes(1.5 * 2**30) == "1.5Gi"
    assert units.short_bytes(0) == "0B"


def test_a_small_share_never_reads_as_zero() -> None:
    assert units.share(0.0) == "0 %"
    assert units.share(0.0004) == "<0.1 %"
    assert units.share(0.0042) == "0.4 %"
    assert units.share(0.97) == "97 %"


def test_durations_and_ages() -> None:
    assert units.duration(45.9) == "45 s"
    assert units.duration(125) == "2m 05s"
    assert units.duration(90_000) == "1d 01h"
    assert [units.age(value) for value in (5, 65, 7200, 200_000)] == ["5s", "1m", "2h", "2d"]


def test_live_data_has_one_age_while_it_flows() -> None:
    assert units.fresh_age(0.1) == units.fresh_age(1.9) == "<2 s"
    assert units.fresh_age(3.4) == "3 s"


def test_a_quantile_is_a_figure_only_where_the_sample_bounds_it() -> None:
    assert units.quantile(Quantile(123.4, 118.1, 131.2)) == "123 ms (118–131)"
    assert units.quantile(Quantile(80.0, 43.0, None), sample_size=40) == "43.0–80.0+ ms (n=40)"
    assert units.quantile(Quantile(80.0, None, None)) == "80.0+ ms"
    assert units.quantile(Quantile(5000.0, 400.0, None, censored=True)) == "≥ 5.00 s"
    assert units.quantile(None) == "n/a"


def test_windows_are_named() -> None:
    def named(window_s: float | None) -> str:
        return units.window_name(LatencyWindow(window_s, 0, 0, (), None, None))

    assert [named(value) for value in (30, 60, 300, None)] == ["30 s", "1 min", "5 min", "all"]
