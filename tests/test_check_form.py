"""A form and its parameters: what the screen is handed, and what is typed back."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from checks.base import Params
from infdiag_tui.check_form import FormError, form_fields, read_form
from infdiag_tui.model import FieldKind


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Example(Params):
    requests: int = Field(100, ge=1, description="how many")
    reference: Path | None = None
    names: tuple[str, ...] = ()
    stage: dict[str, str] = Field(default_factory=dict)
    exact: bool = False
    mode: Literal["open", "closed"] = "open"
    colour: Colour = Colour.RED
    nested: dict[str, list[int]] | None = None

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if self.mode == "closed" and self.exact:
            raise ValueError("exact needs the open mode")
        return self


class Needy(Params):
    must: int


class Beside(Params):
    in_pod: bool = Field(False, json_schema_extra={"needs": "container"})
    pod_file: tuple[str, ...] = Field((), json_schema_extra={"needs": "beside"})
    file: str = ""


def typed(configured: dict[str, Any] | None = None, **values: str) -> Example:
    read = read_form(Example, configured or {}, values)
    assert isinstance(read, Example)
    return read


def problems(configured: dict[str, Any] | None = None, **values: str) -> dict[str, str]:
    with pytest.raises(FormError) as caught:
        read_form(Example, configured or {}, values)
    return dict(caught.value.problems)


def test_every_kind_of_field_is_described() -> None:
    fields = {field.name: field for field in form_fields(Example, {"exact": True, "stage": {"a": "b c"}})}
    assert (fields["requests"].kind, fields["requests"].default) == (FieldKind.TEXT, "100")
    assert (fields["exact"].kind, fields["exact"].value) == (FieldKind.SWITCH, "true")
    assert fields["mode"].choices == ("open", "closed")
    assert (fields["colour"].choices, fields["colour"].default) == (("red", "blue"), "red")
    assert (fields["stage"].kind, fields["stage"].value) == (FieldKind.PAIRS, "'a=b c'")
    assert fields["reference"].default == ""


def test_what_is_typed_beats_the_config_and_an_emptied_field_is_the_default() -> None:
    configured = {"requests": 7, "names": ["x"], "colour": "blue"}
    assert typed(configured) == Example(requests=7, names=("x",), colour=Colour.BLUE)
    assert typed(configured, requests=" 9 ", names="", colour="red", stage="a=1 'b=2 3'", exact="true") == Example(
        requests=9, stage={"a": "1", "b": "2 3"}, exact=True
    )


def test_a_configs_value_without_a_text_of_its_own_passes_unchanged() -> None:
    configured = {"nested": {"a": [1, 2]}}
    shown = {field.name: field.value for field in form_fields(Example, configured)}
    assert typed(configured, **shown).nested == {"a": [1, 2]}


def test_mistakes_are_told_by_field_and_those_of_several_apart() -> None:
    assert "greater than or equal to 1" in problems(requests="0")["requests"]
    assert "KEY=VALUE" in problems(stage="a")["stage"]
    assert problems(mode="closed", exact="true") == {"": "exact needs the open mode."}


def test_an_unknown_key_of_the_config_is_named() -> None:
    assert problems({"request": 5}) == {"": "request: unknown key. Did you mean 'requests'?"}


def test_a_parameter_without_a_default_is_asked_for() -> None:
    with pytest.raises(FormError) as caught:
        read_form(Needy, {}, {"must": ""})
    assert caught.value.problems == {"must": "is missing. Add it."}
    assert form_fields(Needy, {})[0].default == ""


@given(st.lists(st.text(min_size=1).filter(lambda text: text.isprintable())), st.integers(1, 10**9))
def test_what_the_form_shows_means_what_the_config_says(names: list[str], requests: int) -> None:
    configured = {"names": names, "requests": requests}
    shown = {field.name: field.value for field in form_fields(Example, configured)}
    assert read_form(Example, {}, shown) == Example(names=tuple(names), requests=requests)


def test_a_field_says_why_what_it_needs_is_not_there() -> None:
    fields = form_fields(Beside, {}, {"container": "no container", "beside": ""})
    assert {one.name: one.lacking for one in fields} == {"in_pod": "no container", "pod_file": "", "file": ""}
