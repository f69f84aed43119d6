"""Keeps the guidance page and the companions for the hypothesis at hand; files and PATH are looked at on a thread."""

from __future__ import annotations

import dataclasses
import logging

from infdiag_tui.companions.find import Found, beside_model, on_host, skill_packs
from infdiag_tui.companions.offers import Offer, offers
from infdiag_tui.knowledge.guidance import Guidance
from infdiag_tui.model import CompanionOffer, Diagnosis, GuidanceView, HypothesisStatus, Snapshot
from infdiag_tui.remote.way import Way, where_beside
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.targets import Target
from infdiag_tui.text import clean, one_line

log = logging.getLogger(__name__)

_WITHIN_S = 10.0
_LONGEST = 4_000


class Advice:
    """What to read and what to turn to. Belongs to the session's loop.

    Args:
        target: what the incident is about.
        guidance: the pages.
        thread: where files are read.
    """

    def __init__(self, target: Target, guidance: Guidance, thread: SoleThread) -> None:
        self._target = target
        self._guidance = guidance
        self._thread = thread
        self._found: Found | None = None
        self._beside: frozenset[str] = frozenset()
        self._beside_words = ""
        self._looking = False
        self.view: GuidanceView | None = None
        """The page and the companions for the best hypothesis, else for the symptom; None while there is neither."""

    async def follow(self, snapshot: Snapshot) -> None:
        """Brings the view up to date with a picture; what cannot be read costs the page alone."""
        name = self._page_of(snapshot.diagnosis)
        try:
            self.view = await self._thread.call(lambda: self._view(name, snapshot), timeout_s=_WITHIN_S)
        except (OSError, StuckCallError) as error:
            log.warning("the guidance page %s cannot be read: %s", name, error)

    async def look_beside(self, way: Way) -> None:
        """Finds the companions beside the model: a command that runs there, which the operator agreed to."""
        if way.remote is None:
            self._beside_words = way.lacking
            return
        if self._looking:
            return
        self._looking, self._beside_words = True, "looking for tools beside the model"
        try:
            self._beside, problem = await beside_model(way.remote)
        finally:
            self._looking = False
            await way.remote.aclose()
        self._beside_words = problem or f"{len(self._beside)} known tools are beside the model"

    def _page_of(self, diagnosis: Diagnosis) -> str:
        likely = [one for one in diagnosis.hypotheses if one.status is HypothesisStatus.LIKELY and not one.because_of]
        best = next(iter((*diagnosis.root_causes, *likely)), None)
        return self._guidance.for_cause(best.cause) if best else self._guidance.for_symptom(diagnosis.symptom)

    def _view(self, name: str, snapshot: Snapshot) -> GuidanceView | None:
        if not name:
            return None
        if self._found is None:
            packs, problems = skill_packs(self._target.config.skill_pack_roots)
            for problem in problems:
                log.warning("skill pack: %s", problem)
            self._found = Found(host=on_host(), packs=packs)
        held = self.view
        text, title = self._guidance.page(name), self._guidance.title(name)
        if held is not None and held.name == name:
            text, title = held.text, held.title
        found = dataclasses.replace(self._found, beside=self._beside)
        made = offers(snapshot.diagnosis.hypotheses, snapshot, self._target.model, found)
        offered = tuple(
            CompanionOffer(
                tool=one_line(one.tool),
                purpose=one_line(one.purpose, 400),
                command=clean(one.command),
                where=_where(one),
                note=one_line(one.note, 400),
                impact=one.impact,
                interactive=one.interactive,
                argv=one.argv,
                beside=None if one.interactive else one.beside,
            )
            for one in made
            # What cannot be read as a whole is nothing to agree to.
            if len(one.command) <= _LONGEST
        )
        way = where_beside(self._target, snapshot.pods)
        known = one_line(clean(self._beside_words), 400)
        return GuidanceView(name, title, text, offered, known, one_line(clean(way), 400))


def _where(offer: Offer) -> str:
    if offer.place is None:
        return ""
    return one_line(offer.beside.where, 400) if offer.beside is not None else "on this machine"
