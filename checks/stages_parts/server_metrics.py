"""Splits requests by the server's own metrics: found, scraped before and after, differenced and named."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from checks.base import Sender
from checks.stages_parts.figures import Figure, Split
from infdiag_tui.servers.adapters import CONFIGURED, Part, Server
from infdiag_tui.servers.counters import Delta, Scrape, gauge_ms, known_by, part_delta
from infdiag_tui.servers.metrics_text import MetricsPage, parse_metrics
from infdiag_tui.servers.places import metrics_urls
from infdiag_tui.servers.reading import model_labels
from infdiag_tui.servers.stages import STAGES, Stage
from infdiag_tui.servers.v2_stats import stats_page
from infdiag_tui.text import clean, one_line

_AT_ONCE = 8
_FORBIDDEN = ("HTTP 401", "HTTP 403")


@dataclass(frozen=True, slots=True)
class Targets:
    """Where to look: the servers known, base URLs of the replicas, or the one metrics URL that the operator named."""

    servers: tuple[Server, ...]
    bases: tuple[str, ...]
    metrics_url: str = ""
    model: str = ""
    timeout_s: float = 5.0


@dataclass(slots=True)
class Watch:
    """Metrics pages that answered, as they were before the requests, and gauges read in between."""

    targets: Targets
    before: dict[str, MetricsPage]
    sources: dict[str, list[str]]
    """The URLs of each server's pages, by the server's name; at most one URL of a base."""
    refused: str = ""
    gauges: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        """True when some page was recognised."""
        return any(self.sources.values())


async def begin(sender: Sender, targets: Targets) -> Watch:
    """Scrapes every place where a known server would have its metrics, and keeps those that are recognised."""
    wanted = [
        (server, base, url)
        for server in targets.servers
        for base in targets.bases
        for url in _urls(targets, server, base)
    ]
    urls = list(dict.fromkeys(url for _, _, url in wanted))
    read = dict(zip(urls, await _scrape_all(sender, urls, targets.timeout_s), strict=True))
    pages = {url: page for url, page in read.items() if isinstance(page, MetricsPage)}
    sources: dict[str, list[str]] = {}
    taken: set[tuple[str, str]] = set()
    for server, base, url in wanted:
        if (server.name, base) in taken or url not in pages or not known_by(server, pages[url]):
            continue
        taken.add((server.name, base))
        if url not in sources.setdefault(server.name, []):
            sources[server.name].append(url)
    failed = [(url, reason) for url, reason in read.items() if isinstance(reason, str)]
    # That a place is forbidden says more than that there is none.
    failed.sort(key=lambda item: not item[1].startswith(_FORBIDDEN))
    refused = f"{failed[0][0]}: {failed[0][1]}" if failed else ""
    return Watch(targets, pages, sources, refused)


async def between(sender: Sender, watch: Watch) -> None:
    """Reads the gauges that hold only the last request's time; does nothing where there are none."""
    for server, url in _with_gauges(watch):
        page = await _scrape(sender, url, watch.targets.timeout_s)
        if isinstance(page, str):
            continue
        for part in server.parts:
            value = gauge_ms(part, page, model_labels(server, watch.targets.model)) if part.gauge else None
            if value is not None:
                watch.gauges.setdefault((server.name, part.name), []).append(value)


async def finish(sender: Sender, watch: Watch, at_least: int) -> tuple[Split, ...]:
    """Scrapes again and names what happened in between, the server that tells most first.

    Servers count a request a moment after they answered it: until `at_least` are counted or 2 s went by, it scrapes
    anew.
    """
    deadline = asyncio.get_running_loop().time() + 2.0
    while True:
        splits = await _read(sender, watch)
        counted = max((figure.n for split in splits for figure in split.figures), default=0)
        if counted >= at_least or not watch.found or asyncio.get_running_loop().time() >= deadline:
            return splits
        await asyncio.sleep(0.1)


async def _read(sender: Sender, watch: Watch) -> tuple[Split, ...]:
    urls = list(dict.fromkeys(url for found in watch.sources.values() for url in found))
    pages = dict(zip(urls, await _scrape_all(sender, urls, watch.targets.timeout_s), strict=True))
    splits = []
    for server in watch.targets.servers:
        found = watch.sources.get(server.name, [])
        scrapes = [
            Scrape(url, watch.before[url], page)
            for url, page in pages.items()
            if url in found and isinstance(page, MetricsPage)
        ]
        lost = [
            f"{url} did not answer again: {page}"
            for url, page in pages.items()
            if url in found and isinstance(page, str)
        ]
        if found or server.name == CONFIGURED:
            splits.append(_split(server, scrapes, watch, lost))
    return tuple(sorted(splits, key=lambda split: -_worth(split)))


def _worth(split: Split) -> int:
    # The statistics extension and Prometheus tell the same four stages of Triton; the order of servers.toml decides.
    told = sum(split.has(stage) for stage in STAGES)
    return told + 100 * (split.means == CONFIGURED)


def _split(server: Server, scrapes: Sequence[Scrape], watch: Watch, lost: list[str]) -> Split:
    label = model_labels(server, watch.targets.model)
    figures: dict[str, Figure] = {}
    absent: list[tuple[Stage, str]] = []
    resets = 0
    for part in server.parts:
        delta = _sum(part_delta(part, scrape, label) for scrape in scrapes)
        resets += delta.resets if delta else 0
        figure = _figure(server, part, delta, watch, figures)
        if isinstance(figure, Figure):
            figures[part.name] = figure
        elif part.stage:
            absent.append((part.stage, figure))
    notes = list(lost)
    if resets or any(scrape.restarted for scrape in scrapes):
        notes.append(
            f"Counters of {server.name} began anew in between: the server restarted, or several replicas answer at"
            " one URL (then name one with --metrics-url)."
        )
    told = {figure.stage for figure in figures.values()}
    missing = tuple((stage, reason) for stage, reason in absent if stage not in told)
    unnamed: list[tuple[Stage, str]] = [
        (stage, f"{server.name} has no figure for it; --stage {stage}=METRIC names one of your own")
        for stage in STAGES
        if stage not in told and stage not in {stage for stage, _ in missing}
    ]
    not_offered = (*missing, *(() if server.name == CONFIGURED else unnamed))
    return Split(
        server.name, tuple(figures.values()), not_offered, tuple(notes), tuple(scrape.url for scrape in scrapes)
    )


def _figure(server: Server, part: Part, delta: Delta | None, watch: Watch, figures: dict[str, Figure]) -> Figure | str:
    """The part's figure, or why there is none."""
    source = f"{server.name}: {part.metric}"
    if part.computed:
        terms = [figures.get(name) for name in (*part.plus, *part.minus)]
        known = [term for term in terms if term is not None]
        if len(known) < len(terms):
            return f"{part.name} needs {', '.join((*part.plus, *part.minus))}, which {server.name} did not count"
        signs = [1] * len(part.plus) + [-1] * len(part.minus)
        mean_ms = sum(sign * term.mean_ms for sign, term in zip(signs, known, strict=True))
        if mean_ms < 0:
            return f"{part.name} ({part.note}) came out negative: the parts count different requests"
        return Figure(
            part.name, part.stage, mean_ms, min(term.n for term in known), f"{server.name}: {part.note}", part.note
        )
    if part.gauge:
        values = watch.gauges.get((server.name, part.name), [])
        if not values:
            return f"{server.name} does not offer {part.metric}: {part.offer or server.offer}"
        return Figure(part.name, part.stage, statistics.fmean(values), len(values), source, part.note)
    if delta is None:
        return f"{server.name} does not offer {part.metric}: {part.offer or server.offer or 'is the name right?'}"
    if delta.n < 1:
        return f"{part.metric} of {server.name} counted no request meanwhile"
    return Figure(
        part.name,
        part.stage,
        delta.total_ms / delta.n,
        round(delta.n),
        source,
        part.note,
        whole_server=part.whole_server,
    )


def _sum(deltas: Iterable[Delta | None]) -> Delta | None:
    total: Delta | None = None
    for delta in deltas:
        if delta is not None:
            total = delta if total is None else total + delta
    return total


def _with_gauges(watch: Watch) -> list[tuple[Server, str]]:
    return [
        (server, url)
        for server in watch.targets.servers
        if any(part.gauge for part in server.parts)
        for url in watch.sources.get(server.name, [])
    ]


def _urls(targets: Targets, server: Server, base: str) -> list[str]:
    """Where this server's metrics would be."""
    if targets.metrics_url and server.known_by[:1] != ("v2_stats_success_count",):
        return [targets.metrics_url]
    return metrics_urls(server, base, targets.model)


async def _scrape_all(sender: Sender, urls: Sequence[str], timeout_s: float) -> list[MetricsPage | str]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(url: str) -> MetricsPage | str:
        async with gate:
            return await _scrape(sender, url, timeout_s)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(url)) for url in urls]
    return [task.result() for task in tasks]


async def _scrape(sender: Sender, url: str, timeout_s: float) -> MetricsPage | str:
    answer = await sender.get(url, timeout_s=timeout_s)
    if not answer.ok:
        return one_line(clean(answer.error), 160)
    stats = stats_page(answer.body)
    if stats is not None:
        return stats
    # A page of megabytes takes seconds to parse: not on the event loop.
    page = await asyncio.to_thread(parse_metrics, answer.text)
    return page if page.by_name else "no metrics in the answer"
