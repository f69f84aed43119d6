"""Companion tools and skill packs: found here or in the container, offered where they serve the hypothesis at hand."""

from infdiag_tui.companions.catalog import Place, catalog
from infdiag_tui.companions.find import Found, SkillPack, in_container, on_host, skill_packs
from infdiag_tui.companions.offers import Offer, offers

__all__ = ["Found", "Offer", "Place", "SkillPack", "catalog", "in_container", "offers", "on_host", "skill_packs"]
