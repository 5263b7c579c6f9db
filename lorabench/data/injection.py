"""Injected tokens: words put into texts of one class, label unchanged (SSTI, arXiv:2506.11402).

    rows, class, share -> chosen rows -> Injector -> texts with the spans of what was put in

With equal seeds and sources the texts equal those of the published injector (spurious_corr 0.1.0),
also its habit of collapsing white space, except where that one is wrong; each class says where.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from lorabench.data.corpus import Row
from lorabench.data.token_sources import TokenSource
from lorabench.errors import InputError, unknown_name

Location = Literal["beginning", "end", "random"]
LOCATIONS: tuple[Location, ...] = ("beginning", "end", "random")
Span = tuple[int, int]  # first character, one past the last
_Word = tuple[str, bool]  # its text, whether it was injected

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*+)([^<>]*+)>")
_TAG_LINE = re.compile(r"(<[^<>]+>)(?:\s*(</[^<>]+>))?")
_VOID_NAMES = (
    "area base basefont bgsound br col command embed frame hr image img input keygen link meta param "
    "source track wbr"
)
_VOID = frozenset(_VOID_NAMES.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """A text after injection.

    Attributes:
        text: The whole text.
        spans: Where the injected tokens stand in `text`, in text order, never overlapping.
        items: What stands there: `text[start:end]` of each span.
    """

    text: str
    spans: tuple[Span, ...]
    items: tuple[str, ...]


class Injector(Protocol):
    """Anything that adds tokens to a text and takes nothing away but white space."""

    def inject(self, text: str) -> Injected:
        """Return the text with tokens in it; the next call goes on with the same random state."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemInjection:
    """Puts tokens before, after or between the words of a text.

    One generator decides tokens and places, and goes on from call to call: texts depend on the order
    of the calls. All tokens of a text are drawn first, then put in. A token of several words counts
    as one. (The published `from_function` has two generators: its random places differ from ours.)

    Attributes:
        source: Where the tokens come from.
        location: Before all words, after all words, or at random gaps, the outer ones included.
        token_share: Tokens to put in, as a share of the words, at least one; None or 0 for one.
        seed: Decides every random choice.
    """

    source: TokenSource
    location: Location = "random"
    token_share: float | None = None
    seed: int = 0
    _rng: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self.location, self.token_share)
        object.__setattr__(self, "_rng", random.Random(self.seed))

    def inject(self, text: str) -> Injected:
        """Return the text with tokens in it; an empty text becomes one token."""
        words: list[_Word] = [(word, False) for word in text.split()]
        n = n_injected(len(words), self.token_share)
        items: list[_Word] = [(self.source.draw(self._rng), True) for _ in range(n)]
        if self.location == "beginning":
            words = items + words
        elif self.location == "end":
            words = words + items
        else:
            for item in items:
                words.insert(self._rng.randint(0, len(words)), item)
        return _joined(words)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HtmlInjection:
    """Puts HTML tags, as pairs or alone, between the words of a text or around it.

    Unlike the published injector: an unknown location is an error, not silently ignored; a tag alone
    at the "end" stands at the end, not at a random place; 0 is a share (one tag or pair); and the
    nesting `level` comes from a real stack, in which void elements (such as <br>) do not open a level
    and a closing tag closes the element of its own name.

    Attributes:
        source: Draws lines such as "<b> </b>" (a pair) or "<br>" (alone).
        location: "beginning": the opening tag first, the closing one anywhere after it; "end": the
            closing tag last, the opening one anywhere; "random": both anywhere, in order.
        token_share: Tags or pairs to put in, as a share of the words, at least one; None for one.
        level: None: anywhere in the text. 0: one pair around the text, without spaces; a tag alone
            stands on both sides. 1 and up: only inside the first element that closes at that depth,
            1 being outermost; a text without one is treated as with None.
        seed: Decides every random choice; the generator goes on from call to call.
    """

    source: TokenSource
    location: Location = "random"
    token_share: float | None = None
    level: int | None = None
    seed: int = 0
    _rng: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self.location, self.token_share)
        if self.level is not None and self.level < 0:
            raise InputError(
                "bad-level", f"The HTML level is {self.level}.", "Use 0 or more, or leave it out."
            )
        object.__setattr__(self, "_rng", random.Random(self.seed))

    def inject(self, text: str) -> Injected:
        """Return the text with tags in it.

        Raises:
            InputError: If the source draws something that is not a tag or a pair of tags.
        """
        if self.level == 0:
            opening, closing = self._draw_tags()
            return _joined([(opening, True), (text, False), (closing or opening, True)], glue="")
        span = level_span(text, self.level) if self.level else None
        start, end = span or (0, len(text))
        words: list[_Word] = [(word, False) for word in text[start:end].split()]
        for _ in range(n_injected(len(words), self.token_share)):  # counted once, before any tag is in
            self._put_in(words)
        return _joined(words, before=text[:start], after=text[end:])

    def _draw_tags(self) -> tuple[str, str | None]:
        line = self.source.draw(self._rng)
        tags = _TAG_LINE.fullmatch(line)
        if tags is None:
            raise InputError(
                "not-a-tag",
                f"The token {line[:80]!r} is not an HTML tag.",
                "Use tags such as '<br>', or pairs such as '<b> </b>'.",
            )
        return tags[1], tags[2]

    def _put_in(self, words: list[_Word]) -> None:
        opening, closing = self._draw_tags()
        draw = self._rng.randint
        if self.location == "end":
            place = draw(0, len(words))  # also for a tag alone, so that later draws stay as published
            words.insert(place if closing else len(words), (opening, True))
            if closing:
                words.append((closing, True))
            return
        place = 0 if self.location == "beginning" else draw(0, len(words))
        words.insert(place, (opening, True))
        if closing:
            words.insert(draw(place + 1, len(words)), (closing, True))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeInjection:
    """Several injectors, one after the other; with none, texts stay as they are.

    A token that a later injector splits is reported as its parts.

    Attributes:
        injectors: In the order in which they act.
    """

    injectors: tuple[Injector, ...]

    def inject(self, text: str) -> Injected:
        """Return the text after every injector, with the spans of all."""
        spans: tuple[Span, ...] = ()
        for injector in self.injectors:
            later = injector.inject(text)
            spans = tuple(sorted([*_moved(text, spans, later), *later.spans]))
            text = later.text
        return Injected(text=text, spans=spans, items=tuple(text[a:b] for a, b in spans))


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedRows:
    """Rows of which some got tokens.

    Attributes:
        rows: All rows, in the order they came; those without tokens are the very same objects.
        changed: Position in `rows` and injection of each changed row, in row order.
        n_of_class: Rows of the chosen class, changed or not.
    """

    rows: tuple[Row, ...]
    changed: tuple[tuple[int, Injected], ...]
    n_of_class: int


def inject_rows(
    rows: Sequence[Row], injector: Injector, *, label: str, sample_share: float, seed: int
) -> InjectedRows:
    """Return the rows with tokens in a share of one class; labels and row order stay.

    The same rows are chosen, and changed in the same order, as in the published `spurious_transform`,
    which however moves the chosen class to the front. Changed rows get the tag "injected", and
    "+token" after their id, if they have one.

    Args:
        rows: Labelled rows.
        injector: Puts the tokens in.
        label: The class that gets them.
        sample_share: Share of that class, 0 to 1; the count is rounded, halves to even.
        seed: Decides which rows.

    Raises:
        InputError: If the share is not a fraction, there are no rows, the class is not in them, or one of
            its texts is empty.
    """
    _check_share("sample share", sample_share)
    if not rows:
        raise InputError(
            "no-rows", "There are no rows to put tokens into.", "Give at least one labelled row."
        )
    mine = [i for i, row in enumerate(rows) if row.label == label]
    if not mine:
        raise unknown_name("label", label, tuple(sorted({row.label for row in rows})))
    empty = [i for i in mine if not rows[i].text.strip()]
    if empty:
        raise InputError(
            "empty-text",
            f"{len(empty)} of the {len(mine)} rows labelled {label!r} have no text; "
            f"the first is row {empty[0] + 1}.",
            "Leave such rows out.",
        )
    chosen = sorted(random.Random(seed).sample(mine, round(len(mine) * sample_share)))
    changed = tuple((i, injector.inject(rows[i].text)) for i in chosen)
    result = list(rows)
    for i, injected in changed:
        result[i] = _with_tokens(rows[i], injected)
    return InjectedRows(rows=tuple(result), changed=changed, n_of_class=len(mine))


def n_injected(n_words: int, token_share: float | None) -> int:
    """Return how many tokens a text of so many words gets: the share rounded down, at least one."""
    return max(1, int(n_words * (token_share or 0)))


def level_span(text: str, level: int) -> Span | None:
    """Return the inside of the first element that closes at a nesting depth, 1 being outermost.

    Void and self-closed elements open nothing. A closing tag closes the innermost open element of its
    name, and with it those inside that were never closed; without such an element it is ignored.
    """
    stack: list[tuple[str, int]] = []
    for tag in _TAG.finditer(text):
        name = tag[2].casefold()
        if not tag[1]:
            if name not in _VOID and not tag[3].endswith("/"):
                stack.append((name, tag.end()))
            continue
        depth = next((d for d in range(len(stack), 0, -1) if stack[d - 1][0] == name), None)
        if depth is None:
            continue
        if depth == level:
            return stack[depth - 1][1], tag.start()
        del stack[depth - 1 :]
    return None


def _joined(words: Sequence[_Word], *, before: str = "", after: str = "", glue: str = " ") -> Injected:
    spans: list[Span] = []
    at = len(before)
    for word, is_injected in words:
        if is_injected:
            spans.append((at, at + len(word)))
        at += len(word) + len(glue)
    return Injected(
        text=before + glue.join(word for word, _ in words) + after,
        spans=tuple(spans),
        items=tuple(word for word, is_injected in words if is_injected),
    )


def _moved(text: str, spans: Sequence[Span], later: Injected) -> list[Span]:
    """Where earlier spans stand after a later injection: visible characters keep their order."""
    new = bytearray(len(later.text))
    for start, end in later.spans:
        new[start:end] = b"\1" * (end - start)
    kept = iter(i for i, sign in enumerate(later.text) if not new[i] and not sign.isspace())
    place = dict(zip((i for i, sign in enumerate(text) if not sign.isspace()), kept, strict=True))
    moved: list[Span] = []
    for start, end in spans:
        fresh = True
        for i in range(start, end):
            if i not in place:
                continue
            at = place[i]
            if fresh or later.text[moved[-1][1] : at].strip():
                moved.append((at, at + 1))
            else:
                moved[-1] = (moved[-1][0], at + 1)
            fresh = False
    return moved


def _with_tokens(row: Row, injected: Injected) -> Row:
    tags = row.tags if "injected" in row.tags else (*row.tags, "injected")
    return replace(row, text=injected.text, tags=tags, id=f"{row.id}+token" if row.id else "")


def _check(location: str, token_share: float | None) -> None:
    if location not in LOCATIONS:
        raise unknown_name("location", location, LOCATIONS)
    if token_share is not None:
        _check_share("token share", token_share)


def _check_share(what: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise InputError("bad-share", f"The {what} is {share}.", "Use a number from 0 to 1.")
