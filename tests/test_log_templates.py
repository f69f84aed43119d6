from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.log_templates import VARIABLE, LogTemplate, TemplateMiner


def mined(*lines: str) -> list[LogTemplate]:
    miner = TemplateMiner()
    return [miner.add(line) for line in lines]


@pytest.mark.parametrize(
    ("line", "template"),
    [
        ("Tried to allocate 2.00 MiB (GPU 0)", "Tried to allocate <NUMBER> MiB (GPU <NUMBER>)"),
        ("illegal access at 0x7f3A00 in float16 kernel", "illegal access at <HEX> in float16 kernel"),
        ("request 8f14e45f-ceea-467f-a1d9-6ae2b1c0d3f4 failed", "request <ID> failed"),
        ("10.0.0.7:8080 refused, 10.0.0.8 too", "<ADDRESS> refused, <ADDRESS> too"),
        ("image 3f2a9bc01d44 of pod web-7d9f8b6c5a", "image <HEX> of pod web-<HEX>"),
        ("ran for 600051ms, loss 1.5e-07, version 2.10.0", "ran for <NUMBER>ms, loss <NUMBER>, version <NUMBER>"),
        # Digits in a name are the name's; a long decimal number is no hexadecimal one; a word in hex letters is a word.
        ("resnet50 on host12: 1700000000 deadbeef", "resnet50 on host12: <NUMBER> deadbeef"),
        ("", ""),
    ],
)
def test_what_is_known_to_vary_is_masked(line: str, template: str) -> None:
    assert mined(line)[0].text == template


def test_what_differs_between_lines_of_one_kind_becomes_a_variable() -> None:
    lines = [f"feature {name} of model fraud is missing" for name in ("amount", "country", "age")]

    first, second, third = mined(*lines)

    assert first is second is third
    assert (first.text, first.count) == (f"feature {VARIABLE} of model fraud is missing", 3)


def test_lines_of_other_length_or_of_little_in_common_are_other_templates() -> None:
    found = mined("CUDA out of memory", "CUDA error: device-side assert triggered", "CUDA driver version insufficient")

    assert len(set(found)) == 3


def test_a_sign_in_a_line_that_looks_like_a_variable_matches_only_itself() -> None:
    one, other, another = mined("cache <*> is cold", "cache users is cold", "shard <*> was never lost")

    assert one is other
    assert another is not one
    assert another.text == "shard <*> was never lost"


def test_a_stream_of_several_kinds_is_told_apart() -> None:
    kinds = {
        "oom": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {n}.00 MiB. GPU {n} has {n}.5 GiB free.",
        "nccl": "Watchdog caught collective operation timeout: WorkNCCL(SeqNum={n}, Timeout(ms)={n}) ran for {n} ms",
        "http": '10.0.0.{n}:5{n} - "POST /predict HTTP/1.1" 503 Service Unavailable',
        "queue": "Exceeds maximum queue size for request {n:032x}",
        "feature": "feature f_{n} of {word} is NaN, replaced by the mean",
    }
    words = ("amount", "country", "age")
    miner = TemplateMiner()
    found: dict[str, Counter[LogTemplate]] = {kind: Counter() for kind in kinds}
    for n in range(200):
        for kind, text in kinds.items():
            found[kind][miner.add(text.format(n=n, word=words[n % 3]))] += 1

    assert [len(templates) for templates in found.values()] == [1] * len(kinds)
    assert len({template for templates in found.values() for template in templates}) == len(kinds)
    assert all(template.count == 200 for templates in found.values() for template in templates)


WORDS = st.sampled_from(["worker", "died", "retry", "GPU", "7", "12.5", "0xff", "<*>", "a1", "timeout", "é", "(3)"])
LINES = st.lists(st.one_of(st.lists(WORDS, max_size=9).map(" ".join), st.text(max_size=30)), max_size=60)


def covers(template: str, masked: str) -> bool:
    """Whether a template stands for a line, token by token."""
    pairs = list(zip(template.split(" "), masked.split(" "), strict=True))
    return all(mine in (VARIABLE, token) for mine, token in pairs)


@given(LINES)
def test_every_line_is_counted_once_and_covered_by_its_template(lines: list[str]) -> None:
    miner = TemplateMiner()
    found = [(miner.add(line), TemplateMiner().add(line).text) for line in lines]

    counts = Counter(template for template, _ in found)
    assert all(template.count == count for template, count in counts.items())
    for template, masked in found:
        assert covers(template.text, masked)


@given(LINES, LINES)
def test_lines_that_differ_only_in_what_is_masked_share_a_template(before: list[str], between: list[str]) -> None:
    miner = TemplateMiner()
    for line in before:
        miner.add(line)
    one = miner.add("worker 12 took 30.5 ms from 10.0.0.1")
    for line in between:
        miner.add(line)

    assert miner.add("worker 7 took 1e3 ms from 10.9.8.7:80") is one


@given(LINES, st.integers(1, 5))
def test_it_keeps_no_more_than_its_bound_and_the_newest_of_them(lines: list[str], bound: int) -> None:
    miner = TemplateMiner(max_templates=bound)
    for line in lines:
        kept = miner.add(line)
        assert len(miner) <= bound
        assert miner.add(line) is kept


def test_lines_that_resemble_nothing_do_not_pile_up_in_one_leaf() -> None:
    def word(number: int) -> str:
        return re.sub("[0-9]", lambda digit: "abcdefghij"[int(digit[0])], f"{number}")

    miner = TemplateMiner()
    for n in range(500):
        miner.add("error " + " ".join(word(n * 8 + k) for k in range(8)))
    assert len(miner) == 50


def test_first_words_beyond_the_bound_share_a_leaf_and_still_find_their_template() -> None:
    def word(number: int) -> str:
        return "w" + "".join("abcdefghij"[int(digit)] for digit in f"{number:03}")

    miner = TemplateMiner()
    found = {miner.add(f"{word(n)} joined the cluster as a follower") for n in range(300)}

    assert len(found) == 101
    assert sorted(one.count for one in found)[-2:] == [1, 200]
