"""Several sources' health as one state of a panel, in words; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from infdiag_tui.model import PROBLEM_STATES, Snapshot, SourceHealth, SourceState
from widgets import units

_WORST_FIRST = (
    SourceState.UNAVAILABLE,
    SourceState.FORBIDDEN,
    SourceState.DEGRADED,
    SourceState.STALE,
    SourceState.LIVE,
    SourceState.STARTING,
    SourceState.OFF,
)


@dataclass(frozen=True, slots=True)
class PanelState:
    """What a panel says of its sources: one state, the age of its data, and every problem worst first."""

    state: SourceState
    age_s: float | None
    problems: tuple[SourceHealth, ...] = ()
    reason: str = ""
    retry_in_s: float | None = None

    @property
    def trusted(self) -> bool:
        """True while at least one source keeps the panel's data current."""
        return self.state in (SourceState.LIVE, SourceState.DEGRADED)


def matching(snapshot: Snapshot, names: Sequence[str]) -> tuple[SourceHealth, ...]:
    """Health of the named sources; a name may hold `*` (`logs*`) for however many there are of a kind."""
    found: dict[str, SourceHealth] = {}
    for name in names:
        if "*" in name:
            found.update((key, health) for key, health in snapshot.sources.items() if fnmatchcase(key, name))
        else:
            found[name] = snapshot.source(name)
    return tuple(found.values())


def current(health: SourceHealth, now: float) -> SourceState:
    """The source's state at `now`: one that called itself live is stale once its data is older than it allows."""
    age_s = health.age_s(now)
    if health.state is SourceState.LIVE and age_s is not None and age_s > health.stale_after_s:
        return SourceState.STALE
    return health.state


def combine(sources: Sequence[SourceHealth], now: float) -> PanelState:
    """One state for all: the worst, except that a panel with some live source is degraded rather than down.

    Sources that nobody asked for do not count unless there are no others.
    """
    asked = [(current(health, now), health) for health in sources]
    asked = [(state, health) for state, health in asked if state is not SourceState.OFF]
    if not asked:
        reasons = {health.reason for health in sources if health.reason}
        return PanelState(SourceState.OFF, None, reason=reasons.pop() if len(reasons) == 1 else "not configured")
    asked.sort(key=lambda pair: _WORST_FIRST.index(pair[0]))
    problems = tuple(health for state, health in asked if state in PROBLEM_STATES)
    states = {state for state, _ in asked}
    worst, first = asked[0]
    if problems and SourceState.LIVE in states:
        worst = SourceState.DEGRADED
    ages = [health.age_s(now) for state, health in asked if SourceState.LIVE not in states or state is SourceState.LIVE]
    known = [age_s for age_s in ages if age_s is not None]
    retry_in_s = None if first.retry_at is None or not problems else max(0.0, first.retry_at - now)
    return PanelState(worst, max(known, default=None), problems, _reason(first, len(asked)), retry_in_s)


def _reason(health: SourceHealth, sources: int) -> str:
    if not health.reason or sources == 1:
        return health.reason
    return f"{health.name}: {health.reason}"


def words(panel: PanelState) -> str:
    """The state in a few words: `live <2 s`, `stale 23 s`, `unavailable · last data 40 s ago`, `off: not configured`.

    Why a problem state holds is told by `explanation`, which stands inside the panel.
    """
    text = str(panel.state)
    if panel.state is SourceState.LIVE:
        return f"{text} {units.fresh_age(panel.age_s)}" if panel.age_s is not None else text
    if panel.state is SourceState.STALE and panel.age_s is not None:
        return f"{text} {units.duration(panel.age_s)}"
    if panel.state is SourceState.DEGRADED and panel.age_s is not None:
        return f"{text} · data {units.fresh_age(panel.age_s)} old"
    if panel.state in PROBLEM_STATES:
        return f"{text} · {'no data yet' if panel.age_s is None else f'last data {units.duration(panel.age_s)} ago'}"
    return f"{text}: {panel.reason}" if panel.reason else text


def retry_words(panel: PanelState) -> str:
    """When the next attempt is due, or nothing."""
    if panel.retry_in_s is None:
        return ""
    return f"retry in {panel.retry_in_s:.0f} s" if panel.retry_in_s >= 0.5 else "retrying"


def explanation(health: SourceHealth, now: float) -> str:
    """One problem as a sentence: which source, what is wrong, since when its data is old, what to try."""
    state = current(health, now)
    text = f"{health.name} {state}"
    if health.reason:
        text += f": {health.reason}"
    text = text.rstrip(".") + "."
    return f"{text} Try: {health.remedy.rstrip('.')}." if health.remedy else text
