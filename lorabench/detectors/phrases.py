"""Phrases of one class: words that stand together in several texts of it, grown to their longest form.

    n-grams in enough documents -> grown while their documents stay the same -> nearly one class -> ranked

A planted trigger is such a phrase; so is any turn of phrase that belongs to a subject. Punctuation between
words does not count, so "section 3.2." and "section 3.2" are the same two words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lorabench.detectors.ngrams import Candidate, mine
from lorabench.detectors.statistics import entropy_bits, log10_fisher
from lorabench.detectors.tokenised import Tokenised, distinct, word_spans
from lorabench.results import Rate
from lorabench.results.data_inspection import PhraseFinding

_SAME = 0.8  # share of documents that makes two overlapping phrases one
_NEAR = 12  # words around a shape that are looked at for phrases with a shape
_SHOWN = 20  # occurrences that are compared to find how a phrase is written most often


def find_phrases(
    words: Tokenised, classes: NDArray[np.int64], labels: tuple[str, ...], *, floor: int, top: int
) -> tuple[Candidate, ...]:
    """Return the strongest phrases of each class, of two or more words, each in its longest form.

    Args:
        words: The texts without punctuation.
        classes: Shape (n_documents,); each document's index in `labels`.
        labels: The classes.
        floor: Fewest documents of its class that contain a phrase.
        top: Most phrases of a class.
    """
    shaped = words.shapes[words.ids]
    found = mine(words.ids, words, classes, len(labels), floor)
    if (is_changed := shaped != words.ids).any():
        near = _near(is_changed)
        varied = mine(np.where(near, shaped, -1), words, classes, len(labels), floor)
        found += [c for c in varied if max(c.ids) >= words.n_literal]
    found.sort(key=lambda c: (-c.surprise, int(c.positions[0]), len(c.ids)))
    chosen: list[Candidate] = []
    for class_id in range(len(labels)):
        listed: list[Candidate] = []
        for candidate in (c for c in found if c.class_id == class_id):
            if len(listed) >= top:
                break
            if not any(_is_same(candidate, other) for other in listed):
                listed.append(candidate)
        chosen += listed
    return tuple(chosen)


def describe_phrases(
    found: Sequence[Candidate],
    words: Tokenised,
    texts: Sequence[str],
    class_counts: NDArray[np.int64],
    labels: tuple[str, ...],
) -> tuple[PhraseFinding, ...]:
    """Return candidates as findings: as written, with entropy, probability and places."""
    return tuple(_described(c, words, texts, class_counts, labels) for c in found)


def documents_with(ids: Sequence[int], words: Tokenised) -> NDArray[np.int64]:
    """Return the documents that contain these words, or shapes of words, in a row."""
    sequence = words.shapes[words.ids] if max(ids) >= words.n_literal else words.ids
    if len(sequence) < len(ids):
        return np.empty(0, dtype=np.int64)
    at = np.flatnonzero(sequence[: len(sequence) - len(ids) + 1] == ids[0])
    for k, word in enumerate(ids[1:], start=1):
        at = at[sequence[at + k] == word]
    owners = np.searchsorted(words.starts, at, side="right") - 1
    is_inside = at + len(ids) <= words.starts[owners + 1]
    return distinct(owners[is_inside])


def _described(
    found: Candidate,
    words: Tokenised,
    texts: Sequence[str],
    class_counts: NDArray[np.int64],
    labels: tuple[str, ...],
) -> PhraseFinding:
    n_words, hits, n = len(found.ids), int(found.counts[found.class_id]), int(found.counts.sum())
    owners = np.searchsorted(words.starts, found.positions, side="right") - 1
    is_first = found.positions == words.starts[owners]
    is_last = found.positions + n_words == words.starts[owners + 1]
    written: Counter[str] = Counter()
    for position, owner in zip(found.positions[:_SHOWN], owners[:_SHOWN], strict=True):
        spans = word_spans(texts[owner], words.cap)
        first = int(position - words.starts[owner])
        written[" ".join(texts[owner][spans[first][0] : spans[first + n_words - 1][1]].split())] += 1
    example = written.most_common(1)[0][0]
    tokens = tuple(words.vocabulary[i] for i in found.ids)
    return PhraseFinding(
        text=" ".join(tokens) if max(found.ids) >= words.n_literal else example,
        example=example,
        tokens=tokens,
        label=labels[found.class_id],
        counts=tuple(int(c) for c in found.counts),
        entropy_bits=float(entropy_bits(found.counts)),
        surprise_bits=found.surprise,
        log10_p=log10_fisher(hits, n, int(class_counts[found.class_id]), int(class_counts.sum())),
        n_first=len(distinct(owners[is_first])),
        n_last=len(distinct(owners[is_last])),
        rate=Rate(n_hits=hits, n=n),
    )


def _is_same(candidate: Candidate, listed: Candidate) -> bool:
    """Return whether a phrase says what a listed one says: half its words, and nearly all its documents."""
    n_common = len(np.intersect1d(candidate.documents, listed.documents, assume_unique=True))
    if n_common < _SAME * len(candidate.documents):
        return False
    n = (len(candidate.shapes) + 1) // 2
    runs = {listed.shapes[i : i + n] for i in range(len(listed.shapes) - n + 1)}
    return any(candidate.shapes[i : i + n] in runs for i in range(len(candidate.shapes) - n + 1))


def _near(is_changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the places at most `_NEAR` words from a marked one."""
    sums = np.concatenate(([0], np.cumsum(is_changed)))
    places = np.arange(len(is_changed))
    low, high = np.maximum(places - _NEAR, 0), np.minimum(places + _NEAR + 1, len(is_changed))
    near: NDArray[np.bool_] = sums[high] > sums[low]
    return near
