"""Verdicts that do not flap, and results that are not computed twice."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.config import ModelConfig, Thresholds
from infdiag_tui.findings import Assessor
from infdiag_tui.findings.hysteresis import ENTER_TIMES, LEAVE_TIMES, Steady
from infdiag_tui.findings.memo import Memo
from infdiag_tui.model import Evidence, SeriesKey, Verdict
from tests.findings.scenes import MIB, NOW, pod, scene, series

OK, WARN, FAIL, UNKNOWN = Verdict.OK, Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN
MEASURED = "latency.p99"


def evidence(verdict: Verdict, at: float, id_: str = MEASURED, subject: str = "") -> Evidence:
    return Evidence(id_, f"{verdict} at {at:g}", verdict, "latency", at, subject=subject)


def told(verdicts: list[Verdict], *, every_s: float = 0.5, id_: str = MEASURED) -> list[Verdict]:
    steady = Steady()
    return [
        steady.settle([evidence(verdict, n * every_s, id_)], n * every_s)[0].verdict
        for n, verdict in enumerate(verdicts)
    ]


def test_the_first_sight_is_told_and_then_a_worse_one_must_come_twice() -> None:
    assert told([FAIL]) == [FAIL]
    assert told([OK, FAIL, OK, FAIL, OK]) == [OK] * 5
    assert told([OK, FAIL, FAIL]) == [OK, OK, FAIL]
    assert told([OK, WARN, FAIL, FAIL]) == [OK, OK, FAIL, FAIL]


def test_a_better_one_must_stay_for_seconds() -> None:
    assert told([FAIL] + [OK] * 11) == [FAIL] * 11 + [OK]
    assert told([FAIL, OK, OK, OK], every_s=3.0) == [FAIL, FAIL, FAIL, OK]
    assert told([FAIL, OK, OK, FAIL] * 10) == [FAIL] * 40


def test_while_it_is_not_sure_the_last_evidence_of_that_verdict_is_told_with_its_time() -> None:
    steady = Steady()
    steady.settle([evidence(FAIL, 1.0)], 1.0)
    (held,) = steady.settle([evidence(OK, 2.0)], 2.0)
    assert (held.statement, held.at) == ("fail at 1", 1.0)


def test_unknown_is_told_at_once_and_forgets_nothing() -> None:
    assert told([FAIL, UNKNOWN, OK, UNKNOWN, FAIL]) == [FAIL, UNKNOWN, FAIL, UNKNOWN, FAIL]


def test_what_happened_and_what_was_told_are_no_measurements() -> None:
    for id_ in ("pods.oom_killed", "gpu.xid", "latency.reachable", "pods.crash_loop", "reproduce.failed", "no.such"):
        assert told([OK, FAIL, OK], id_=id_) == [OK, FAIL, OK]


def test_subjects_are_held_apart_and_forgotten_when_they_go() -> None:
    steady = Steady()
    steady.settle([evidence(FAIL, 0.0, subject="a"), evidence(OK, 0.0, subject="b")], 0.0)
    now = steady.settle([evidence(OK, 0.5, subject="a"), evidence(FAIL, 0.5, subject="b")], 0.5)
    assert [one.verdict for one in now] == [FAIL, OK]
    steady.settle([], 1.0)
    assert steady.settle([evidence(OK, 1.5, subject="a")], 1.5)[0].verdict is OK
    assert len(steady._held) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([OK, WARN, FAIL, UNKNOWN]), min_size=1, max_size=60))
def test_it_never_tells_what_was_not_measured_and_changes_no_more_often(verdicts: list[Verdict]) -> None:
    said = told(verdicts)
    assert all(one in verdicts[: n + 1] for n, one in enumerate(said))
    known = [one for one in said if one is not UNKNOWN]
    changes = sum(a is not b for a, b in itertools.pairwise(known))
    assert changes <= len(verdicts) // min(ENTER_TIMES, LEAVE_TIMES)


# --- remembering ---


def test_a_result_is_made_anew_only_when_one_of_its_objects_is_another() -> None:
    memo = Memo()
    made: list[int] = []
    one, equal = [1], [1]

    def make() -> int:
        made.append(1)
        return len(made)

    memo.begin()
    assert memo.of("k", (one,), make) == 1
    assert memo.of("k", (one,), make) == 1
    assert memo.of("k", (equal,), make) == 2, "equal is not the same"
    memo.begin()
    memo.begin()
    assert memo.of("k", (equal,), make) == 2, "a round that asked for nothing forgets nothing"
    memo.begin()
    memo.of("other", (one,), make)
    memo.begin()
    assert memo.of("k", (equal,), make) == 4, "what a round did not ask for is forgotten"


def test_heavy_results_take_turns_and_all_have_theirs() -> None:
    memo = Memo(heavy_per_round=3)
    seen: dict[int, int | None] = {}
    stamps = {n: object() for n in range(10)}
    for _ in range(5):
        memo.begin()
        fresh = 0
        for n in range(10):
            before = seen.get(n)
            seen[n] = memo.heavily(n, (stamps[n],), lambda n=n: n)  # type: ignore[misc]
            fresh += before is None and seen[n] is not None
        assert fresh <= 3
    assert seen == {n: n for n in range(10)}


def test_a_heavy_result_that_must_wait_is_the_older_one() -> None:
    memo = Memo(heavy_per_round=1)
    memo.begin()
    assert memo.heavily("a", (memo,), lambda: "old a") == "old a"
    assert memo.heavily("b", (memo,), lambda: "b") is None
    other = object()
    memo.begin()
    assert memo.heavily("a", (other,), lambda: "new a") == "old a"
    assert memo.heavily("b", (memo,), lambda: "b") == "b"
    memo.begin()
    assert memo.heavily("a", (other,), lambda: "new a") == "new a"


# --- both, over an incident ---


def test_an_assessor_settles_verdicts_and_takes_a_new_baseline() -> None:
    config = ModelConfig.model_validate({"endpoint": {"url": "http://m/predict"}})
    assessor = Assessor(config, Thresholds())

    def stage(ms: float, at: float) -> Verdict:
        told = {"stages.inference_ms": series([ms] * 10), "server.request_rate": series([10.0] * 10)}
        snapshot = scene(told)
        moved = type(snapshot)(at=at, number=1, incident=snapshot.incident, series=snapshot.series)
        return next(one.verdict for one in assessor.assess(moved) if one.id == "stages.inference")

    assert stage(50.0, NOW) is OK
    assessor.compare_with({"inference": 5.0}, {})
    assert stage(50.0, NOW + 0.5) is OK
    assert stage(50.0, NOW + 1.0) is FAIL


def test_an_assessor_judges_many_pods_in_turns() -> None:
    pods = tuple(pod(f"m-{n}") for n in range(40))
    told = {
        SeriesKey("pod.memory_bytes", one.key): series([(100 + n) * MIB for n in range(20)], every_s=15.0)
        for one in pods
    }
    told |= {SeriesKey("pod.ready", one.key): series([1.0], end=NOW - 7000) for one in pods}
    snapshot = scene(pods=pods)
    snapshot = type(snapshot)(at=NOW, number=1, incident=snapshot.incident, series=told, pods=pods)
    assessor = Assessor(ModelConfig(), Thresholds())
    judged = [sum(one.id == "pods.memory_slope" for one in assessor.assess(snapshot)) for _ in range(12)]
    assert judged[0] < 40
    assert judged == sorted(judged)
    assert judged[-1] == 40
