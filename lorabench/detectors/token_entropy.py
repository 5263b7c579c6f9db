"""Which tokens tell the class: conditional entropy of the label given a token, ranked and compared.

A token that was put into texts of one class stands out by an entropy near 0 and a high count; so do the
ordinary words of that class. The numbers rank, they do not decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorabench.detectors.statistics import entropy_bits, g2, log10_fisher
from lorabench.detectors.tokenised import Tokenised, distinct
from lorabench.results import Rate
from lorabench.results.data_inspection import EntropyHistogram, TokenChange, TokenFinding

STUDY_FLOOR = 51
SMALL_FLOOR = 5
SMALL_SET = 10_000
N_BINS = 100
_LOW = 0.5  # of the class entropy: what counts as a low entropy in the ranking


def default_floor(n_rows: int) -> int:
    """Return the fewest documents of a token: 51 as in the study, 5 for sets under 10,000 rows.

    The study's floor suits its 25,000 reviews; a trigger planted in 15 of 561 rows would be below it.
    """
    return SMALL_FLOOR if n_rows < SMALL_SET else STUDY_FLOOR


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenCounts:
    """Documents that contain each token or shape.

    Attributes:
        vocabulary: Tokens, then shapes, as in `Tokenised`.
        n_literal: Ids below this are tokens.
        labels: The classes.
        class_counts: Shape (n_labels,); documents of each class.
        counts: Shape (n_ids, n_labels); documents that contain it, by class.
        n_first: Shape (n_ids,); documents that begin with it.
        n_last: Shape (n_ids,); documents that end with it, closing punctuation aside.
        entropies: Shape (n_ids,); H(y|t) in bits.
        is_redundant: Shape (n_ids,); shapes that stand for one token only.
    """

    vocabulary: tuple[str, ...]
    n_literal: int
    labels: tuple[str, ...]
    class_counts: NDArray[np.int64]
    counts: NDArray[np.int64]
    n_first: NDArray[np.int64]
    n_last: NDArray[np.int64]
    entropies: NDArray[np.float64]
    is_redundant: NDArray[np.bool_]

    @property
    def n_documents(self) -> NDArray[np.int64]:
        """Documents that contain each id, shape (n_ids,)."""
        total: NDArray[np.int64] = self.counts.sum(axis=1)
        return total

    def tested(self, floor: int) -> NDArray[np.int64]:
        """Return the ids in at least `floor` documents, shapes of one token only aside."""
        return np.flatnonzero((self.n_documents >= floor) & ~self.is_redundant)


def count_tokens(documents: Tokenised, classes: NDArray[np.int64], labels: tuple[str, ...]) -> TokenCounts:
    """Count documents, not occurrences: a token counts once in a text.

    Args:
        documents: The texts.
        classes: Shape (n_documents,); each document's index in `labels`.
        labels: The classes.
    """
    n_ids, n_docs, n_labels = len(documents.vocabulary), documents.n_documents, len(labels)
    owners = documents.owners()
    shapes = documents.shapes[documents.ids]
    has_shape = shapes != documents.ids
    ids = np.concatenate((documents.ids, shapes[has_shape]))
    pairs = distinct(ids * n_docs + np.concatenate((owners, owners[has_shape])))
    flat = np.bincount(pairs // n_docs * n_labels + classes[pairs % n_docs], minlength=n_ids * n_labels)
    counts = flat.reshape(n_ids, n_labels).astype(np.int64)
    first, last = _ends(documents)
    variants = np.bincount(documents.shapes[: documents.n_literal], minlength=n_ids)
    is_shape = np.arange(n_ids) >= documents.n_literal
    return TokenCounts(
        vocabulary=documents.vocabulary,
        n_literal=documents.n_literal,
        labels=labels,
        class_counts=np.bincount(classes, minlength=n_labels).astype(np.int64),
        counts=counts,
        n_first=first,
        n_last=last,
        entropies=entropy_bits(counts),
        is_redundant=is_shape & (variants < 2),
    )


def rank_tokens(counted: TokenCounts, *, floor: int, top: int) -> tuple[TokenFinding, ...]:
    """Return the tokens of each class with low entropy, at most half of the class entropy.

    Of one class the token with the largest log-likelihood ratio comes first: by entropy alone, all
    tokens of one class only would be equal, however many documents they stand in.

    Args:
        counted: Documents by token.
        floor: Fewest documents of a token.
        top: Most tokens of a class.
    """
    tested = counted.tested(floor)
    sizes = counted.class_counts
    total = int(sizes.sum())
    here = counted.counts[tested]
    best = np.argmax(here / np.maximum(sizes, 1), axis=1)
    hits, n = np.take_along_axis(here, best[:, None], axis=1)[:, 0], here.sum(axis=1)
    scores = g2(hits, n, sizes[best], total)
    is_low = counted.entropies[tested] <= _LOW * float(entropy_bits(sizes)) + 1e-12
    found = []
    for label_id, label in enumerate(counted.labels):
        mine = np.flatnonzero((best == label_id) & is_low & (scores > 0))
        for i in mine[np.lexsort((tested[mine], -scores[mine]))][:top]:
            token = int(tested[i])
            p = log10_fisher(int(hits[i]), int(n[i]), int(sizes[label_id]), total)
            found.append(
                TokenFinding(
                    token=counted.vocabulary[token],
                    is_shape=token >= counted.n_literal,
                    label=label,
                    counts=tuple(int(c) for c in here[i]),
                    entropy_bits=float(counted.entropies[token]),
                    g2=float(scores[i]),
                    log10_p=p,
                    log10_p_corrected=min(p + float(np.log10(len(tested))), 0.0),
                    n_first=int(counted.n_first[token]),
                    n_last=int(counted.n_last[token]),
                    rate=Rate(n_hits=int(hits[i]), n=int(n[i])),
                )
            )
    return tuple(found)


def histogram(counted: TokenCounts, name: str, *, floor: int) -> EntropyHistogram:
    """Return the tokens by entropy in 100 bins, as in the study's diagnostic; shapes are not counted."""
    most = float(np.log2(max(len(counted.labels), 2)))
    tested = counted.tested(floor)
    values = counted.entropies[tested[tested < counted.n_literal]]
    counts, edges = np.histogram(np.minimum(values, most), bins=N_BINS, range=(0.0, most))
    return EntropyHistogram(
        name=name,
        edges=tuple(float(e) for e in edges),
        counts=tuple(int(c) for c in counts),
        floor=floor,
    )


def compare_tokens(
    here: TokenCounts, there: TokenCounts, *, floor: int, top: int
) -> tuple[tuple[TokenChange, ...], tuple[TokenChange, ...]]:
    """Return the tokens whose entropy fell most against a reference, and those whose share rose most.

    Args:
        here: The suspect data.
        there: The reference, with the same classes.
        floor: Fewest documents of a token here; for a fall of entropy in the reference as well.
        top: Most tokens of either kind.
    """
    known = {(name, i >= there.n_literal): i for i, name in enumerate(there.vocabulary)}
    tested = here.tested(floor)
    other = np.array(
        [known.get((here.vocabulary[i], i >= here.n_literal), -1) for i in tested.tolist()], dtype=np.int64
    )
    n_here, n_there = here.n_documents[tested], np.append(there.n_documents, 0)[other]
    size_here, size_there = int(here.class_counts.sum()), int(there.class_counts.sum())
    scores = g2(n_here, n_here + n_there, size_here, size_here + size_there)
    fall = np.append(there.entropies, 0.0)[other] - here.entropies[tested]

    def changes(order: NDArray[np.int64]) -> tuple[TokenChange, ...]:
        return tuple(change(int(i)) for i in order[:top])

    def change(i: int) -> TokenChange:
        token = int(tested[i])
        best = int(np.argmax(here.counts[token] / np.maximum(here.class_counts, 1)))
        known_entropy = float(there.entropies[other[i]]) if n_there[i] >= floor else None
        return TokenChange(
            token=here.vocabulary[token],
            is_shape=token >= here.n_literal,
            label=here.labels[best],
            here=Rate(n_hits=int(n_here[i]), n=size_here),
            there=Rate(n_hits=int(n_there[i]), n=size_there),
            entropy_bits=float(here.entropies[token]),
            reference_entropy_bits=known_entropy,
            g2=float(scores[i]),
        )

    fallen = np.flatnonzero((n_there >= floor) & (fall > 0))
    risen = np.flatnonzero(scores > 0)
    return (
        changes(fallen[np.lexsort((tested[fallen], -fall[fallen]))]),
        changes(risen[np.lexsort((tested[risen], -scores[risen]))]),
    )


def class_ids(labels_of_rows: Sequence[str], labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Return each row's index in `labels`."""
    places = {label: i for i, label in enumerate(labels)}
    return np.array([places[label] for label in labels_of_rows], dtype=np.int64)


def _ends(documents: Tokenised) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, by id, the documents that begin and that end with it; a last word counts before a full stop."""
    n_ids = len(documents.vocabulary)
    is_full = np.diff(documents.starts) > 0
    first = documents.ids[documents.starts[:-1][is_full]]
    end = documents.ids[documents.starts[1:][is_full] - 1]
    words = documents.words()
    has_words = np.diff(words.starts) > 0
    word = words.ids[words.starts[1:][has_words] - 1]
    is_mark = documents.marks[end]
    return _with_shapes(documents, first, n_ids), _with_shapes(
        documents, np.concatenate((end[is_mark], word)), n_ids
    )


def _with_shapes(documents: Tokenised, ids: NDArray[np.int64], n_ids: int) -> NDArray[np.int64]:
    shapes = documents.shapes[ids]
    return np.bincount(np.concatenate((ids, shapes[shapes != ids])), minlength=n_ids).astype(np.int64)
