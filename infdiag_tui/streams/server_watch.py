"""One place that tells metrics: found among where they may be, read again and again, differenced process by process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infdiag_tui.servers.adapters import Server, known_servers
from infdiag_tui.servers.conventions import recognised
from infdiag_tui.servers.counters import Scrape, known_by
from infdiag_tui.servers.metrics_text import MetricsPage
from infdiag_tui.servers.places import metrics_urls
from infdiag_tui.servers.reading import Reading, read
from infdiag_tui.streams.server_pages import Miss, Page

LOOK_AGAIN_S = 30.0
"""A place without metrics is looked at again after this long: servers come up, and come back with other options."""
MAX_PAGES = 3
"""Pages read of one place, at most: a server has one or two."""
MAX_PROCESSES = 32
"""Processes told apart at one address; behind a load balancer each is one replica."""
FORGET_AFTER_S = 120.0
"""A process that has not been met at its address for this long is not waited for any more."""
MISSES_BEFORE_LOOKING = 3
"""Readings that may fail before its metrics are looked for anew."""

FALLS_OF_SEVERAL, FALLS_WITHIN = 2, 20
"""Counters that go back so often within so many readings are those of several processes."""
READINGS_AFTER_A_FALL = 2
"""Readings that are left out after one."""

Process = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere that a server's metrics may be.

    `entity` names it in series and sentences. `base` is its scheme, host and port; `stated` are URLs that the operator
    or the pod names, which outrank looking. `own`: it is the model's own (endpoint or pod), and gets its headers.
    """

    entity: str
    base: str = ""
    stated: tuple[str, ...] = ()
    own: bool = True

    def candidates(self, model: str) -> dict[str, bool]:
        """URLs to look at, most likely first; the value says whether whatever answers there is the model's server.

        On its own port, and where it is stated, it is. On other ports of its host it must be recognised: anything may
        run there.
        """
        if self.stated:
            return dict.fromkeys(self.stated, True)
        found = {f"{self.base}/metrics": True}
        for server in known_servers():
            for url in metrics_urls(server, self.base, model):
                found.setdefault(url, url.startswith(f"{self.base}/"))
        return found


@dataclass(slots=True)
class _Source:
    """One page of a place and what was recognised on it."""

    url: str
    trusted: bool
    names: frozenset[str] = frozenset()
    servers: tuple[Server, ...] = ()

    def recognise(self, page: MetricsPage, own: Server | None, model: str) -> None:
        """Looks at what the page tells, again whenever it has other families: many appear with the first request."""
        names = frozenset(page.by_name)
        if names == self.names:
            return
        self.names = names
        known = [server for server in known_servers() if known_by(server, page)]
        found = [*([own] if own is not None else []), *known]
        if known or self.trusted:
            found.append(recognised(page, model))
        self.servers = tuple(server for server in found if server.parts or server.signals)


@dataclass(frozen=True, slots=True)
class _Round:
    """The pages of one process at one moment."""

    pages: Mapping[str, MetricsPage]
    at: float
    monotonic: float


class Watched:
    """One place's state over many readings.

    Attributes:
        place: where it is.
        reason: why it gives nothing at present, empty while it does.
        answered: something replied there, metrics or not.
    """

    def __init__(self, place: Place, model: str, own: Server | None) -> None:
        self.place = place
        self.reason = ""
        self.answered = False
        self._model = model
        self._own = own
        self._sources: list[_Source] = []
        self._looked_at = float("-inf")
        self._misses = 0
        self._before: OrderedDict[Process, _Round] = OrderedDict()
        self._names: dict[Process, str] = {}
        self._readings = 0
        self._falls: list[int] = []

    @property
    def found(self) -> bool:
        """True once a page with metrics was found."""
        return bool(self._sources)

    @property
    def quiet(self) -> bool:
        """True when its metrics tell nothing that is known, as those of many servers before their first request."""
        return bool(self._sources) and not any(source.servers for source in self._sources)

    def wanted(self, monotonic: float) -> dict[str, bool]:
        """The URLs to fetch now: its pages, or all candidates while none is known and it is time to look."""
        if self._sources:
            return {source.url: self.place.own for source in self._sources}
        if monotonic - self._looked_at < LOOK_AGAIN_S:
            return {}
        self._looked_at = monotonic
        return dict.fromkeys(self.place.candidates(self._model), self.place.own)

    def take(self, fetched: Iterable[Page | Miss]) -> tuple[str, Reading, float] | None:
        """What happened since the same process was last read: entity, reading, Unix time; None for a first reading."""
        fetched = list(fetched)
        pages = [one for one in fetched if isinstance(one, Page)]
        if not self._sources:
            self._choose(fetched, pages)
        if not any(page.url == source.url for page in pages for source in self._sources):
            self._note_misses(fetched)
            return None
        self.answered, self._misses, self.reason = True, 0, ""
        by_url = {page.url: page for page in pages}
        for source in self._sources:
            if source.url in by_url:
                source.recognise(by_url[source.url].metrics, self._own, self._model)
        if self.quiet:
            self.reason = f"{self._sources[0].url} tells nothing of requests that infdiag knows"
        # Kept all the same: what appears with the first request is counted from nothing.
        return self._difference(by_url)

    def _choose(self, fetched: Sequence[Page | Miss], pages: Sequence[Page]) -> None:
        candidates = self.place.candidates(self._model)
        self.answered = self.answered or any(isinstance(one, Page) or one.answered for one in fetched)
        for page in pages:
            source = _Source(page.url, candidates.get(page.url, False))
            source.recognise(page.metrics, self._own, self._model)
            if source.servers and len(self._sources) < MAX_PAGES:
                self._sources.append(source)
        if pages and not self._sources:
            # A page of its own that tells nothing known yet: many servers' counters appear with the first request.
            self._sources = [_Source(page.url, trusted=True) for page in pages if candidates.get(page.url)][:1]

    def _note_misses(self, fetched: Sequence[Page | Miss]) -> None:
        misses = [one for one in fetched if isinstance(one, Miss)]
        if not misses:
            return
        # What was said of the likeliest place says most, unless nothing is there at all.
        told = next((one for one in misses if one.answered), misses[0])
        self.reason = f"{told.url} {told.reason}"
        self.answered = self.answered or told.answered
        self._misses += 1
        if self._sources and self._misses >= MISSES_BEFORE_LOOKING:
            self._sources, self._misses = [], 0

    def _difference(self, by_url: Mapping[str, Page]) -> tuple[str, Reading, float] | None:
        newest = max(by_url.values(), key=lambda page: page.monotonic)
        process = _process_of(by_url.values())
        now = _Round({url: page.metrics for url, page in by_url.items()}, newest.at, newest.monotonic)
        before = self._before.pop(process, None)
        self._before[process] = now
        self._forget(newest.monotonic)
        if before is None:
            return None
        scrapes = [
            (Scrape(source.url, before.pages[source.url], now.pages[source.url]), source.servers)
            for source in self._sources
            if source.url in before.pages and source.url in now.pages
        ]
        seconds = now.monotonic - before.monotonic
        if not scrapes or seconds <= 0:
            return None
        reading = read(scrapes, self._model, seconds)
        if not self._is_one_process(reading.resets) or not reading.tells_anything:
            return None
        return self._entity(process), reading, now.at

    def _is_one_process(self, resets: int) -> bool:
        """False after counters went back, until it is clear that one process began anew.

        Where processes do not say when they started, several of them behind one address look like one whose counters
        fall and leap in turn. A leap by itself cannot be told from traffic; but it comes after a fall.
        """
        self._readings += 1
        if resets:
            self._falls.append(self._readings)
        self._falls = [one for one in self._falls if self._readings - one < FALLS_WITHIN]
        if len(self._falls) >= FALLS_OF_SEVERAL:
            self.reason = "several processes answer in turn: name each one's metrics in metrics.urls"
            return False
        return not self._falls or self._readings - self._falls[-1] > READINGS_AFTER_A_FALL

    def _entity(self, process: Process) -> str:
        """The place's name; with a number where several processes answer there in turn."""
        if len(self._before) < 2:
            return self._names.setdefault(process, self.place.entity)
        return self._names.setdefault(process, f"{self.place.entity} process {len(self._names) + 1}")

    def _forget(self, monotonic: float) -> None:
        gone = [one for one, held in self._before.items() if monotonic - held.monotonic > FORGET_AFTER_S]
        while len(self._before) - len(gone) > MAX_PROCESSES:
            gone.append(next(one for one in self._before if one not in gone))
        for process in gone:
            del self._before[process]
            self._names.pop(process, None)


def _process_of(pages: Iterable[Page]) -> Process:
    """What tells one process from another that answers at the same address: when it started, by its own account."""
    starts = (sample.value for page in pages for sample in page.metrics.get("process_start_time_seconds"))
    return tuple(sorted(starts))
