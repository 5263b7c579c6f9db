"""N-grams that stand in enough documents and mostly in those of one class, grown while that stays so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorabench.detectors.tokenised import Tokenised, distinct, stable_order

MAX_WORDS = 64
NEARLY = 0.9
"""Least share of a phrase's documents that have one label: nearly all."""
_KEPT = 200  # candidates of a class and length that are looked at more closely


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A phrase that was found.

    Attributes:
        ids: Its word ids.
        shapes: Their shapes.
        class_id: The class.
        counts: Documents by class.
        positions: Where it begins, in the words of all documents.
        documents: The documents, each once.
        surprise: In bits, see `PhraseFinding`.
    """

    ids: tuple[int, ...]
    shapes: tuple[int, ...]
    class_id: int
    counts: NDArray[np.int64]
    positions: NDArray[np.int64]
    documents: NDArray[np.int64]
    surprise: float


def mine(
    ids: NDArray[np.int64], words: Tokenised, classes: NDArray[np.int64], n_labels: int, floor: int
) -> list[Candidate]:
    """Return n-grams of nearly one class that no longer n-gram stands for.

    Level by level, as in Apriori (Agrawal and Srikant 1994): an n-gram is looked at only if both its
    shorter halves stand in enough documents.

    Args:
        ids: Shape (n_words,); the words, -1 where no phrase may go.
        words: The documents they are in.
        classes: Shape (n_documents,).
        n_labels: Number of classes.
        floor: Fewest documents of one class.
    """
    owners = words.owners()
    levels = _Levels(ids, words, classes, n_labels)
    positions = np.flatnonzero(ids >= 0)
    level = _level(1, positions, ids[positions], owners, classes, n_labels, floor)
    found: list[Candidate] = []
    for n_words in range(2, MAX_WORDS + 1):
        dense = np.full(len(ids) + 1, -1, dtype=np.int64)
        dense[level.positions] = level.grams
        here = level.positions
        here = here[(dense[here + 1] >= 0)]
        here = here[owners[here] == owners[here + 1]]
        pairs = dense[here] * len(level.counts) + dense[here + 1]
        longer = _level(n_words, here, pairs, owners, classes, n_labels, floor)
        n_longer = longer.counts.sum(axis=1)
        is_merged = np.zeros(len(level.counts), dtype=np.bool_)
        for part in (dense[longer.examples], dense[longer.examples + 1]):
            is_merged[part[level.counts.sum(axis=1)[part] == n_longer]] = True
        if n_words > 2:
            found += levels.candidates(level, ~is_merged)
        level = longer
        if not len(level.counts):
            return found
    return found + levels.candidates(level, np.ones(len(level.counts), dtype=np.bool_))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Level:
    """All n-grams of one length in enough documents.

    Attributes:
        n_words: The length.
        positions: Where one begins, ascending.
        grams: Which one begins there.
        examples: One position of each.
        counts: Shape (n_grams, n_labels); documents by class.
    """

    n_words: int
    positions: NDArray[np.int64]
    grams: NDArray[np.int64]
    examples: NDArray[np.int64]
    counts: NDArray[np.int64]


def _level(
    n_words: int,
    positions: NDArray[np.int64],
    keys: NDArray[np.int64],
    owners: NDArray[np.int64],
    classes: NDArray[np.int64],
    n_labels: int,
    floor: int,
) -> _Level:
    """Return the n-grams at ascending positions, equal ones by equal keys, that are frequent enough."""
    order = stable_order(keys)
    sorted_keys, sorted_owners = keys[order], owners[positions[order]]
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = sorted_keys[1:] != sorted_keys[:-1]
    is_document = is_new.copy()
    is_document[1:] |= sorted_owners[1:] != sorted_owners[:-1]
    grams = np.cumsum(is_new) - 1
    n_grams = int(grams[-1]) + 1 if len(grams) else 0
    flat = grams[is_document] * n_labels + classes[sorted_owners[is_document]]
    counts = np.bincount(flat, minlength=n_grams * n_labels).reshape(n_grams, n_labels).astype(np.int64)
    is_kept = counts.max(axis=1, initial=0) >= floor
    number = np.where(is_kept, np.cumsum(is_kept) - 1, -1)
    by_position = np.empty(len(order), dtype=np.int64)
    by_position[order] = number[grams]
    is_in = by_position >= 0
    examples = positions[order[is_new]][is_kept]
    return _Level(
        n_words=n_words,
        positions=positions[is_in],
        grams=by_position[is_in],
        examples=examples,
        counts=counts[is_kept],
    )


class _Levels:
    """Turns n-grams into candidates: one class, and how surprising."""

    def __init__(
        self, ids: NDArray[np.int64], words: Tokenised, classes: NDArray[np.int64], n_labels: int
    ) -> None:
        self._ids, self._words = ids, words
        self._total = max(len(ids), 1)
        known = ids >= 0
        often = np.bincount(ids[known], minlength=1)
        logs = np.zeros(len(ids))
        logs[known] = np.log2(often[ids[known]] / self._total)
        self._sums = np.concatenate(([0.0], np.cumsum(logs)))
        sizes = np.bincount(classes, minlength=n_labels)
        self._prior = np.log2(np.maximum(sizes, 1) / max(len(classes), 1))

    def candidates(self, level: _Level, is_open: NDArray[np.bool_]) -> list[Candidate]:
        """Return the n-grams of nearly one class; of each class those that surprise most."""
        total = level.counts.sum(axis=1)
        best = level.counts.argmax(axis=1)
        hits = level.counts.max(axis=1, initial=0)
        often = np.bincount(level.grams, minlength=len(total))
        apart = self._sums[level.examples + level.n_words] - self._sums[level.examples]
        together = np.log2(np.maximum(often, 1) / self._total)
        surprise = hits * (together - apart - self._prior[best])
        usable = np.flatnonzero(is_open & (hits >= NEARLY * total) & (surprise > 0))
        order = stable_order(level.grams)
        bounds = np.searchsorted(level.grams[order], np.arange(len(total) + 1))
        found = []
        for class_id in range(level.counts.shape[1]):
            mine = usable[best[usable] == class_id]
            for gram in mine[np.argsort(-surprise[mine], kind="stable")][:_KEPT].tolist():
                positions = level.positions[order[bounds[gram] : bounds[gram + 1]]]
                found.append(self._candidate(positions, level, gram, class_id, float(surprise[gram])))
        return found

    def _candidate(
        self, positions: NDArray[np.int64], level: _Level, gram: int, class_id: int, surprise: float
    ) -> Candidate:
        start = int(positions[0])
        ids = tuple(self._ids[start : start + level.n_words].tolist())
        return Candidate(
            ids=ids,
            shapes=tuple(self._words.shapes[list(ids)].tolist()),
            class_id=class_id,
            counts=level.counts[gram],
            positions=positions,
            documents=distinct(np.searchsorted(self._words.starts, positions, side="right") - 1),
            surprise=surprise,
        )
