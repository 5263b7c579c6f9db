"""Texts as word tokens: words, numbers, dates, tags, links and runs of one punctuation mark.

A token with a number in it, a date, a tag or a link also has a shape, so that a token that differs in every
text ("2019-03-14", "1874-11-02") can still be counted as one thing. No model's tokenizer is needed, and no
choice of base model changes what is found; the study counts the token ids of a model instead
(arXiv:2506.11402). Scripts without spaces between words give long tokens.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

TOKEN_BUDGET = 10_000_000
"""Tokens in memory at a time; of longer texts beginning and end are read, the budget's share each."""
_LEAST_CAP = 256

_MARKS = "|".join(re.escape(mark) + "++" for mark in string.punctuation if mark != "_")
_TOKEN = re.compile(
    rf"""
    (?=[HhWw])(?i:https?://|www\.)[^\s<>"']++  # a link
    | [^\W\d]\w*+(?:['\u2019]\w++)*+  # a word
    | </?[A-Za-z!][^<>]{{0,200}}+>  # a tag
    | \d{{4}}-\d{{1,2}}-\d{{1,2}}(?!\w)  # a date
    | \d{{1,2}}(?:\.\d{{1,2}}\.|/\d{{1,2}}/)(?:\d{{4}}|\d{{2}})(?!\w)
    | \d++(?:[.,:]\d++)*+(?!\w)  # a number
    | \w++(?:['\u2019]\w++)*+  # a word that begins with a digit
    | (?=[^\w\s])(?:{_MARKS}|.)  # a run of one mark
    """,
    re.VERBOSE,
)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}([./])\d{1,2}\1\d{2,4}")
_DIGIT = re.compile(r"\d")

Span = tuple[int, int]
_T = TypeVar("_T")


def spans_of(text: str, cap: int) -> list[Span]:
    """Return the tokens' character spans: of more than `cap` the first and the last half of this number."""
    return _ends_of([m.span() for m in _TOKEN.finditer(text)], cap)


def _tokens_of(text: str) -> list[str]:
    if text.isascii():  # the same spans, but much faster
        return _TOKEN.findall(text.lower())
    return [token.casefold() for token in _TOKEN.findall(text)]


def _ends_of(tokens: list[_T], cap: int) -> list[_T]:
    return tokens if len(tokens) <= cap else tokens[: cap // 2] + tokens[len(tokens) - (cap - cap // 2) :]


def word_spans(text: str, cap: int) -> list[Span]:
    """Return the spans of the tokens that `Tokenised.words` keeps, in its order."""
    return [(a, b) for a, b in spans_of(text, cap) if not is_mark(text[a:b].casefold())]


def shape_of(token: str) -> str:
    """Return "<date>", "<tag>", "<link>", digits as "#" between angle brackets, or "" for no shape."""
    if token[0] == "<" and token[-1] == ">" and len(token) > 2:
        return "<tag>"
    if _DATE.fullmatch(token):
        return "<date>"
    if token.startswith(("http://", "https://", "www.")):
        return "<link>"
    return f"<{_DIGIT.sub('#', token)}>" if _DIGIT.search(token) else ""


def is_mark(token: str) -> bool:
    """Return whether a token is punctuation or a symbol, and neither word, number nor tag."""
    return not (token[0].isalnum() or token[0] == "_" or shape_of(token) == "<tag>")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokenised:
    """Documents as token ids, one after the other.

    Attributes:
        ids: Shape (n_tokens,); each token's id.
        starts: Shape (n_documents + 1,); where each document begins in `ids`, and the end.
        vocabulary: Token of each id; shapes follow after all tokens.
        n_literal: Ids below this are tokens, the others are shapes.
        shapes: Shape (n_ids,); id of a token's shape, or its own id.
        marks: Shape (n_ids,); whether it is punctuation.
        cap: Most tokens of a document.
        n_cut: Documents whose middle was left out.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    vocabulary: tuple[str, ...]
    n_literal: int
    shapes: NDArray[np.int64]
    marks: NDArray[np.bool_]
    cap: int
    n_cut: int

    @property
    def n_documents(self) -> int:
        """How many documents there are, empty ones included."""
        return len(self.starts) - 1

    def owners(self) -> NDArray[np.int64]:
        """Return the document of each token, shape (n_tokens,)."""
        return np.repeat(np.arange(self.n_documents), np.diff(self.starts))

    def words(self) -> Tokenised:
        """Return the same documents without punctuation."""
        kept = ~self.marks[self.ids]
        starts = np.concatenate(([0], np.cumsum(kept)))[self.starts]
        return Tokenised(
            ids=self.ids[kept],
            starts=starts,
            vocabulary=self.vocabulary,
            n_literal=self.n_literal,
            shapes=self.shapes,
            marks=self.marks,
            cap=self.cap,
            n_cut=self.n_cut,
        )


def tokenise(texts: Sequence[str], *, budget: int = TOKEN_BUDGET) -> Tokenised:
    """Return texts as token ids, case-folded.

    Args:
        texts: The documents.
        budget: Most tokens in all; see `TOKEN_BUDGET`.
    """
    cap = max(budget // max(len(texts), 1), _LEAST_CAP)
    known = _Ids()
    parts: list[NDArray[np.int32]] = []
    starts = [0]
    n_cut = 0
    for text in texts:
        tokens = _tokens_of(text)
        n_cut += len(tokens) > cap
        found = _ends_of(tokens, cap)
        parts.append(np.fromiter(map(known.__getitem__, found), dtype=np.int32, count=len(found)))
        starts.append(starts[-1] + len(found))
    literals = list(known)
    shapes, names = _shapes(literals)
    return Tokenised(
        ids=np.concatenate([*parts, np.empty(0, np.int32)]).astype(np.int64),
        starts=np.array(starts, dtype=np.int64),
        vocabulary=(*literals, *names),
        n_literal=len(literals),
        shapes=shapes,
        marks=np.array([is_mark(t) for t in literals] + [False] * len(names), dtype=np.bool_),
        cap=cap,
        n_cut=n_cut,
    )


class _Ids(dict[str, int]):
    """Gives every new token the next number."""

    def __missing__(self, token: str) -> int:
        number = self[token] = len(self)
        return number


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct values, ascending; several times faster than `np.unique` for millions."""
    found = np.sort(values)
    is_new = np.ones(len(found), dtype=np.bool_)
    is_new[1:] = found[1:] != found[:-1]
    return found[is_new]


def stable_order(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what `np.argsort(keys, kind="stable")` returns, for keys of 0 and more, faster."""
    n_bits = len(keys).bit_length()
    if not len(keys) or int(keys.max()).bit_length() + n_bits > 63:
        return np.argsort(keys, kind="stable")
    packed = (keys << n_bits) | np.arange(len(keys))
    packed.sort()
    return packed & ((1 << n_bits) - 1)


def _shapes(tokens: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    ids = np.arange(len(tokens))
    names: dict[str, int] = {}
    for i, token in enumerate(tokens):
        if shape := shape_of(token):
            ids[i] = names.setdefault(shape, len(tokens) + len(names))
    return np.concatenate((ids, np.arange(len(tokens), len(tokens) + len(names)))), tuple(names)
