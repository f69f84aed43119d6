"""Literals that a regular expression requires, found by reading it: what a cheap search looks for before it is run."""

from __future__ import annotations

MIN_CHARACTERS = 4
"""Shorter literals stand in every other line and would spare nothing."""

_CLASSES = frozenset("dDwWsSbBAZ")
_UNBOUNDED_OF = ("\\d", "\\s")
"""What may repeat without bound: a run of it holds no literal, so that no start can lie within another's run."""


class PatternError(ValueError):
    """A pattern that the library does not take; the message says why and what to write."""


def required_literals(pattern: str) -> tuple[str, ...]:
    """Literals in lower case of which every match of `pattern` holds one at least: the longest of each alternative.

    Refused is what could take long on a hostile line: a repeated group, and anything but digits and blanks repeated
    without bound.

    Raises:
        PatternError: where an alternative has no literal of `MIN_CHARACTERS`, or holds what is refused.
    """
    found: list[str] = []
    for alternative in _alternatives(_atoms(pattern)):
        best: tuple[str, ...] = (max(_runs(alternative), key=len).lower(),)
        if _shortest(best) < MIN_CHARACTERS:
            groups = [_of_group(atom) for atom, quantifier in alternative if not quantifier and _is_taken(atom)]
            best = max(groups, key=_shortest, default=best)
        if _shortest(best) < MIN_CHARACTERS:
            raise PatternError(f"{pattern!r} needs {MIN_CHARACTERS} literal characters in a row in each alternative")
        found += best
    return tuple(dict.fromkeys(found))


def _shortest(literals: tuple[str, ...]) -> int:
    return min(len(one) for one in literals)


def _is_taken(atom: str) -> bool:
    """True for a group that must match, as opposed to one that looks ahead or behind."""
    return atom.startswith("(") and not atom.startswith(("(?=", "(?!", "(?<"))


def _of_group(group: str) -> tuple[str, ...]:
    try:
        return required_literals(_inside(group))
    except PatternError:
        return ("",)


def _atoms(pattern: str) -> list[tuple[str, str]]:
    """The pattern's atoms at the top level as (atom, quantifier); groups and sets are one atom each."""
    atoms: list[tuple[str, str]] = []
    at = 0
    while at < len(pattern):
        start = at
        at = _end_of_atom(pattern, at)
        atom = pattern[start:at]
        start = at
        at = _end_of_quantifier(pattern, at)
        quantifier = pattern[start:at]
        if atom.startswith("("):
            if quantifier not in ("", "?", "??"):
                raise PatternError(f"{pattern!r} repeats a group; write out what may come again")
            _atoms(_inside(atom))  # what is refused is refused in groups as well
        elif _is_unbounded(quantifier) and atom not in _UNBOUNDED_OF:
            raise PatternError(f"{pattern!r} repeats {atom!r} without bound; give one, as in .{{0,200}}")
        atoms.append((atom, quantifier))
    return atoms


def _is_unbounded(quantifier: str) -> bool:
    return quantifier[:1] in ("*", "+") or ",}" in quantifier


def _end_of_atom(pattern: str, at: int) -> int:
    first = pattern[at]
    if first == "\\":
        return at + 2
    if first == "[":
        at += 2 if pattern[at + 1 : at + 2] == "^" else 1
        at += 1  # a bracket that comes first is no end
        while pattern[at] != "]":
            at += 2 if pattern[at] == "\\" else 1
        return at + 1
    if first == "(":
        depth = 0
        while True:
            if pattern[at] == "(":
                depth += 1
            elif pattern[at] == ")":
                depth -= 1
                if not depth:
                    return at + 1
            at = _end_of_atom(pattern, at) if pattern[at] in "\\[" else at + 1
    return at + 1


def _end_of_quantifier(pattern: str, at: int) -> int:
    if pattern[at : at + 1] in ("*", "+", "?"):
        at += 1
    elif pattern[at : at + 1] == "{":
        at = pattern.index("}", at) + 1
    else:
        return at
    return at + 1 if pattern[at : at + 1] in ("?", "+") else at


def _inside(group: str) -> str:
    """What stands in a group, without `?:`, `?!` and the like."""
    inside = group[1:-1]
    for opening in ("?:", "?=", "?!", "?<=", "?<!"):
        if inside.startswith(opening):
            return inside[len(opening) :]
    if inside.startswith("?"):
        raise PatternError(f"{group!r}: only plain groups, (?:...) and looking ahead or behind are taken")
    return inside


def _alternatives(atoms: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = [[]]
    for atom in atoms:
        if atom[0] == "|":
            found.append([])
        else:
            found[-1].append(atom)
    return found


def _runs(atoms: list[tuple[str, str]]) -> list[str]:
    runs = [""]
    for atom, quantifier in atoms:
        literal = atom if len(atom) == 1 and atom not in ".^$" else ""
        if len(atom) == 2 and atom[0] == "\\" and atom[1] not in _CLASSES:
            if atom[1].isalnum():
                raise PatternError(f"{atom!r} is not taken; write the character itself or a set")
            literal = atom[1]
        if literal and not quantifier:
            runs[-1] += literal
        else:
            runs.append("")
    return runs
