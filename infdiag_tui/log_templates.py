"""Finds the templates that log lines were written from, so that a thousand errors are shown as the few that they are.

The algorithm is Drain (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017): masks
replace what is known to vary, a tree of fixed depth (number of tokens, first token) leads to a few candidates, and the
most similar one takes the line; where they differ its template becomes `<*>`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from operator import eq

VARIABLE = "<*>"
"""What stands in a template where its lines differ and no mask knew why."""

_SIMILARITY = 0.4
"""Share of equal tokens from which a line belongs to a template: the default of the authors' own code."""

_MAX_FIRST_TOKENS = 100
"""Drain's `maxChild`: further first tokens of lines of one length share a leaf."""

_MAX_CANDIDATES = 50
"""Templates in one leaf. Drain has no such bound; without it lines that resemble nothing slow each other down."""

_MAX_TOKENS = 64
"""The rest of a longer line is one token."""

_REMEMBERED = 20_000
_REMEMBERED_CHARACTERS = 64

_MASKS = {
    "ID": r"(?<![\w-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-])",
    "ADDRESS": r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[0-9]+)?(?![\w.])",
    "HEX": r"(?<![\w.])0x[0-9a-fA-F]+|(?<!\w)(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}(?!\w)",
    # With fraction and exponent, or all dots of a version; `float16` and `resnet50` are names.
    "NUMBER": r"(?<![A-Za-z0-9])[0-9]+(?:\.[0-9]+)*(?:[eE][+-]?[0-9]+)?",
}
_MASK = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _MASKS.items()))
_DIGIT = re.compile("[0-9]")


class _Masked(dict[str, str]):
    """Tokens with what varies masked; the words of logs come again and again, so they are remembered, within bounds."""

    def __missing__(self, token: str) -> str:
        masked = token if token.isalpha() else _MASK.sub(lambda found: f"<{found.lastgroup}>", token)
        if len(token) <= _REMEMBERED_CHARACTERS:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[token] = masked
        return masked


class LogTemplate:
    """What lines of one kind have in common. It belongs to its miner, which counts and generalises it."""

    __slots__ = ("_tokens", "_variables", "count", "leaf")

    def __init__(self, tokens: tuple[str, ...], leaf: tuple[int, str | None]) -> None:
        self.count = 0
        """How many lines it took."""
        self.leaf = leaf
        """Where it hangs in the tree: its number of tokens, and its lines' first one (None: any)."""
        self._tokens: list[str | None] = list(tokens)
        self._variables = 0

    @property
    def text(self) -> str:
        """The template as it is now: masks as `<NUMBER>`, `<HEX>`, `<ID>`, `<ADDRESS>`, other differences as `<*>`."""
        return " ".join(VARIABLE if token is None else token for token in self._tokens)

    def likeness(self, tokens: tuple[str, ...]) -> tuple[int, int]:
        """How many tokens are equal, and how many may be anything; the larger, the more alike."""
        return sum(map(eq, self._tokens, tokens)), self._variables

    def take(self, tokens: tuple[str, ...]) -> None:
        """Generalises the template so that it covers the line too."""
        self._tokens = [mine if mine == token else None for mine, token in zip(self._tokens, tokens, strict=True)]
        self._variables = self._tokens.count(None)


class TemplateMiner:
    """Assigns lines to templates, one by one, in bounded memory: the templates unseen for longest are forgotten."""

    def __init__(self, max_templates: int = 2_000) -> None:
        self._max_templates = max_templates
        self._masked = _Masked()
        self._tree: dict[int, dict[str | None, list[LogTemplate]]] = {}
        self._recent: OrderedDict[LogTemplate, None] = OrderedDict()
        # Lines that are equal once masked go to the same template without a search.
        self._known: dict[tuple[str, ...], LogTemplate] = {}

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, line: str) -> LogTemplate:
        """The template that the line belongs to from now on.

        Args:
            line: a line of text; bounded by the caller, since the work grows with its length.
        """
        tokens = tuple(map(self._masked.__getitem__, line.split(None, _MAX_TOKENS - 1)))
        found = self._known.get(tokens)
        if found is None or found not in self._recent:
            found = self._search(tokens)
            if found is None:
                found = self._plant(tokens)
            else:
                found.take(tokens)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[tokens] = found
        self._recent.move_to_end(found)
        found.count += 1
        return found

    def _search(self, tokens: tuple[str, ...]) -> LogTemplate | None:
        leaves = self._tree.get(len(tokens))
        if leaves is None:
            return None
        leaf = leaves.get(tokens[0] if tokens else None) or leaves.get(None)
        if leaf is None:
            return None
        best = max(leaf, key=lambda one: one.likeness(tokens))
        return best if best.likeness(tokens)[0] >= _SIMILARITY * len(tokens) else None

    def _plant(self, tokens: tuple[str, ...]) -> LogTemplate:
        leaves = self._tree.setdefault(len(tokens), {})
        first = tokens[0] if tokens else None
        if first is not None and first not in leaves and (_DIGIT.search(first) or len(leaves) >= _MAX_FIRST_TOKENS):
            first = None
        leaf = leaves.setdefault(first, [])
        planted = LogTemplate(tokens, (len(tokens), first))
        leaf.append(planted)
        self._recent[planted] = None
        if len(leaf) > _MAX_CANDIDATES:
            oldest = set(leaf)
            self._forget(next(one for one in self._recent if one in oldest))
        elif len(self._recent) > self._max_templates:
            self._forget(next(iter(self._recent)))
        return planted

    def _forget(self, template: LogTemplate) -> None:
        del self._recent[template]
        length, first = template.leaf
        leaves = self._tree[length]
        leaves[first].remove(template)
        if not leaves[first]:
            del leaves[first]
            if not leaves:
                del self._tree[length]
