"""What single replies say: on the way or in the server, refused, turned away, without a number, of which version."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

from infdiag_tui.clock import utc_text
from infdiag_tui.config import Thresholds
from infdiag_tui.findings.known import Known
from infdiag_tui.model import NOT_SENT, ErrorKind, Evidence, LatencyView, Reply, Snapshot, Verdict
from infdiag_tui.servers.stages import FAR_ABOVE, SPECIFICATION, TYPICAL_MS
from infdiag_tui.text import one_line

WINDOW_S = 60.0
LEAST_REPLIES = 20
"""Fewer replies than this in the window give no verdict that all is well."""
LEAST_CONNECTS = 3
"""So many connects must be seen for the shortest to be a round trip."""
FAILING_LEAST = 3
"""So many of a kind are no chance."""
NUMBERS_LEAST = 5
VERSIONS_WINDOW_S = 180.0
VERSION_LEAST = 10

ON_THE_WAY = 0.3
MOSTLY_ON_THE_WAY = 0.5
"""Shares of a request's time that are spent on the way: much, and most."""

_NOT_CONNECTED = (ErrorKind.CONNECT, ErrorKind.TLS, ErrorKind.DISCONNECT)
_TURNED_AWAY = (429, 503)


def assess(snapshot: Snapshot, thresholds: Thresholds, known: Known) -> Iterator[Evidence]:
    """Evidence from the replies of the last minute, and the versions of the last three."""
    for view in snapshot.latency:
        found = known.memo.of(
            ("latency.replies", view.target),
            (view.replies, thresholds),
            partial(_judge, view, thresholds),
        )
        yield from found


def _judge(view: LatencyView, thresholds: Thresholds) -> tuple[Evidence, ...]:
    return tuple(_each(view, thresholds)) if view.replies else ()


def _each(view: LatencyView, thresholds: Thresholds) -> Iterator[Evidence]:
    newest = view.replies[-1].at
    replies = [one for one in view.replies if newest - one.at <= WINDOW_S and one.error not in NOT_SENT]
    kinds = ", ".join(str(kind) for kind in _NOT_CONNECTED)
    yield from _failing(
        view,
        replies,
        ("latency.connection_errors", f"found no connection or lost it ({kinds})"),
        lambda one: one.error in _NOT_CONNECTED,
        thresholds,
    )
    yield from _failing(
        view,
        replies,
        ("latency.rejected", "were turned away (HTTP 429 or 503)"),
        lambda one: one.status in _TURNED_AWAY,
        thresholds,
    )
    yield from _numbers(view, replies)
    yield from _versions(view, [one for one in view.replies if newest - one.at <= VERSIONS_WINDOW_S])
    yield from _on_the_way(view, [one for one in replies if one.ok])


def _failing(
    view: LatencyView,
    replies: Sequence[Reply],
    what: tuple[str, str],
    is_one: Callable[[Reply], bool],
    thresholds: Thresholds,
) -> Iterator[Evidence]:
    if not replies:
        return
    found = [one for one in replies if is_one(one)]
    share = len(found) / len(replies)
    if len(found) >= FAILING_LEAST and share > thresholds.error_rate:
        verdict = Verdict.FAIL
    elif found:
        verdict = Verdict.WARN if share > thresholds.error_rate else Verdict.UNKNOWN
    else:
        verdict = Verdict.OK if len(replies) >= LEAST_REPLIES else Verdict.UNKNOWN
    last = f"; the last: {one_line(found[-1].error_text, 120)}" if found and found[-1].error_text else ""
    yield Evidence(
        id=what[0],
        statement=f"{len(found)} of {len(replies)} requests {what[1]}{last}",
        verdict=verdict,
        source="latency",
        at=replies[-1].at,
        value=share,
        unit="share",
        subject=view.target,
        window_s=WINDOW_S,
        sample_size=len(replies),
        threshold=thresholds.error_rate,
        threshold_source="config thresholds.error_rate",
    )


def _numbers(view: LatencyView, replies: Sequence[Reply]) -> Iterator[Evidence]:
    judged = [one for one in replies if one.has_nan is not None]
    if not judged:
        return
    bad = sum(one.has_nan is True for one in judged)
    if bad >= 2:
        verdict = Verdict.FAIL
    elif bad:
        verdict = Verdict.WARN
    else:
        verdict = Verdict.OK if len(judged) >= NUMBERS_LEAST else Verdict.UNKNOWN
    yield Evidence(
        id="latency.nan_replies",
        statement=f"{bad} of {len(judged)} replies to the known-good input lack a number (NaN, infinity or null)",
        verdict=verdict,
        source="latency",
        at=judged[-1].at,
        value=bad / len(judged),
        unit="share",
        subject=view.target,
        window_s=WINDOW_S,
        sample_size=len(judged),
        threshold=0.0,
        threshold_source="a known-good input has an answer",
    )


def _versions(view: LatencyView, replies: Sequence[Reply]) -> Iterator[Evidence]:
    """Different versions side by side; that one took the other's place once is a deployment, and no skew."""
    stated = [one for one in replies if one.model_version]
    if len(stated) < VERSION_LEAST:
        return
    runs = [version for version, _ in groupby(one.model_version for one in stated)]
    versions = sorted(set(runs))
    names = ", ".join(one_line(name, 40) for name in versions[:4])
    if len(runs) > len(versions):
        # A version came back after another: both are being served.
        verdict, text = Verdict.FAIL, f"replies name {len(versions)} versions in turn: {names}"
    elif len(versions) > 1:
        new = next(one for one in stated if one.model_version == runs[-1])
        verdict = Verdict.UNKNOWN
        text = f"the version changed from {runs[0]} to {runs[-1]} at {utc_text(new.at)[11:]}"
    else:
        verdict, text = Verdict.OK, f"{len(stated)} replies name the same version, {names}"
    yield Evidence(
        id="latency.version_skew",
        statement=one_line(text),
        verdict=verdict,
        source="latency",
        at=stated[-1].at,
        value=names,
        subject=view.target,
        window_s=VERSIONS_WINDOW_S,
        sample_size=len(stated),
    )


def _on_the_way(view: LatencyView, answered: Sequence[Reply]) -> Iterator[Evidence]:
    """The time spent on name, connection, TLS, sending, receiving and one round trip, against the whole.

    The round trip of a reused connection is not measured by itself; it is taken to be the shortest of the connects that
    were seen: opening a TCP connection takes one, and what takes longer may be a busy machine at either end, so that of
    fewer than three nothing is taken. The time waited for the server holds at least that.
    """
    if len(answered) < LEAST_REPLIES:
        return
    if view.through:
        yield _not_the_clients_way(view, answered)
        return
    connects = [one.phases.connect_ms for one in view.replies if one.phases.connect_ms is not None]
    round_trip_ms = min(connects) if len(connects) >= LEAST_CONNECTS else 0.0
    spent = [_way_ms(one, round_trip_ms) for one in answered]
    total_ms = sum(one.total_ms for one in answered)
    share = sum(spent) / total_ms if total_ms else 0.0
    middle_ms = statistics.median(spent)
    middle = statistics.median(way / one.total_ms for way, one in zip(spent, answered, strict=True) if one.total_ms)
    limit_ms = TYPICAL_MS["network"]
    mean_ms = sum(spent) / len(spent)
    if share > MOSTLY_ON_THE_WAY and middle > MOSTLY_ON_THE_WAY and middle_ms > FAR_ABOVE * limit_ms:
        verdict = Verdict.FAIL
    elif share > ON_THE_WAY and middle > ON_THE_WAY and middle_ms > limit_ms:
        verdict = Verdict.WARN
    else:
        verdict = Verdict.OK
    yield Evidence(
        id="latency.network_share",
        statement=f"{share:.0%} of a request's time is spent on the way ({mean_ms:.1f} ms on average)",
        verdict=verdict,
        source="latency",
        at=answered[-1].at,
        value=share,
        unit="share",
        subject=view.target,
        window_s=WINDOW_S,
        sample_size=len(answered),
        threshold=MOSTLY_ON_THE_WAY,
        threshold_source=f"most of a request, and {limit_ms:g} ms by the {SPECIFICATION}",
    )


def _not_the_clients_way(view: LatencyView, answered: Sequence[Reply]) -> Evidence:
    known = [one.phases.tunnel_ms for one in answered if one.phases.tunnel_ms is not None]
    took = f", which takes {statistics.fmean(known):.1f} ms of it on average" if known else ""
    return Evidence(
        id="latency.network_share",
        statement=f"what clients spend on the way is not measured: the probe goes through {view.through}{took}",
        verdict=Verdict.UNKNOWN,
        source="latency",
        at=answered[-1].at,
        subject=view.target,
        window_s=WINDOW_S,
        sample_size=len(answered),
    )


def _way_ms(reply: Reply, round_trip_ms: float) -> float:
    phases = reply.phases
    known = (phases.dns_ms, phases.connect_ms, phases.tls_ms, phases.send_ms, phases.receive_ms)
    waited = phases.wait_ms if phases.wait_ms is not None else 0.0
    return sum(one for one in known if one is not None) + min(round_trip_ms, waited)
