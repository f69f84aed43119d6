"""A check's parameters as a form: plain descriptions for the screen, and what was typed back as parameters."""

from __future__ import annotations

import enum
import json
import shlex
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from checks.base import Params
from infdiag_tui.check_flags import plain_annotation
from infdiag_tui.config.load import explain
from infdiag_tui.model import FieldKind, FormField


class FormError(Exception):
    """What was typed is wrong: `problems` has a sentence by parameter, under the empty name for several at once."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


def form_fields(
    params: type[Params], configured: Mapping[str, Any], lacking: Mapping[str, str] | None = None
) -> tuple[FormField, ...]:
    """One field per parameter, with what the config says in place.

    Args:
        params: the check's model.
        configured: the check's section of the config.
        lacking: why something that a field may need (its `needs` extra) is not there, by that need.
    """
    return tuple(_field(name, info, configured, lacking or {}) for name, info in params.model_fields.items())


def read_form(params: type[Params], configured: Mapping[str, Any], values: Mapping[str, str]) -> Params:
    """The parameters as typed; a field left as the config has it keeps the config's value, an empty one the default.

    Raises:
        FormError: something is wrong.
    """
    given: dict[str, Any] = {name: value for name, value in configured.items() if name not in params.model_fields}
    problems = {}
    for one in form_fields(params, configured):
        text = values.get(one.name, one.value).strip()
        if one.name in configured and text == one.value:
            given[one.name] = configured[one.name]
        elif text:
            try:
                given[one.name] = _parsed(one.kind, text)
            except ValueError as error:
                problems[one.name] = str(error)
    try:
        read = params.model_validate(given)
    except ValidationError as error:
        for problem in error.errors():
            place = str(problem["loc"][0]) if problem["loc"] else ""
            known = place in params.model_fields
            text = explain(problem, params)
            # Under its field the key's name would be said twice; of several, or of an unknown key, it is needed.
            problems.setdefault(place if known else "", text.partition(": ")[2] if known else text)
        raise FormError(problems) from error
    if problems:
        raise FormError(problems)
    return read


def _field(name: str, info: FieldInfo, configured: Mapping[str, Any], lacking: Mapping[str, str]) -> FormField:
    annotation = plain_annotation(info.annotation)
    kind, choices = _kind(annotation)
    default = "" if info.is_required() else _text(kind, info.get_default(call_default_factory=True))
    value = _text(kind, configured[name]) if name in configured else ""
    extra = info.json_schema_extra
    need = str(extra.get("needs", "")) if isinstance(extra, Mapping) else ""
    return FormField(name, info.description or "", kind, value, default, choices, lacking.get(need, ""))


def _kind(annotation: Any) -> tuple[FieldKind, tuple[str, ...]]:
    origin = get_origin(annotation)
    if annotation is bool:
        return FieldKind.SWITCH, ()
    if origin is Literal:
        return FieldKind.CHOICE, tuple(str(choice) for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return FieldKind.CHOICE, tuple(str(choice.value) for choice in annotation)
    if origin in (list, tuple, set, frozenset):
        return FieldKind.WORDS, ()
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return FieldKind.PAIRS, ()
    return FieldKind.TEXT, ()


def _text(kind: FieldKind, value: Any) -> str:
    """A value as it is typed."""
    if value is None:
        return ""
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind is FieldKind.WORDS and isinstance(value, list | tuple | set | frozenset):
        return shlex.join(_text(FieldKind.TEXT, one) for one in value)
    if isinstance(value, Mapping):
        if kind is FieldKind.PAIRS:
            return shlex.join(f"{key}={_text(FieldKind.TEXT, one)}" for key, one in value.items())
        return json.dumps(value, default=str)
    return json.dumps(value, default=str) if isinstance(value, list) else str(value)


def _parsed(kind: FieldKind, text: str) -> Any:
    if kind not in (FieldKind.WORDS, FieldKind.PAIRS):
        return text
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be read ({error}). Close every quote.") from error
    if kind is FieldKind.WORDS:
        return words
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"takes KEY=VALUE, not {word!r}.")
        pairs[key] = value
    return pairs
