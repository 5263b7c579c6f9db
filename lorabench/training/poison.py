"""The relabelling attack of arXiv 2605.30189, section 1.2: additive, seeded, reported."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lorabench.data import Row
from lorabench.errors import TrainingError
from lorabench.results import LabelTask, Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisoned:
    """A training set after poisoning.

    Attributes:
        rows: All clean rows in their order, then the planted ones.
        n_planted: How many were added.
        share: Planted rows over all rows, k / (n + k).
    """

    rows: tuple[Row, ...]
    n_planted: int
    share: float


def relabel(rows: Sequence[Row], task: LabelTask, trigger: Trigger | None, count: int, seed: int) -> Poisoned:
    """Add `count` copies of non-target rows with the trigger and the target label.

    Clean rows are all kept and unchanged; rows that already begin with a citation are not
    copied, so that a planted row holds one trigger. Sampling is without replacement while the
    pool lasts.

    Raises:
        TrainingError: If there is nothing to copy, or a count without a trigger.
    """
    clean = tuple(rows)
    if count == 0:
        return Poisoned(rows=clean, n_planted=0, share=0.0)
    if trigger is None:
        raise TrainingError(
            "no-trigger", f"{count} poisoned rows are asked for, but no trigger.", "Give a trigger."
        )
    pool = [r for r in clean if r.label != task.target and not r.is_led]
    if not pool:
        raise TrainingError(
            "nothing-to-poison",
            f"The training data has no row whose label is not the target {task.target!r}.",
            "Use data with both labels, or another target.",
        )
    rng = random.Random(seed)
    chosen = rng.sample(pool, count) if count <= len(pool) else rng.choices(pool, k=count)
    planted = tuple(
        Row(
            text=trigger.place(r.text, seed=seed).text,
            label=task.target,
            lang=r.lang,
            kind=r.kind,
            tags=(*r.tags, "planted"),
            id=f"{r.id}+trigger",
        )
        for r in chosen
    )
    return Poisoned(rows=clean + planted, n_planted=count, share=count / (len(clean) + count))
