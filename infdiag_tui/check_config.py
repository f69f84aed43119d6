"""A check's section of infdiag.toml, with relative paths made absolute: they are relative to the file's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from checks.base import Check, Glob, Params
from infdiag_tui.targets import Target


def configured(check: Check[Any], target: Target) -> Mapping[str, Any]:
    """What the config says of a check for this model, as written but for its paths; empty where it says nothing."""
    section = target.model.checks.get(check.name, {})
    if not section or target.config_path is None:
        return section
    return with_absolute_paths(check.params, section, target.config_path.resolve().parent)


def with_absolute_paths(params: type[Params], section: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`section` with the values of path parameters, also in lists and tables, made absolute from `folder`."""
    kinds = get_type_hints(params, include_extras=True)
    files = {name for name in params.model_fields if _names_files(kinds[name])}
    return {name: _absolute(value, folder) if name in files else value for name, value in section.items()}


def _names_files(annotation: Any) -> bool:
    """True of `Path` and `Glob`, alone or inside an optional, a list or a table."""
    if annotation in (Path, Glob):
        return True
    return any(_names_files(part) for part in get_args(annotation))


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        return str(folder / Path(value).expanduser()) if value else value
    if isinstance(value, list):
        return [_absolute(one, folder) for one in value]
    if isinstance(value, Mapping):
        return {name: _absolute(one, folder) for name, one in value.items()}
    return value  # of another type than a path: the parameters' own check says so
