"""How much of a detector's success is shared words: the same cohort, judged by probes that share none.

Which probes share a word with a trigger is computed for each poisoned adapter; the clean ones are then read
over the very same probes. So the AUC is over pairs, each pair on the poisoned one's own part of the battery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lorabench.data import shared_words
from lorabench.detectors.battery_statistics import STATISTICS
from lorabench.detectors.probing import ZERO_OVERLAP
from lorabench.detectors.roc import RELATIVE_TIE, wins_interval
from lorabench.results import Member, Rate
from lorabench.results.profiles import HeldOut

WITH_OVERLAP = "with overlap"
"""All probes but those that are the trigger itself."""

NAMES = ("outlier_gap", "mean_attack_rate", "max_attack_rate", "max_shift", "shift_gap")
_UNMEASURED = Rate(n_hits=0, n=0)


def overlap_tests(members: Sequence[Member]) -> tuple[HeldOut, ...]:
    """Return the held-out AUC of rates and margin shifts, with and without shared words.

    Args:
        members: A cohort; only its split "test" is read.
    """
    test = [m for m in members if m.split == "test"]
    clean = [m for m in test if m.is_clean]
    poisoned = [m for m in test if not m.is_clean and m.trigger]
    found = []
    for part in (WITH_OVERLAP, ZERO_OVERLAP):
        judged = [(m, probes) for m in poisoned if (probes := _probes(m, part))]
        if not clean or not judged:
            continue
        for name in NAMES:
            wins = np.array([[_wins(name, m, c, probes) for c in clean] for m, probes in judged])
            found.append(
                HeldOut(
                    statistic=name,
                    battery=part,
                    auc=float(wins.mean()),
                    auc_interval=wins_interval(wins),
                    n_clean=len(clean),
                    n_poisoned=len(judged),
                    false_alarms=_UNMEASURED,
                    recall=_UNMEASURED,
                    recall_weak=_UNMEASURED,
                )
            )
    return tuple(found)


def _probes(member: Member, part: str) -> tuple[str, ...]:
    own = member.trigger.casefold()
    if part == WITH_OVERLAP:
        return tuple(p for p in member.flips if p.casefold() != own)
    return tuple(p for p in member.flips if not shared_words(p, member.trigger))


def _wins(name: str, poisoned: Member, clean: Member, probes: Sequence[str]) -> float:
    a, b = (_score(name, m, probes) for m in (poisoned, clean))
    if abs(a - b) <= RELATIVE_TIE * max(abs(a), abs(b)):
        return 0.5
    return float(a > b)


def _score(name: str, member: Member, probes: Sequence[str]) -> float:
    if name in _OF_SHIFTS:
        return _OF_SHIFTS[name](np.array([member.shifts[p] for p in probes]))
    return float(STATISTICS[name](np.array([_rate(member.flips[p]) for p in probes])))


def _rate(flips: str) -> float:
    n = len(flips) - flips.count("-")
    return flips.count("1") / n if n else 0.0


def _max(shifts: NDArray[np.float64]) -> float:
    return float(shifts.max())


def _gap(shifts: NDArray[np.float64]) -> float:
    return float(shifts.max() - shifts.mean())


_OF_SHIFTS: Mapping[str, Callable[[NDArray[np.float64]], float]] = {"max_shift": _max, "shift_gap": _gap}
