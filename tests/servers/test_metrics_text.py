from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from infdiag_tui.servers.metrics_text import parse_metrics

SAMPLES = Path(__file__).parents[1] / "checks" / "samples"


@pytest.mark.parametrize("name", ["kserve-metrics.txt", "mlserver-metrics.txt", "triton-metrics.txt"])
def test_real_pages_are_read_as_the_reference_parser_reads_them(name: str) -> None:
    text = (SAMPLES / name).read_text()
    page = parse_metrics(text)
    expected = [
        (sample.name, dict(sample.labels), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    got = [(sample.name, dict(sample.labels), sample.value) for found in page.by_name.values() for sample in found]

    def key(sample: tuple[str, dict[str, str], float]) -> str:
        return f"{sample[0].removesuffix('_total')} {sorted(sample[1].items())} {float(sample[2])}"

    # The reference adds "_total" to counters that came without it.
    assert len(got) > 20
    assert sorted(map(key, got)) == sorted(map(key, expected))
    assert page.malformed_lines == 0


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("a 1", {}, 1.0),
        ("a{} 1", {}, 1.0),
        ('a{b="c"} 1.5e3 1700000000000', {"b": "c"}, 1500.0),
        ('a{b="c",} 2', {"b": "c"}, 2.0),
        ('a { b = "c" } 2', {"b": "c"}, 2.0),
        ('a{b="}",c="x,y=\\"z\\"",d="# \\\\"} 3', {"b": "}", "c": 'x,y="z"', "d": "# \\"}, 3.0),
        ('a{b="line\\nbreak"} -Inf', {"b": "line\nbreak"}, -math.inf),
        ('a_bucket{le="+Inf"} 4 # {trace_id="x"} 0.3', {"le": "+Inf"}, 4.0),
    ],
)
def test_every_shape_of_a_sample_is_read(line: str, labels: dict[str, str], value: float) -> None:
    page = parse_metrics(line + "\n")
    samples = [sample for found in page.by_name.values() for sample in found]
    assert [(dict(sample.labels), sample.value) for sample in samples] == [(labels, value)]


def test_garbage_is_counted_and_the_good_lines_are_kept() -> None:
    page = parse_metrics('<html>\na{b="c 1\na{b=c} 1\na\na x\na 1_0\n\x1b[31m 3\na 7\n')
    assert page.total("a") == 7
    assert page.malformed_lines == 7


def test_a_huge_page_is_cut_off_and_says_so() -> None:
    page = parse_metrics("a 1\n" * 1000, max_samples=100)
    assert page.truncated
    assert page.total("a") == 100


def test_a_hostile_line_is_read_in_linear_time() -> None:
    # Quadratic time would be hours here, and the test's own time limit ends it.
    page = parse_metrics('a{b="' + "\\" * 19_000 + "\n" + "a{" + 'b="c",' * 3_000 + "\n" + "a" * 10_000_000)
    assert page.malformed_lines == 3


def test_totals_leave_out_what_is_no_number_and_are_none_without_samples() -> None:
    page = parse_metrics('a{m="x"} 1\na{m="y"} NaN\na{m="y"} 2\n')
    assert page.total("a") == 3
    assert page.total("a", {"m": "y"}) == 2
    assert page.total("b") is None


@given(st.text(max_size=400))
def test_no_text_breaks_the_parser(text: str) -> None:
    page = parse_metrics(text)
    assert page.malformed_lines >= 0


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=20), max_size=4), st.floats())
def test_what_is_written_by_the_rules_is_read_back(labels: dict[str, str], value: float) -> None:
    escaped = {
        name: text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, text in labels.items()
    }
    line = "m{" + ",".join(f'{name}="{text}"' for name, text in escaped.items()) + f"}} {value!r}"
    page = parse_metrics(line)
    (sample,) = page.get("m")
    assert dict(sample.labels) == labels
    assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))
