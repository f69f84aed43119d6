"""The companions there are, read from the knowledge: what each is for, which causes it serves, its commands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from pydantic import Field

from infdiag_tui.knowledge.causes import Entry
from infdiag_tui.model import Impact

ANY_CAUSE = "*"
PIPE = "|"
SPREAD = frozenset({"kubectl", "stern", "k9s", "helm", "log_files"})
"""Fields that stand for several arguments: they must be an argument by themselves."""
SINGLE = frozenset(
    {
        *("namespace", "pod", "container", "node", "deployment", "release", "selector"),
        *("url", "health_url", "host", "port", "host_port", "served_model", "body_file", "onnx_file", "pid"),
    },
)
"""Fields that are one value."""
FIELD = re.compile(r"(?<!%)\{([a-z0-9_]+)\}")
"""A field in an argument; `%{...}` is curl's own."""


class Place(StrEnum):
    """Where a tool was found, and so where its command runs."""

    HOST = "host"
    """This machine."""
    BESIDE = "beside"
    """The model's container, or its host over SSH."""


class Command(Entry):
    """One command of a tool, as a template; an `interactive` one takes over the terminal."""

    title: str
    causes: tuple[str, ...] = Field(min_length=1)
    command: tuple[str, ...] = Field(min_length=1)
    where: tuple[Place, ...] = ()
    also: tuple[str, ...] = ()
    impact: Impact = Impact.READ_ONLY
    interactive: bool = False
    note: str = ""


class Tool(Entry):
    """A program and what it is for."""

    purpose: str
    where: tuple[Place, ...] = Field(min_length=1)
    commands: tuple[Command, ...] = Field(min_length=1)


class Pack(Entry):
    """A skill pack and what it is for; `say` is how it is used."""

    purpose: str
    causes: tuple[str, ...] = Field(min_length=1)
    say: str


class Catalog(Entry):
    """All of them by name."""

    tools: Mapping[str, Tool]
    packs: Mapping[str, Pack]

    def wanted(self, place: Place) -> tuple[str, ...]:
        """Names of the programs to look for there."""
        names: dict[str, None] = {}
        for name, tool in self.tools.items():
            for command in tool.commands:
                if place in (command.where or tool.where):
                    names.update(dict.fromkeys((name, *command.also)))
        return tuple(names)


@cache
def catalog() -> Catalog:
    """The companions of the knowledge."""
    text = (files("infdiag_tui.knowledge") / "companions.toml").read_text(encoding="utf-8")
    return Catalog.model_validate(tomllib.loads(text))
