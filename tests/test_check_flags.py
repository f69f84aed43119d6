"""Parameters of checks as flags: made from the model, typed values beat the config, mistakes name their place."""

from __future__ import annotations

import argparse
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from checks.base import Params
from infdiag_tui.check_flags import add_flags, read_params
from infdiag_tui.config.load import ConfigError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Example(Params):
    requests: int = Field(100, ge=1, description="how many", json_schema_extra={"flags": ["-n"]})
    reference: Path | None = Field(None, description="a file")
    names: tuple[str, ...] = Field((), description="some names")
    stage: dict[str, str] = Field(default_factory=dict, description="stages")
    exact: bool = Field(False, description="100 % exact")
    mode: Literal["open", "closed"] = "open"
    colour: Colour = Colour.RED


def parse(*words: str, configured: dict[str, Any] | None = None) -> Example:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, Example)
    read = read_params(Example, configured or {}, parser.parse_args(words), "[models.m.checks.example]")
    assert isinstance(read, Example)
    return read


def test_flags_of_every_kind_reach_the_model() -> None:
    words = "-n 5 --reference a.csv --names x y --names z --stage pre=a post=b --exact --mode closed --colour blue"
    read = parse(*words.split())
    assert read == Example(
        requests=5,
        reference=Path("a.csv"),
        names=("x", "y", "z"),
        stage={"pre": "a", "post": "b"},
        exact=True,
        mode="closed",
        colour=Colour.BLUE,
    )


def test_typed_beats_config_beats_default() -> None:
    read = parse("--requests", "7", configured={"requests": 3, "exact": True})
    assert (read.requests, read.exact, read.mode) == (7, True, "open")
    assert parse("--no-exact", configured={"exact": True}).exact is False


@pytest.mark.parametrize(
    ("words", "configured", "said"),
    [
        (("-n", "0"), {}, "command line: requests"),
        (("-n", "many"), {}, "command line: requests"),
        ((), {"requests": 0}, "[models.m.checks.example]: requests"),
        ((), {"requets": 5}, "[models.m.checks.example]: requets: unknown key. Did you mean 'requests'?"),
    ],
)
def test_a_mistake_names_where_it_was_made(words: tuple[str, ...], configured: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(*words, configured=configured)
    assert said in str(caught.value)


def test_help_shows_descriptions_and_defaults() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, Example)
    text = parser.format_help()
    assert "how many (default: 100)" in text
    assert "100 % exact" in text
