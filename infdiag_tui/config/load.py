"""Reads infdiag.toml and the command line's target flags; every error names file, key and remedy."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from infdiag_tui.config.schema import Config, ModelConfig
from infdiag_tui.config_path import search_path
from infdiag_tui.text import clean, one_line

_SHOWN = 160
_SSH = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]\s]+\]|[^\[\]:@\s]+)(?::(?P<port>\d+))?")


class ConfigError(Exception):
    """The config or the flags cannot be used; the message names the place and the remedy."""


@dataclass(frozen=True, slots=True)
class TargetFlags:
    """Targets given on the command line; a flag that was not typed is None (or empty) and changes nothing."""

    endpoint: str | None = None
    via: str | None = None
    protocol: str | None = None
    body_file: str | None = None
    rate_per_s: float | None = None
    timeout_s: float | None = None
    logs: Sequence[str] = field(default_factory=tuple)
    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    selector: str | None = None
    name_hint: str | None = None
    exec_pod: str | None = None
    exec_container: str | None = None
    ssh: str | None = None
    dcgm_url: str | None = None
    pid: int | None = None
    process_name: str | None = None
    port: int | None = None

    @property
    def any(self) -> bool:
        """True when a flag names something to look at; which of the pods a command goes to does not."""
        return any(
            (
                self.endpoint,
                self.logs,
                self.kubeconfig,
                self.context,
                self.namespace,
                self.selector,
                self.name_hint,
                self.ssh,
                self.dcgm_url,
                self.pid,
                self.process_name,
                self.port,
            ),
        )


def find_config(explicit: str | None) -> Path | None:
    """The config file to read: the one named, else ./infdiag.toml, else the user's; None when there is none.

    Raises:
        ConfigError: the named file does not exist.
    """
    if explicit is not None:
        path = Path(explicit).expanduser()
        if not path.is_file():
            what = "is no file" if path.exists() else "no such config file"
            raise ConfigError(f"{path}: {what}. Check --config, or leave it out.")
        return path
    return next((path for path in search_path() if path.is_file()), None)


def load_config(path: Path) -> Config:
    """Reads and validates a config file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: unreadable, no TOML, or with wrong keys or values; the message has a line for each.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}. Correct it there.") from error
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        lines = [f"{path}: {explain(problem, Config)}" for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    return _with_absolute_paths(config, path.resolve().parent)


def explain(problem: Mapping[str, Any], schema: type[BaseModel]) -> str:
    """One validation problem as `key: what is wrong. Remedy`, with the nearest known key for an unknown one."""
    place = [str(part) for part in problem["loc"]]
    key = ".".join(place)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(schema, place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"Known keys here: {', '.join(known)}."
        return f"{key}: unknown key. {remedy}"
    if problem["type"] == "missing":
        return f"{key}: is missing. Add it."
    got = problem.get("input")
    # Whatever was meant to be a header's value may be a token.
    hidden = isinstance(got, Mapping | list) or "headers" in place
    shown = "" if hidden else " " + one_line(clean(f"(got {got!r})"), _SHOWN)
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{key}: {clean(message)}{shown}." if key else f"{clean(message)}{shown}."


def _known_keys(schema: type[BaseModel], place: Sequence[str]) -> list[str]:
    current: type[BaseModel] = schema
    skip_name = False
    for part in place:
        if skip_name:  # the model's own name in [models.NAME]
            current, skip_name = ModelConfig, False
            continue
        if current is Config and part == "models":
            skip_name = True
            continue
        annotation = current.model_fields[part].annotation if part in current.model_fields else None
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        inner = [one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)]
        if not inner:
            return []
        current = inner[0]
    return list(current.model_fields)


def _with_absolute_paths(section: Config, folder: Path) -> Config:
    def resolve(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value.expanduser()
        if isinstance(value, BaseModel):
            # Only what was written: a copied key would count as written, and some mean more when they are.
            return value.model_copy(update={name: resolve(getattr(value, name)) for name in value.model_fields_set})
        if isinstance(value, tuple):
            return tuple(resolve(item) for item in value)
        if isinstance(value, dict) and all(isinstance(item, BaseModel) for item in value.values()):
            return {name: resolve(item) for name, item in value.items()}
        return value

    resolved: Config = resolve(section)
    return resolved


def apply_flags(model: ModelConfig, flags: TargetFlags) -> ModelConfig:
    """The model's config with what was typed on the command line laid over it.

    Raises:
        ConfigError: a flag's value is not valid.
    """
    raw = model.model_dump(exclude_unset=True)
    if flags.endpoint is not None and raw.get("endpoint"):
        raw["endpoint"].pop("via", None)  # that was the way to the configured address
    _overlay(raw, "endpoint", url=flags.endpoint, protocol=flags.protocol, body_file=_path(flags.body_file))
    if "endpoint" in raw:
        _overlay(raw, "endpoint", via=flags.via, rate_per_s=flags.rate_per_s, timeout_s=flags.timeout_s)
    _overlay(raw, "logs", files=tuple(Path(name).expanduser().absolute() for name in flags.logs) or None)
    _overlay(
        raw,
        "kubernetes",
        kubeconfig=_path(flags.kubeconfig),
        context=flags.context,
        namespace=flags.namespace,
        selector=flags.selector,
        name_hint=flags.name_hint,
        exec_pod=flags.exec_pod,
        exec_container=flags.exec_container,
    )
    _overlay(raw, "ssh", **_ssh(flags.ssh))
    _overlay(raw, "gpu", dcgm_url=flags.dcgm_url)
    _overlay(raw, "host", pid=flags.pid, process_name=flags.process_name, port=flags.port)
    try:
        return ModelConfig.model_validate(raw)
    except ValidationError as error:
        lines = [f"command line: {explain(problem, ModelConfig)}" for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def _ssh(typed: str | None) -> dict[str, Any]:
    """The parts of `[USER@]HOST[:PORT]`."""
    if typed is None:
        return {}
    match = _SSH.fullmatch(typed)
    if match is None:
        raise ConfigError(f"command line: --ssh: {one_line(clean(typed))!r} is no [USER@]HOST[:PORT]. Correct it.")
    return {"user": match["user"], "host": match["host"].strip("[]"), "port": match["port"]}


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value).expanduser().absolute()


def _overlay(raw: dict[str, Any], section: str, **typed: Any) -> None:
    given = {key: value for key, value in typed.items() if value is not None}
    if given:
        raw[section] = {**(raw.get(section) or {}), **given}
