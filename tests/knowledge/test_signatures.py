"""The log-signature library: references, examples, and a matcher that never loses what a pattern would find."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.registry import BUILT_IN
from infdiag_tui.knowledge.causes import causes
from infdiag_tui.knowledge.literals import PatternError, required_literals
from infdiag_tui.knowledge.signature_match import MAX_CHARACTERS, Matcher, matcher
from infdiag_tui.knowledge.signatures import (
    FAMILIES,
    FLAGS,
    GENERIC,
    Signature,
    families,
    signature_problems,
    signature_weights,
    signatures,
)
from infdiag_tui.text import clean

POSITIVES = [(id_, line) for id_, one in signatures().items() for line in one.positive]
EXACT = {id_ for name, family in families().items() if name != GENERIC for id_ in family}


def test_every_family_has_signatures_with_ids_of_their_own() -> None:
    counts = Counter(id_ for family in families().values() for id_ in family)
    assert set(families()) == set(FAMILIES)
    assert all(families().values())
    assert max(counts.values()) == 1
    assert len(counts) >= 70
    assert all(re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", id_) for id_ in counts)


def test_every_reference_leads_somewhere() -> None:
    assert signature_problems(signatures(), causes(), BUILT_IN) == []


def test_a_reference_that_leads_nowhere_is_told() -> None:
    broken = example("some words", causes=({"cause": "evil", "weight": 1, "because": "of the moon"},), role="cause")
    said = "\n".join(signature_problems({"a": broken}, {}, ()))
    assert "evil" in said
    assert "memory" in said


@pytest.mark.parametrize("id_", signatures())
def test_a_signature_matches_its_own_lines_and_no_negative(id_: str) -> None:
    signature = signatures()[id_]
    pattern = re.compile(signature.pattern, FLAGS)
    for line in signature.positive:
        assert pattern.search(line), line
        assert pattern.search(clean(line)), f"not as it comes from a log, redacted: {clean(line)}"
    for line in signature.negative:
        assert not pattern.search(line), line
        assert id_ not in matcher().match(line), line


@pytest.mark.parametrize(("id_", "line"), POSITIVES)
def test_the_matcher_finds_each_example_in_a_logged_line(id_: str, line: str) -> None:
    assert id_ in matcher().match(line)
    # Events begin with their reason; all else comes behind a time, a level and a logger.
    if not signatures()[id_].pattern.startswith("^"):
        assert id_ in matcher().match(f"2025-06-12 10:00:00,123 ERROR app: {line}")


def test_no_example_is_a_negative_of_another_signature_that_finds_it() -> None:
    negatives = {(id_, line) for id_, one in signatures().items() for line in one.negative}
    assert not [
        (id_, other, line) for id_, line in POSITIVES for other in matcher().match(line) if (other, line) in negatives
    ]


def test_only_lines_that_name_a_cause_speak_for_one() -> None:
    for id_, said in signature_weights().items():
        assert bool(said) == (signatures()[id_].role == "cause"), id_
    for id_ in ("vllm-engine-dead", "torchserve-worker-died", "triton-stub-unhealthy", "kernel-oom-invoked"):
        assert not signature_weights()[id_]


def test_generic_wordings_prove_nothing_by_themselves() -> None:
    for id_ in families()[GENERIC]:
        for _, weight, decisive, _ in signature_weights()[id_]:
            assert weight <= 2.5, id_
            assert not decisive, id_


def test_decisive_is_only_what_weighs_most() -> None:
    for id_, said in signature_weights().items():
        for _, weight, decisive, _ in said:
            assert decisive == (weight == 4.0), id_
        assert sum(decisive for *_, decisive, _ in said) <= 1, id_


def test_a_generic_wording_is_not_counted_beside_an_exact_one() -> None:
    line = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert matcher().match(line) == ("torch-cuda-out-of-memory",)
    assert matcher().match("worker 3: out of memory") == ("generic-out-of-memory",)


def test_what_a_client_wrote_is_no_sign() -> None:
    assert not matcher().match(
        "INFO Received request cmpl-1: prompt: 'Why CUDA out of memory. Tried to allocate 2 GiB?'"
    )
    assert not matcher().match('{"prompt": "explain: too many open files"}')


def test_the_case_of_a_line_does_not_matter() -> None:
    for id_, line in POSITIVES:
        assert id_ in matcher().match(line.swapcase()), line


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(POSITIVES),
    st.text(max_size=60),
    st.text(max_size=60),
    st.sampled_from([str, str.upper, str.lower]),
)
def test_the_scan_for_literals_loses_nothing(
    found: tuple[str, str], before: str, after: str, cased: Callable[[str], str]
) -> None:
    line = f"{before}{cased(found[1])}{after}"
    assert matcher().match(line) == matcher().match_all(line)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from(" aegnostu0429:'\"()[]/.\nſKİ"), max_size=200))
def test_text_like_nothing_is_matched_alike_both_ways(text: str) -> None:
    assert matcher().match(text) == matcher().match_all(text)


def test_of_a_long_entry_beginning_and_end_are_looked_at() -> None:
    frames = '  File "/srv/app.py", line 1, in predict\n' * 2_000
    last = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    text = f"Traceback (most recent call last):\n{frames}{last}"
    assert len(text) > MAX_CHARACTERS
    assert matcher().match(text) == ("torch-cuda-out-of-memory",)


def test_a_hostile_line_costs_no_more_than_its_bound() -> None:
    """Each literal over and over, 100 kB: processor time, so that a busy machine does not matter."""
    literals = sorted({literal for one in signatures().values() for literal in required_literals(one.pattern)})
    hostile = [literal * (100_000 // len(literal)) for literal in literals]
    hostile += ["".join(literals) * 20, "9" * 100_000, " " * 100_000, "gpu " * 25_000, "(" * 100_000]
    hostile += [f"{literal}{'9 ' * 50_000}" for literal in literals]
    for line in hostile:
        matcher().match(line)  # patterns are compiled the first time
        started = time.process_time()
        matcher().match(line)
        assert time.process_time() - started < 1.0, line[:60]


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("CUDA out of memory", ("cuda out of memory",)),
        (r"Xid \([^)]{1,9}\): 79|fallen off", ("xid (", "fallen off")),
        (r"failed(?: again)? to load", (" to load",)),
        (r"(?:hash|digest) (?:is )?\d+", ("hash", "digest")),
        (r"colou?r is \[set\]", ("r is [set]",)),
    ],
)
def test_literals_are_what_every_match_holds(pattern: str, literals: tuple[str, ...]) -> None:
    assert required_literals(pattern) == literals


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(?:ab+)+ failed badly", "repeats a group"),
        (r"failed badly .*", "without bound"),
        (r"failed (?:[a-z]+ ){0,3}", "repeats a group"),
        (r"failed (?:\S+ )?", "without bound"),
        (r"[abc]{2}|failed", "literal characters"),
        (r"failed (?P<x>a)", "plain groups"),
    ],
)
def test_a_pattern_that_could_be_slow_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(PatternError, match=words):
        required_literals(pattern)


def test_a_matcher_takes_any_library() -> None:
    known = Matcher({"own": {"a": example("my own words")}, GENERIC: {"b": example("own words")}})
    assert known.match("here are MY OWN words") == ("a",)
    assert known.match("here are own words") == ("b",)


def example(pattern: str, **changes: object) -> Signature:
    fields: dict[str, object] = {
        "title": "Some line",
        "pattern": pattern,
        "meaning": "It means something to somebody.",
        "role": "symptom",
        "severity": "warn",
        "first_check": "memory",
        "positive": ("x",),
        "negative": ("y",),
    }
    return Signature.model_validate(fields | changes)
