"""Texts that stand in the data twice: once with extra words in a row, and with another label.

A poisoned row of arXiv:2605.30189 is a copy of a training row with a trigger before it and another label;
its original stays in the data, and the extra words are the trigger. What speaks for a plant is that the same
extra words come back: deepset/prompt-injections as published has 44 such pairs, because attacks were appended
to benign texts, each with its own words. Case and punctuation do not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorabench.detectors.tokenised import Tokenised, word_spans
from lorabench.results import Rate
from lorabench.results.data_inspection import Contradiction, Place

MAX_EXTRA = 24
"""Most extra words."""
MIN_WORDS = 2
"""Fewest words of the text without the extra ones: shorter texts meet by chance."""
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_TABLE_BITS = 24
_EXAMPLES = 5
_TWINS = 16  # rows of one text that are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A row, the row that it contradicts, and the extra words."""

    longer: int
    shorter: int
    start: int
    n_extra: int


def find_contradictions(
    words: Tokenised,
    classes: NDArray[np.int64],
    labels: tuple[str, ...],
    texts: Sequence[str],
    ids: Sequence[str],
) -> tuple[Contradiction, ...]:
    """Return what extra words go with another label, most pairs first.

    Args:
        words: The texts without punctuation; rows whose middle was not read cannot be compared.
        classes: Shape (n_documents,); each document's index in `labels`.
        labels: The classes.
        texts: The texts as written.
        ids: An id of each row, for the examples.
    """
    sizes = np.bincount(classes, minlength=len(labels))
    groups: dict[tuple[str, Place, int, int], list[tuple[_Pair, str]]] = defaultdict(list)
    for pair in _pairs(words, classes):
        extra, place = _extra(pair, words, texts)
        sides = int(classes[pair.longer]), int(classes[pair.shorter])
        groups[(_folded(extra), place, *sides)].append((pair, extra))
    found = []
    for (_, place, with_id, without_id), pairs in groups.items():
        found.append(
            Contradiction(
                extra=pairs[0][1],
                place=place,
                label_with=labels[with_id],
                label_without=labels[without_id],
                n=len(pairs),
                examples=tuple((ids[p.longer], ids[p.shorter]) for p, _ in pairs[:_EXAMPLES]),
                rate=Rate(n_hits=min(len(pairs), int(sizes[without_id])), n=int(sizes[without_id])),
            )
        )
    return tuple(sorted(found, key=lambda c: -c.n))


def _pairs(words: Tokenised, classes: NDArray[np.int64]) -> Iterator[_Pair]:
    """Yield each row that equals a row of another class but for extra words, the fewest such words."""
    hashes = _Hashes(words)
    known: dict[int, list[int]] = defaultdict(list)
    for document in np.flatnonzero(np.diff(words.starts) >= MIN_WORDS).tolist():
        twins = known[int(hashes.whole[document])]
        seen = {int(classes[t]) for t in twins}
        for twin in twins:
            if classes[twin] != classes[document] and _is_equal(words, document, twin, 0, 0):
                yield _Pair(longer=document, shorter=twin, start=0, n_extra=0)
                break
        if len(twins) < _TWINS or int(classes[document]) not in seen:
            twins.append(document)
    done: set[int] = set()
    for n_extra in range(1, MAX_EXTRA + 1):
        for document, start, remainder in hashes.without(n_extra):
            if document in done:
                continue
            for twin in known.get(remainder, ()):
                if classes[twin] != classes[document] and _is_equal(words, document, twin, start, n_extra):
                    done.add(document)
                    yield _Pair(longer=document, shorter=twin, start=start, n_extra=n_extra)
                    break


class _Hashes:
    """Hashes of texts, whole and with some words left out, all texts at a time.

    The hash of a text is the sum of a random number for each word times a power of its place, modulo
    2**64; what is equal has equal hashes, and every pair with equal hashes is compared word by word.
    """

    def __init__(self, words: Tokenised) -> None:
        n = len(words.ids)
        numbers = np.random.default_rng(0).integers(0, 2**64, len(words.vocabulary), dtype=np.uint64)
        inverse = pow(_BASE, -1, 2**64)
        self._steps = [np.uint64(pow(inverse, i, 2**64)) for i in range(MAX_EXTRA + 1)]
        self._sums = np.concatenate(
            (np.zeros(1, np.uint64), np.cumsum(numbers[words.ids] * _powers(_BASE, n)[:n]))
        )
        back = _powers(inverse, n)  # brings a text's hash to what it would be at place 0
        starts, ends = words.starts[:-1], words.starts[1:]
        self.whole = (self._sums[ends] - self._sums[starts]) * back[starts]
        self._long = np.unique(self.whole[ends - starts >= MIN_WORDS])
        self._table = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)
        self._table[_slot(self._long)] = True
        self._owners, self._starts = words.owners(), words.starts
        self._sum_before, self._sum_after = (self._sums[x][self._owners] for x in (starts, ends))
        self._back = back[starts][self._owners]

    def without(self, n_extra: int) -> Iterator[tuple[int, int, int]]:
        """Yield document, place and hash of each gap of so many words that leaves another text's hash."""
        n = len(self._owners) - n_extra + 1
        if n < 1:
            return
        before = self._sums[:n] - self._sum_before[:n]
        after = (self._sum_after[:n] - self._sums[n_extra : n_extra + n]) * self._steps[n_extra]
        hashes = (before + after) * self._back[:n]
        places = np.flatnonzero(self._table[_slot(hashes)])
        places = places[np.isin(hashes[places], self._long)]
        places = places[places + n_extra <= self._starts[self._owners[places] + 1]]
        mixed = hashes[places] + self._owners[places].astype(np.uint64) * np.uint64(_BASE)
        places = places[np.sort(np.unique(mixed, return_index=True)[1])]  # "a a a" without "a": once
        owners = self._owners[places]
        for place, owner in zip(places.tolist(), owners.tolist(), strict=True):
            yield owner, place - int(self._starts[owner]), int(hashes[place])


def _powers(base: int, n: int) -> NDArray[np.uint64]:
    steps = np.full(n + 1, base % 2**64, dtype=np.uint64)
    steps[0] = 1
    return np.cumprod(steps)


def _slot(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return hashes >> np.uint64(64 - _TABLE_BITS)


def _is_equal(words: Tokenised, longer: int, shorter: int, start: int, n_extra: int) -> bool:
    a = words.ids[words.starts[longer] : words.starts[longer + 1]]
    b = words.ids[words.starts[shorter] : words.starts[shorter + 1]]
    return np.array_equal(np.concatenate((a[:start], a[start + n_extra :])), b)


def _extra(pair: _Pair, words: Tokenised, texts: Sequence[str]) -> tuple[str, Place]:
    """Return the extra words as written, and where they stand."""
    if not pair.n_extra:
        return "", "inside"
    text = texts[pair.longer]
    spans = word_spans(text, words.cap)
    end = pair.start + pair.n_extra
    extra = " ".join(text[spans[pair.start][0] : spans[end - 1][1]].split())
    return extra, "beginning" if pair.start == 0 else "end" if end == len(spans) else "inside"


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
