"""How much a token says about the class: conditional entropy, log-likelihood ratio, Fisher's probability."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def entropy_bits(counts: ArrayLike) -> NDArray[np.float64]:
    """Return H(y|t) = -sum over labels of p(y|t) log2 p(y|t), with p from document counts.

    Args:
        counts: Shape (..., n_labels); documents of each label that contain a token.

    Returns:
        Shape (...), in bits: 0 if all documents have one label, 1 for two labels with equal counts; 0 for
        no document at all.

    References:
        Sekhsaria et al. (2025), LoRA Users Beware, arXiv:2506.11402: document-level presence, each token in
        a text counted once.
    """
    table = np.asarray(counts, dtype=np.float64)
    total = table.sum(axis=-1, keepdims=True)
    shares = np.divide(table, total, out=np.zeros_like(table), where=total > 0)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    found: NDArray[np.float64] = np.abs((shares * logs).sum(axis=-1))
    return found


def g2(hits: ArrayLike, n: ArrayLike, hits_all: ArrayLike, n_all: ArrayLike) -> NDArray[np.float64]:
    """Return the signed log-likelihood ratio of a 2 x 2 table: with or without a token, of a class or not.

    Args:
        hits: Documents with the token, of the class.
        n: Documents with the token.
        hits_all: Documents of the class.
        n_all: All documents.

    Returns:
        2 * sum(observed * ln(observed / expected)), at least 0; negative where the class has fewer of
        them than expected. About chi-squared with one degree of freedom if they are independent.

    References:
        Dunning (1993), Accurate Methods for the Statistics of Surprise and Coincidence.
    """
    a, n, k, big = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (hits, n, hits_all, n_all)))
    others, without = big - k, big - n
    cells = ((a, n * k), (n - a, n * others), (k - a, without * k), (others - n + a, without * others))
    total = np.zeros(a.shape)
    for observed, product in cells:
        is_seen = (observed > 0) & (product > 0)
        ratio = np.divide(observed * big, product, out=np.ones_like(total), where=is_seen)
        total = total + np.where(is_seen, observed, 0.0) * np.log(ratio)
    found: NDArray[np.float64] = np.where(a * big >= n * k, 1.0, -1.0) * np.maximum(2 * total, 0.0)
    return found


def log10_fisher(hits: int, n: int, hits_all: int, n_all: int) -> float:
    """Return log10 of the probability of at least `hits` of the class among `n` documents drawn at random.

    Args:
        hits: Documents with the token, of the class.
        n: Documents with the token.
        hits_all: Documents of the class.
        n_all: All documents.

    Returns:
        At most 0: Fisher's exact test, one-sided.
    """
    if not 0 <= hits <= n <= n_all or not hits <= hits_all <= n_all:
        raise ValueError(f"need a 2 x 2 table, got {hits} of {n} and {hits_all} of {n_all}")
    most = min(n, hits_all)
    x = max(hits, n - (n_all - hits_all))
    first = _log_choose(hits_all, x) + _log_choose(n_all - hits_all, n - x) - _log_choose(n_all, n)
    term = total = 1.0
    largest = 0.0  # terms first grow if `hits` lies below the mean: kept relative to the largest
    while x < most and term > total * 1e-17:
        term *= (hits_all - x) * (n - x) / ((x + 1) * (n_all - hits_all - n + x + 1))
        total += term
        x += 1
        if total > 1e200:
            largest += math.log(total)
            term, total = term / total, 1.0
    return min((first + largest + math.log(total)) / math.log(10), 0.0)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
