"""Which checks are on offer in an incident, in which order, and why one of them cannot run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from checks.base import BESIDE, CONTAINER, Check, CheckContext, no_way
from infdiag_tui.check_config import configured
from infdiag_tui.check_form import FormError, form_fields, read_form
from infdiag_tui.model import Impact, OfferedCheck
from infdiag_tui.targets import Target
from infdiag_tui.text import clean, one_line

_ABOUT = 1000


def offer(checks: Iterable[Check[Any]], target: Target, context: CheckContext) -> tuple[OfferedCheck, ...]:
    """The checks, those of the symptom first, then by step of the protocol, companions last. Looks at files."""
    found = [_offered(check, target, context) for check in checks]
    return tuple(sorted(found, key=lambda one: (not one.first, one.step or 99)))


def _offered(check: Check[Any], target: Target, context: CheckContext) -> OfferedCheck:
    given = configured(check, target)
    missing, impact = _looked_at(check, given, target, context)
    lacking = {need: one_line(clean(no_way(context, need)), _ABOUT) for need in (BESIDE, CONTAINER)}
    return OfferedCheck(
        name=check.name,
        title=one_line(check.title),
        about=one_line((check.__doc__ or check.title).split("\n\n")[0], _ABOUT),
        impact=check.impact,
        step=check.step,
        configured_impact=impact,
        asked_for=check.asked_for,
        first=bool(target.symptom) and target.symptom in check.symptoms,
        missing=one_line(clean(missing), _ABOUT),
        fields=form_fields(check.params, given, lacking),
    )


def _looked_at(
    check: Check[Any], given: Mapping[str, Any], target: Target, context: CheckContext
) -> tuple[str, Impact]:
    """What a check lacks with the config's values, and what it would do with them."""
    try:
        params = read_form(check.params, given, {})
    except FormError as error:
        where = f"[models.{target.model_name}.checks.{check.name}]"
        return "; ".join(f"{name or where}: {text}" for name, text in error.problems.items()), check.impact
    return check.missing(params, context), check.impact_of(params)
