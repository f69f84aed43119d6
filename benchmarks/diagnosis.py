"""Every scenario of the lab through `infdiag triage`, the diagnosis held against what was planted.

python -m benchmarks.diagnosis                     # every scenario, each seed; writes benchmarks/diagnosis.md
python -m benchmarks.diagnosis gc-pauses queueing  # only these, nothing written
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infdiag_tui import __version__
from infdiag_tui.lab import running
from infdiag_tui.lab.scenarios import Override, Scenario, all_scenarios

SEEDS = (3, 4)
"""Not those on which rules and thresholds were tried out (1 and 2)."""
WATCH_S = 75.0
GOAL_FIRST = 0.95
GOAL_MEDIAN_S = 30.0
_METHOD = """\
Every scenario of the lab with seeds {seeds} (rules and thresholds were tried out on 1 and 2):
`infdiag triage --for {watch_s:g}s` is started when the lab is ready, before anything is wrong; labs on the machine at a
time: {at_once}. It is told the lab's endpoint, cluster, metrics and files, never what was planted, and reads nothing
else. A scenario with two faults counts as right only when both stand before everything else."""
RESULTS = Path(__file__).parent / "diagnosis.md"
README = Path(__file__).parents[1] / "README.md"
_BEGIN, _END = "<!-- made by make bench-diagnosis -->", "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one triage said. `rank` is that of the planted cause that stands worst, 1 for the first; 0: not listed.

    `ranked` are the best hypotheses, each with its status; `likely_s` and `confirmed_s` count from the fault, and are
    the latest among the planted causes, None where one of them never came so far.
    """

    scenario: str
    seed: int
    planted: tuple[str, ...]
    rank: int = 0
    ranked: tuple[str, ...] = ()
    root_causes: tuple[str, ...] = ()
    likely_s: float | None = None
    confirmed_s: float | None = None
    error: str = ""
    evidence: tuple[str, ...] = field(default=(), repr=False)

    @property
    def right(self) -> bool:
        """Every planted cause stands before all others; where none was planted, none is confirmed."""
        return not self.error and (self.rank == len(self.planted) if self.planted else not self.root_causes)

    @property
    def false_causes(self) -> tuple[str, ...]:
        """Confirmed as a root cause though it was not planted."""
        return tuple(one for one in self.root_causes if one not in self.planted)


async def triaged(
    scenario: Scenario, seed: int, watch_s: float = WATCH_S, overrides: Mapping[str, Override] | None = None
) -> Outcome:
    """One incident from its first second on, seen only through the lab's public interfaces."""
    with tempfile.TemporaryDirectory() as home:
        async with running(scenario.name, seed=seed, overrides=overrides) as lab:
            words = ("triage", "--config", str(lab.config_path), "--for", f"{watch_s:g}s", "--json", "--out", home)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "infdiag_tui", *words),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "KUBECONFIG": ""},
            )
            try:
                said, talk = await asyncio.wait_for(process.communicate(), watch_s + 60.0)
            except TimeoutError:
                process.kill()
                await process.wait()
                return Outcome(scenario.name, seed, scenario.causes, error="did not end in time")
    try:
        document = json.loads(said)
    except ValueError:
        return Outcome(scenario.name, seed, scenario.causes, error=talk.decode(errors="replace")[-300:])
    return outcome(scenario, seed, document, lab.fault_at)


def outcome(scenario: Scenario, seed: int, document: Mapping[str, Any], fault_at: float) -> Outcome:
    """The document of a triage held against the truth."""
    hypotheses = document["hypotheses"]
    ids = [one["cause"] for one in hypotheses if one["status"] in ("confirmed", "likely")]
    ranks = [ids.index(cause) + 1 if cause in ids else 0 for cause in scenario.causes]
    planted = [one for one in hypotheses if one["cause"] in scenario.causes]
    roots = [one["cause"] for one in hypotheses if one["status"] == "confirmed" and not one["because_of"]]
    return Outcome(
        scenario.name,
        seed,
        scenario.causes,
        rank=0 if 0 in ranks else max(ranks, default=0),
        ranked=tuple(f"{one['cause']} ({one['status']})" for one in hypotheses[:4] if one["cause"] in ids),
        root_causes=tuple(roots),
        likely_s=_after(fault_at, [one["likely_at"] for one in planted]),
        confirmed_s=_after(fault_at, [one["confirmed_at"] for one in planted]),
        evidence=tuple(
            f"{one['id']} {one['subject']}: {one['statement']}"
            for one in document["evidence"]
            if one["verdict"] in ("warn", "fail")
        ),
    )


def _after(fault_at: float, moments: Sequence[str | None]) -> float | None:
    if not moments or None in moments:
        return None
    return max(datetime.fromisoformat(one).timestamp() - fault_at for one in moments if one is not None)


async def all_of(
    names: Sequence[str],
    seeds: Sequence[int],
    at_once: int,
    watch_s: float = WATCH_S,
    overrides: Mapping[str, Override] | None = None,
) -> list[Outcome]:
    """Every scenario with every seed, so many labs side by side; each is told as soon as it is known."""
    gate = asyncio.Semaphore(at_once)

    async def one(name: str, seed: int) -> Outcome:
        async with gate:
            found = await triaged(all_scenarios()[name], seed, watch_s, overrides)
            print(_told(found), file=sys.stderr, flush=True)
            return found

    return await asyncio.gather(*(one(name, seed) for seed in seeds for name in names))


def _told(one: Outcome) -> str:
    mark = "right" if one.right and not one.false_causes else "MISS "
    lines = [f"{mark} {one.scenario} ({one.seed}): {', '.join(one.ranked) or one.error or 'nothing likely'}"]
    if mark != "right":
        lines += [f"        {line}" for line in one.evidence]
    return "\n".join(lines)


def report(outcomes: Sequence[Outcome], seeds: Sequence[int], watch_s: float, at_once: int) -> str:
    """The table, misses included, in Markdown."""
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    scenarios = dict.fromkeys(one.scenario for one in outcomes)
    return "\n".join(
        [
            "# How often the diagnosis is right",
            "",
            f"infdiag {__version__}, {datetime.now(UTC):%Y-%m-%d}, {where}. Made by `make bench-diagnosis`.",
            "",
            _METHOD.format(seeds=", ".join(map(str, seeds)), watch_s=watch_s, at_once=at_once),
            "",
            *summary(outcomes),
            "",
            "| scenario | planted | right | its rank | named | false root causes | s to likely | s to confirmed |",
            "|---|---|---|---|---|---|---|---|",
            *(_row([one for one in outcomes if one.scenario == name]) for name in scenarios),
            "",
        ]
    )


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """The figures in a few lines, and every miss."""
    sick, well = [one for one in outcomes if one.planted], [one for one in outcomes if not one.planted]
    first, quiet = sum(one.right for one in sick), sum(not one.root_causes for one in well)
    likely = [one.likely_s for one in sick if one.likely_s is not None]
    sure = [one.confirmed_s for one in sick if one.confirmed_s is not None]
    missed = [f"{one.scenario} (seed {one.seed}: {_named(one)})" for one in outcomes if not one.right]
    false = [f"{one.scenario} (seed {one.seed}: {', '.join(one.false_causes)})" for one in sick if one.false_causes]
    return [
        f"- Right cause first: {first} of {len(sick)} runs ({first / max(1, len(sick)):.0%}; goal {GOAL_FIRST:.0%}).",
        f"- Nothing confirmed where nothing is wrong: {quiet} of {len(well)} runs.",
        f"- From the fault to `likely`: {_spread(likely)} (goal: median below {GOAL_MEDIAN_S:.0f} s).",
        f"- From the fault to `confirmed`: {_spread(sure)}, in {len(sure)} of {len(sick)} runs.",
        f"- Missed: {'; '.join(missed) or 'none'}.",
        f"- A root cause confirmed that was not planted: {'; '.join(false) or 'none'}.",
    ]


def publish(lines: Sequence[str], path: Path = README) -> None:
    """Puts the figures between their marks in the README."""
    text = path.read_text(encoding="utf-8")
    begin, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    path.write_text(text[:begin] + "\n" + "\n".join(lines) + "\n" + text[end:], encoding="utf-8")


def _named(one: Outcome) -> str:
    return one.ranked[0] if one.ranked else one.error or "nothing likely"


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "never"
    return f"median {statistics.median(seconds):.0f} s, slowest {max(seconds):.0f} s"


def _row(runs: Sequence[Outcome]) -> str:
    named = dict.fromkeys(_named(one) for one in runs)
    false = dict.fromkeys(cause for one in runs for cause in one.false_causes)
    cells = [
        runs[0].scenario,
        ", ".join(runs[0].planted) or "nothing",
        f"{sum(one.right for one in runs)}/{len(runs)}",
        ", ".join(str(one.rank or "none") for one in runs) if runs[0].planted else "",
        ", ".join(named),
        ", ".join(false),
        ", ".join(_seconds(one.likely_s) for one in runs) if runs[0].planted else "",
        ", ".join(_seconds(one.confirmed_s) for one in runs) if runs[0].planted else "",
    ]
    return f"| {' | '.join(cells)} |"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f}"


def main(words: Sequence[str]) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scenario", nargs="*", choices=[*all_scenarios(), []], metavar="SCENARIO")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--for", dest="watch_s", type=float, default=WATCH_S, metavar="SECONDS")
    parser.add_argument("--at-once", type=int, default=1, help="labs side by side; more than one per two cores disturb")
    parser.add_argument("--dialect", type=int, default=0, help="everything in the lab bears other names")
    parser.add_argument("--json", type=Path, help="also write everything here, for a closer look")
    given = parser.parse_args(words)
    names = given.scenario or list(all_scenarios())
    started = time.monotonic()
    outcomes = asyncio.run(all_of(names, given.seeds, given.at_once, given.watch_s, {"dialect": given.dialect}))
    text = report(outcomes, given.seeds, given.watch_s, given.at_once)
    print(text)
    print(f"took {(time.monotonic() - started) / 60:.0f} min", file=sys.stderr)
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1), encoding="utf-8")
    if not given.scenario and not given.dialect:
        RESULTS.write_text(text, encoding="utf-8")
        publish(summary(outcomes))


if __name__ == "__main__":
    main(sys.argv[1:])
