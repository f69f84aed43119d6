"""The known model servers and the words that give one away, from `known_servers.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class KnownServer:
    """One row of the table; `path` holds `MODEL` where the model's name belongs."""

    name: str
    images: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    probes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    protocol: str = "json"
    path: str = "/predict"
    metrics: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """The whole table."""

    servers: tuple[KnownServer, ...]
    other_images: tuple[str, ...]
    other_commands: tuple[str, ...]
    names: frozenset[str]
    environment: frozenset[str]
    arguments: tuple[str, ...]


@cache
def known() -> Known:
    """The table, read once."""
    path = resources.files("infdiag_tui.discovery").joinpath("known_servers.toml")
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    return Known(
        servers=tuple(_server(row) for row in raw["servers"]),
        other_images=tuple(raw["others"]["images"]),
        other_commands=tuple(raw["others"]["commands"]),
        names=frozenset(raw["words"]["names"]),
        environment=frozenset(raw["words"]["environment"]),
        arguments=tuple(raw["words"]["arguments"]),
    )


def _server(row: Mapping[str, Any]) -> KnownServer:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return KnownServer(**fields)
