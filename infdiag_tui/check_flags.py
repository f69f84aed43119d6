"""A check's parameters as command-line flags, made from its `Params` model, and back."""

from __future__ import annotations

import argparse
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from checks.base import Params
from infdiag_tui.config.load import ConfigError, explain

_DEST = "param_"


def add_flags(parser: argparse.ArgumentParser, params: type[Params]) -> None:
    """One flag per parameter: `--its-name`, and what its `flags` extra names besides."""
    group = parser.add_argument_group("parameters of this check")
    for name, field in params.model_fields.items():
        group.add_argument(*_names(name, field), **_kind(name, field))


def read_params(
    params: type[Params],
    configured: Mapping[str, Any],
    given: argparse.Namespace,
    where: str,
) -> Params:
    """The parameters: what was typed, else what the config says, else the defaults.

    Args:
        params: the check's model.
        configured: the check's section of the config.
        given: the parsed command line.
        where: names the config's section in errors.

    Raises:
        ConfigError: a value is wrong; names key or flag and the remedy.
    """
    typed = {
        name: getattr(given, _DEST + name)
        for name in params.model_fields
        if getattr(given, _DEST + name, None) is not None
    }
    try:
        return params.model_validate({**configured, **typed})
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            place = str(problem["loc"][0]) if problem["loc"] else ""
            origin = "command line" if place in typed or place not in configured else where
            lines.append(f"{origin}: {explain(problem, params)}")
        raise ConfigError("\n".join(lines)) from error


def _names(name: str, field: FieldInfo) -> list[str]:
    extra = field.json_schema_extra
    flags = extra.get("flags", []) if isinstance(extra, Mapping) else []
    named = [str(flag) for flag in flags] if isinstance(flags, Sequence) else []
    return [f"--{name.replace('_', '-')}", *named]


def _kind(name: str, field: FieldInfo) -> dict[str, Any]:
    default = "" if field.is_required() or field.default in (None, "", ()) else f" (default: {_shown(field.default)})"
    settings: dict[str, Any] = {
        "dest": _DEST + name,
        "default": None,
        "help": f"{field.description or ''}{default}".replace("%", "%%"),
    }
    kind = plain_annotation(field.annotation)
    if kind is bool:
        return {**settings, "action": argparse.BooleanOptionalAction}
    origin = get_origin(kind)
    if origin in (list, tuple, set, frozenset):
        return {**settings, "action": "extend", "nargs": "+", "metavar": "VALUE"}
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return {**settings, "action": _Pairs, "nargs": "+", "metavar": "KEY=VALUE"}
    if origin is Literal:
        return {**settings, "choices": [str(choice) for choice in get_args(kind)]}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {**settings, "choices": [str(choice.value) for choice in kind]}
    metavar = "FILE" if kind is Path else name.rpartition("_")[0].upper() if name.endswith("_s") else name.upper()
    return {**settings, "metavar": metavar}


class _Pairs(argparse.Action):
    """`--stage preprocess=metric other=metric` as a mapping."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Collects the pairs."""
        found = dict(getattr(namespace, self.dest, None) or {})
        for value in values or ():
            key, equals, text = str(value).partition("=")
            if not equals:
                parser.error(f"{option_string} takes KEY=VALUE, not {value!r}")
            found[key] = text
        setattr(namespace, self.dest, found)


def plain_annotation(annotation: Any) -> Any:
    """The annotation without `None` and `Annotated`; `str` for a union of several."""
    if hasattr(annotation, "__metadata__"):
        return plain_annotation(annotation.__origin__)
    if get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        return plain_annotation(rest[0]) if len(rest) == 1 else str
    return annotation


def _shown(value: Any) -> str:
    return str(value.value if isinstance(value, enum.Enum) else value)
