"""Cut a rendered question into words, and give every token to exactly one of them."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from lorabench.models.rendering import Rendered
from lorabench.results import Word
from lorabench.results.attributions import Role

_SPECIAL = re.compile(r"<[|_/]?[^<>\s]+[|_]?>|\[[A-Z/][A-Z0-9_/]*\]")
_UNSPACED = re.compile(
    "[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""Kana, Chinese characters and their marks: written without spaces, so words are cut where tokens are."""


def words_of(rendered: Rendered) -> tuple[Word, ...]:
    """Return the words of a rendered question, in order, with their tokens and roles.

    A word is a run without white space, with quotes, brackets and punctuation at its ends cut
    off as words of their own, and cut where the trigger or the prompt begins or ends. A
    special token such as "<|im_end|>" is one word, and so is a run of line breaks that has
    tokens. Chinese and Japanese runs are cut where their tokens are.

    A token that straddles two words belongs to the one that holds most of its visible
    characters, the first of two equals; the other may then have no token at all. Pieces of one
    character (emoji) stay together. Space tokens go with the word they introduce.
    """
    edges = _roles(rendered)
    spans = list(_word_spans(rendered, edges))
    visible = [_owner(rendered, spans, i) for i in range(len(rendered.ids))]
    owners = _settle_spaces(rendered, spans, edges, visible)
    tokens: dict[tuple[int, int], list[int]] = {span: [] for span in spans}
    for i, span in enumerate(owners):
        tokens.setdefault(span, []).append(i)
    words = (
        Word(
            text=rendered.text[start:end],
            start=start,
            end=end,
            tokens=tuple(held),
            role=_role_at(edges, (start, end)),
        )
        for (start, end), held in sorted(tokens.items())
    )
    return tuple(w for w in words if w.tokens or w.role != "template")


def opens(character: str) -> bool:
    """Return whether a mark may stand before a word: a bracket, a quote, an inverted mark."""
    return unicodedata.category(character) in ("Ps", "Pi", "Pf") or character in "\"'*`\u00bf\u00a1"


def closes(character: str) -> bool:
    """Return whether a mark may stand after a word: a bracket, a quote, a stop, but no sign as in "C#"."""
    category = unicodedata.category(character)
    return (
        category in ("Pe", "Pf", "Pi")
        or character == "`"
        or (category == "Po" and character not in "#@%&/\\")
    )


Span = tuple[int, int]
Edges = list[tuple[int, Role]]


def _roles(rendered: Rendered) -> Edges:
    """Return where each role begins."""
    edges: Edges = [(0, "template"), (rendered.user[0], "user")]
    if rendered.trigger is not None:
        edges += [(rendered.trigger[0], "trigger"), (rendered.trigger[1], "user")]
    return [*edges, (rendered.user[1], "template")]


def _role_at(edges: Edges, span: Span) -> Role:
    start, end = span
    if start == end:  # a token without characters, such as a BOS mark in front
        return "template"
    return edges[bisect_right([at for at, _ in edges], start) - 1][1]


def _word_spans(rendered: Rendered, edges: Edges) -> Iterator[Span]:
    """Yield the spans of all visible words."""
    cuts = {at for at, _ in edges}
    marks = [s for s in rendered.spans if _SPECIAL.fullmatch(rendered.text[slice(*s)])]
    cuts.update(at for span in marks for at in span)
    cuts.update(_unspaced_cuts(rendered))
    whole = set(marks)
    for run in re.finditer(r"\S+", rendered.text):
        inner = sorted(c for c in cuts if run.start() < c < run.end()) if cuts else []
        for span in pairwise([run.start(), *inner, run.end()]):
            yield from [span] if span in whole else _peeled(rendered.text, span)


def _unspaced_cuts(rendered: Rendered) -> set[int]:
    """Return the token starts beside a character of a script without spaces."""
    text = rendered.text
    return {
        start
        for start, end in rendered.spans
        if start < end and _UNSPACED.search(text[max(start - 1, 0) : start + 1])
    }


def _peeled(text: str, span: Span) -> Iterator[Span]:
    """Yield a run's opening marks, its core and its closing marks, those that exist."""
    run = text[slice(*span)]
    head = next((k for k, c in enumerate(run) if not opens(c)), len(run))
    tail = next((k for k in range(len(run), 0, -1) if not closes(run[k - 1])), 0)
    cuts = [0, head, tail, len(run)] if head < tail else [0, len(run)]  # else marks alone
    yield from ((span[0] + a, span[0] + b) for a, b in pairwise(cuts) if a < b)


def _owner(rendered: Rendered, spans: Sequence[Span], token: int) -> Span | None:
    """Return the word with most visible characters of a token; None for white space."""
    start, end = rendered.spans[token]
    best, most = None, 0
    k = max(bisect_right(spans, (start, len(rendered.text))) - 1, 0)
    while k < len(spans) and spans[k][0] < end:
        shared = min(end, spans[k][1]) - max(start, spans[k][0])
        if shared > most:
            best, most = spans[k], shared
        k += 1
    return best


def _settle_spaces(
    rendered: Rendered, spans: Sequence[Span], edges: Edges, owners: Sequence[Span | None]
) -> list[Span]:
    """Give a word to every token without a visible character."""
    settled: list[Span] = []
    lines: Span | None = None  # the run of line breaks under way
    for i, ((start, end), owner) in enumerate(zip(rendered.spans, owners, strict=True)):
        if owner is None and start == end:  # a further piece of the character before
            owner = settled[-1] if settled else (0, 0)
        elif owner is None and "\n" in rendered.text[start:end]:
            same = lines is not None and lines[1] == start and _same_role(edges, lines, (start, end))
            grown = (lines[0], end) if same and lines is not None else (start, end)
            settled = [grown if s == lines else s for s in settled] if same else settled
            owner = lines = grown
        elif owner is None:
            owner = _neighbour(rendered.spans[i], spans, edges)
        settled.append(owner)
    return settled


def _neighbour(space: Span, spans: Sequence[Span], edges: Edges) -> Span:
    """Return the word after a space, or before it, of the same role; else the space itself."""
    k = bisect_right(spans, space)
    for j in (k, k - 1):
        if 0 <= j < len(spans) and _same_role(edges, spans[j], space):
            return spans[j]
    return space


def _same_role(edges: Edges, a: Span, b: Span) -> bool:
    return _role_at(edges, a) == _role_at(edges, b)
