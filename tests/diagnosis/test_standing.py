"""Since when a hypothesis is likely or confirmed."""

from __future__ import annotations

from infdiag_tui.diagnosis import diagnose
from infdiag_tui.diagnosis.standing import Standing
from infdiag_tui.knowledge.causes import causes
from infdiag_tui.model import Hypothesis
from tests.diagnosis.test_diagnose import evidence


def at(standing: Standing, moment: float, verdict: str) -> Hypothesis:
    found = [evidence("memory.leak", verdict)]
    dated = standing.dated(diagnose(found, causes()), moment)
    assert [one for one in dated.hypotheses if one.confirmed_at] == list(dated.root_causes)
    return next(one for one in dated.hypotheses if one.cause == "memory-leak")


def test_the_times_hold_while_the_status_does_and_start_anew_after_it() -> None:
    standing = Standing()
    assert (at(standing, 1.0, "unknown").likely_at, at(standing, 2.0, "fail").confirmed_at) == (None, 2.0)
    later = at(standing, 9.0, "fail")
    assert (later.likely_at, later.confirmed_at) == (2.0, 2.0)
    gone = at(standing, 10.0, "ok")
    assert (gone.likely_at, gone.confirmed_at) == (None, None)
    assert at(standing, 11.0, "fail").confirmed_at == 11.0
