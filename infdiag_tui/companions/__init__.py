"""Companion tools and skill packs: found here or beside the model, offered where they serve the hypothesis at hand."""

from infdiag_tui.companions.catalog import Place, catalog
from infdiag_tui.companions.find import Found, SkillPack, beside_model, on_host, skill_packs
from infdiag_tui.companions.offers import Offer, offers

__all__ = ["Found", "Offer", "Place", "SkillPack", "beside_model", "catalog", "offers", "on_host", "skill_packs"]
