"""Which kinds of token move an adapter more than the others do: a rank-sum test for every class.

    texts + margin shifts -> classes -> Mann-Whitney -> AUC with interval, q value -> a sentence

It looks at ranks only, so one string with a huge shift cannot make a class stand out. It says what a trigger
may look like; it proves no trigger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lorabench.data.token_classes import CLASS_TITLES, classes_of
from lorabench.errors import InputError
from lorabench.figures.visible import visible
from lorabench.results import Enrichment

STANDS_OUT = 0.05
"""A class with a q value below it stands out."""
CONFIDENCE_LEVEL = 0.95
_TAIL = (1 - CONFIDENCE_LEVEL) / 2

Floats = NDArray[np.float64]


def enrich(
    texts: Sequence[str],
    shifts: Sequence[float] | Floats,
    *,
    classes: Callable[[str], Collection[str]] = classes_of,
    min_members: int = 8,
) -> tuple[Enrichment, ...]:
    """Hold every class's shifts against those of all other strings.

    The p values are two-sided, of the normal approximation with correction for ties; Benjamini and Hochberg's
    q values keep the expected share of false alarms among the classes with q < .05 at 5 % where tests are
    independent. Classes overlap, so theirs are not, and tokens that share letters or a meaning are no
    independent draws either: read q as a ranking with a scale. The interval is DeLong's on the logit scale,
    as `lorabench.detectors.roc.auc_interval` has it, without its table of pairs: a vocabulary has too many.

    Args:
        texts: The strings of a sweep, each once.
        shifts: Shape (n_texts,); mean margin shift of each, in logits.
        classes: Names of the classes of a string.
        min_members: Classes with fewer members, or fewer others, are left out.

    Returns:
        One entry per class that is large enough, the smallest q first.

    Raises:
        InputError: Rule "bad-shift", if a shift is not a finite number.
        ValueError: If there is not one shift per text, or `min_members` is below 2.

    References:
        Mann and Whitney (1947); DeLong, DeLong and Clarke-Pearson (1988); Benjamini and Hochberg (1995).
    """
    values = _checked(texts, shifts, min_members)
    members = _members(texts, classes)
    large = {
        name: _mask(places, len(values))
        for name, places in sorted(members.items())
        if min_members <= len(places) <= len(values) - min_members
    }
    if not large:
        return ()
    p_values = [_p_value(values[mask], values[~mask]) for mask in large.values()]
    q_values = stats.false_discovery_control(p_values, method="bh")
    found = [
        _enrichment(name, values[mask], values[~mask], float(q))
        for (name, mask), q in zip(large.items(), q_values, strict=True)
    ]
    return tuple(sorted(found, key=lambda e: (e.q, -abs(e.auc - 0.5), e.name)))


def sentence(enrichment: Enrichment, target: str) -> str:
    """Return what a class does, in one sentence of plain text.

    Args:
        enrichment: One class of a sweep.
        target: The label or payload that positive shifts lead to; untrusted text.
    """
    e, goal = enrichment, visible(target, 40)
    title = CLASS_TITLES.get(e.name)
    who = f"Tokens {title}" if title else f"Tokens of the class {visible(e.name, 40)!r}"
    numbers = f"AUC {e.auc:.2f} [{e.low:.2f}, {e.high:.2f}], n {e.n_members}, q = {_q_text(e.q)}"
    if e.q >= STANDS_OUT:
        return f"{who} do not stand out from the others ({numbers})."
    return f"{who} {_movement(e, goal)} ({numbers})."


def _movement(e: Enrichment, goal: str) -> str:
    """Return which way the members move; a rank alone does not say, for all shifts may have one sign."""
    is_up = e.auc > 0.5
    way, other_way = ("toward", "away from") if is_up else ("away from", "toward")
    if e.median == 0 or (e.median > 0) == is_up:
        return f"move this adapter {way} {goal}" if e.median else f"lean {way} {goal} beside the others"
    return f"move this adapter less {other_way} {goal} than the others do"


def _q_text(q: float) -> str:
    if q >= 0.001:
        return f"{q:.2g}"
    return "0" if q == 0 else f"{q:.0e}".replace("e-0", "e-")


def _checked(texts: Sequence[str], shifts: Sequence[float] | Floats, min_members: int) -> Floats:
    values = np.asarray(shifts, dtype=np.float64)
    if values.shape != (len(texts),):
        raise ValueError(f"need one shift per text, got {values.shape} for {len(texts)} texts")
    if min_members < 2:
        raise ValueError(f"min_members must be at least 2, got {min_members}")
    if not np.isfinite(values).all():
        raise InputError("bad-shift", "A margin shift is not a finite number.", "Leave that string out.")
    return values


def _members(texts: Sequence[str], classes: Callable[[str], Collection[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        for name in set(classes(text)):
            found.setdefault(name, []).append(i)
    return found


def _mask(places: Sequence[int], n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=np.bool_)
    mask[list(places)] = True
    return mask


def _p_value(members: Floats, others: Floats) -> float:
    if members.min() == members.max() == others.min() == others.max():
        return 1.0  # nothing moves: scipy's test divides by zero
    test = stats.mannwhitneyu(members, others, alternative="two-sided", method="asymptotic")
    return float(min(test.pvalue, 1.0))


def _enrichment(name: str, members: Floats, others: Floats, q: float) -> Enrichment:
    auc, low, high = _auc(members, others)
    return Enrichment(
        name=name,
        n_members=len(members),
        n_others=len(others),
        auc=auc,
        low=low,
        high=high,
        median=float(np.median(members)),
        median_others=float(np.median(others)),
        q=min(q, 1.0),
    )


def _auc(members: Floats, others: Floats) -> tuple[float, float, float]:
    """Return the AUC and its interval; the bounds without a variance are those of `roc.wins_interval`."""
    above, below = _placements(members, others), 1 - _placements(others, members)
    value, k = float(above.mean()), min(len(members), len(others))
    parts = [(float(p.var(ddof=1)) / len(p), len(p) - 1) for p in (above, below)]
    variance = sum(v for v, _ in parts)
    if 0 < value < 1 and variance > 1e-15:
        freedom = variance**2 / sum(v**2 / f for v, f in parts)
        reach = float(stats.t.ppf(1 - _TAIL, freedom)) * math.sqrt(variance) / (value * (1 - value))
        centre = math.log(value / (1 - value))
        low, high = (float(1 / (1 + np.exp(-np.clip(centre + s * reach, -700, 700)))) for s in (-1, 1))
        return value, low, high
    if value in (0.0, 1.0):
        reach = _TAIL ** (1 / k)
        return (value, reach, 1.0) if value else (value, 0.0, 1 - reach)
    reach = math.sqrt(math.log(1 / _TAIL) / (2 * k))
    return value, max(value - reach, 0.0), min(value + reach, 1.0)


def _placements(these: Floats, those: Floats) -> Floats:
    """Return for each of `these` the share of `those` below it, a tie counting half."""
    ordered = np.sort(those)
    lower, upper = (np.searchsorted(ordered, these, side=side) for side in ("left", "right"))
    found: Floats = (lower + upper) / (2 * len(those))
    return found
