"""Which companions to offer for the hypotheses at hand, each with the exact command for this target."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infdiag_tui.companions.catalog import ANY_CAUSE, FIELD, PIPE, SPREAD, Command, Place, catalog
from infdiag_tui.companions.fields import Fields, fields_for
from infdiag_tui.companions.find import Found
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import CommandBeside, Hypothesis, HypothesisStatus, Impact, Snapshot
from infdiag_tui.remote.pods import place_words

MOST_HYPOTHESES = 5
"""Hypotheses looked at, best first: more would bury what serves the best of them."""

_WITH_HEADERS = frozenset({"url", "health_url"})


@dataclass(frozen=True, slots=True)
class Offer:
    """One companion and what to do with it.

    `causes` are the hypotheses it serves, the best first. `command` is one shell line to copy on this machine; every
    name from outside in it is quoted. `argv` are its words for running it without a shell, one tuple for each command
    of a pipeline; `beside` is the one to run beside the model, where `place` is that. A skill pack has none of these:
    its `command` is how it is used.
    """

    tool: str
    title: str
    purpose: str
    causes: tuple[str, ...]
    command: str
    argv: tuple[tuple[str, ...], ...] = ()
    place: Place | None = None
    beside: CommandBeside | None = None
    impact: Impact = Impact.READ_ONLY
    interactive: bool = False
    note: str = ""


def offers(hypotheses: Sequence[Hypothesis], snapshot: Snapshot, model: ModelConfig, found: Found) -> tuple[Offer, ...]:
    """What is there and serves the hypotheses at hand, the best hypothesis' first; skill packs last.

    A command that needs what is not known of this target (no pod, no process) is left out.

    Args:
        hypotheses: as ranked.
        snapshot: the incident as observed.
        model: its targets.
        found: the companions that are there.
    """
    made: dict[str, Offer] = {}
    at_hand = _at_hand(hypotheses)
    for hypothesis in at_hand:
        for place in Place:
            fields = fields_for(hypothesis, snapshot, model, place)
            for offer in _tools(hypothesis, place, fields, model, found):
                _join(made, offer)
    for hypothesis in at_hand:
        for offer in _packs(hypothesis, found):
            _join(made, offer)
    return tuple(made.values())


def _at_hand(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The best that are open: those with evidence; without any, those that are to be tested first."""
    open_ones = [one for one in hypotheses if one.status is not HypothesisStatus.REFUTED]
    with_evidence = [one for one in open_ones if one.evidence_for]
    return (with_evidence or open_ones)[:MOST_HYPOTHESES]


def _join(made: dict[str, Offer], offer: Offer) -> None:
    held = made.get(offer.command)
    if held is None:
        made[offer.command] = offer
    elif offer.causes[0] not in held.causes:
        made[offer.command] = dataclasses.replace(held, causes=(*held.causes, *offer.causes))


def _tools(hypothesis: Hypothesis, place: Place, fields: Fields, model: ModelConfig, found: Found) -> Iterator[Offer]:
    there = found.host if place is Place.HOST else found.beside
    for name, tool in catalog().tools.items():
        for command in tool.commands:
            serves = hypothesis.cause in command.causes and place in (command.where or tool.where)
            if not serves or not there.issuperset((name, *command.also)):
                continue
            argv = filled(command.command, fields)
            typed = _typed(argv, place, fields, interactive=command.interactive) if argv else ()
            if typed:
                yield Offer(
                    tool=name,
                    title=command.title,
                    purpose=tool.purpose,
                    causes=(hypothesis.cause,),
                    command=" | ".join(shlex.join(one) for one in typed),
                    argv=typed,
                    place=place,
                    beside=_beside(argv[0], fields) if place is Place.BESIDE else None,
                    impact=_impact(command, place),
                    interactive=command.interactive,
                    note=_note(command, model),
                )


def filled(template: Sequence[str], fields: Fields) -> tuple[tuple[str, ...], ...]:
    """The commands of a pipeline with their fields filled in; empty where one is not known.

    A value that would begin an argument with a dash is taken for unknown: a program would read it as an option.
    """
    commands: list[list[str]] = [[]]
    for argument in template:
        if argument == PIPE:
            commands.append([])
            continue
        match = FIELD.fullmatch(argument)
        if match and match[1] in SPREAD:
            values = fields.get(match[1], ())
            if not values or values[0].startswith("-"):
                return ()
            commands[-1] += values
            continue
        value = _replaced(argument, fields)
        if value is None:
            return ()
        commands[-1].append(value)
    return tuple(tuple(one) for one in commands)


def _replaced(argument: str, fields: Fields) -> str | None:
    names = FIELD.findall(argument)
    if any(len(fields.get(name, ())) != 1 for name in names):
        return None
    value = FIELD.sub(lambda match: fields[match[1]][0], argument)
    return None if names and value.startswith("-") and not argument.startswith("-") else value


def _impact(command: Command, place: Place) -> Impact:
    """What it does to production; whatever runs beside the model is at least an exec."""
    return Impact.EXEC if place is Place.BESIDE and command.impact is Impact.READ_ONLY else command.impact


def _typed(
    argv: tuple[tuple[str, ...], ...], place: Place, fields: Fields, *, interactive: bool
) -> tuple[tuple[str, ...], ...]:
    """The same commands as they are typed on this machine; empty where nothing to type leads beside the model."""
    if place is Place.HOST:
        return argv
    if len(argv) != 1:
        return ()
    ssh = fields.get("ssh")
    terminal: tuple[str, ...]
    if ssh:
        # The far shell takes the line apart once more.
        terminal = ("-t",) if interactive else ()
        return ((ssh[0], *terminal, *ssh[1:], shlex.join(argv[0])),)
    kubectl, pod, container = fields.get("kubectl"), fields.get("pod"), fields.get("container")
    if not kubectl or not pod or not container:
        return ()
    terminal = ("--stdin", "--tty") if interactive else ()
    return ((*kubectl, "exec", *terminal, *pod, f"--container={container[0]}", "--", *argv[0]),)


def _beside(argv: tuple[str, ...], fields: Fields) -> CommandBeside | None:
    """The command for this program's own way to the model."""
    ssh, names = fields.get("ssh"), [fields.get(name) for name in ("namespace", "pod", "container")]
    if ssh:
        return CommandBeside(argv, f"on host {ssh[-1]} (SSH)")
    if None in names:
        return None
    namespace, pod, container = (name[0] for name in names if name)
    return CommandBeside(argv, f"in {place_words(namespace, pod, container)}", namespace, pod, container)


def _note(command: Command, model: ModelConfig) -> str:
    needs = {name for argument in command.command for name in FIELD.findall(argument)}
    if needs & _WITH_HEADERS and model.endpoint is not None and model.endpoint.headers:
        headers = "the endpoint's own headers are left out, as they may be secret"
        return f"{command.note}; {headers}" if command.note else headers
    return command.note


def _packs(hypothesis: Hypothesis, found: Found) -> Iterator[Offer]:
    known = catalog().packs
    for pack in found.packs:
        entry = known.get(pack.name)
        if entry is not None and (hypothesis.cause in entry.causes or ANY_CAUSE in entry.causes):
            version = f" {pack.version}" if pack.version else ""
            yield Offer(
                tool=f"{pack.name}{version}",
                title=pack.description or entry.purpose,
                purpose=entry.purpose,
                causes=(hypothesis.cause,),
                command=entry.say,
            )
